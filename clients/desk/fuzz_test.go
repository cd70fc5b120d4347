package desk_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"schakel/clients/desk"
	"schakel/clients/schakel"
)

// FuzzReadEvents gives the client any stream: what comes out is at most what went
// in, and an event that the service writes comes out as it was.
func FuzzReadEvents(f *testing.F) {
	f.Add([]byte("event: received\ndata: {\"kind\":\"received\",\"message\":\"ab\",\"at\":\"2026-11-24T09:00:00Z\"}\n\n: \n"))
	f.Add([]byte("data: \x00\ndata: {}\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		events := make(chan schakel.Event, 4)
		desk.ReadEvents(bytes.NewReader(stream), events)
		close(events)
		for e := range events {
			b, err := json.Marshal(e)
			if err != nil {
				t.Skip() // a year that JSON cannot say
			}
			again := make(chan schakel.Event, 1)
			desk.ReadEvents(bytes.NewReader(append(append([]byte("data: "), b...), '\n')), again)
			if got := <-again; got.Message != e.Message || got.Kind != e.Kind {
				t.Errorf("got %+v, want %+v", got, e)
			}
		}
	})
}

// FuzzService gives the service any request: it answers with JSON, and never with
// more than a refusal for what it does not understand.
func FuzzService(f *testing.F) {
	f.Add("POST", "/v1/messages", []byte(`{"class":"melding","to":["a/b"]}`))
	f.Add("POST", "/v1/messages/ab/acknowledgement", []byte(`{}`))
	f.Add("GET", "/v1/messages?limit=x", []byte(nil))
	f.Add("POST", "/v1/revocations", []byte(`{"subject":"device/x"}`))
	handler := desk.New(desk.Config{Node: &node{}}).Handler()
	f.Fuzz(func(t *testing.T, method, target string, body []byte) {
		req, err := http.NewRequestWithContext(t.Context(), method, target, bytes.NewReader(body))
		if err != nil || req.URL.Path == "/v1/events" || req.URL.Query().Get("state") == string(schakel.StateAcknowledged) {
			t.Skip() // streams and waits do not end
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, req)
		if w.Code >= 500 {
			t.Errorf("%s %s: %d %s", method, target, w.Code, w.Body)
		}
	})
}
