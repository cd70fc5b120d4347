package s3_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"go.uber.org/goleak"

	"schakel/relay/blob"
	"schakel/relay/blob/s3"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The suite runs against a real server in relay/blob/s3/gateway (make buckets). Here is what
// needs none.

func TestEndpointsRefused(t *testing.T) {
	for _, endpoint := range []string{"", "s3.example", "ftp://s3.example", "http://s3.example", "https://s3.example/bucket", "https://user@s3.example", "https://s3.example?x=1"} {
		_, err := s3.Open(context.Background(), s3.Config{Endpoint: endpoint, Bucket: "b", Key: "k", Secret: func() (string, error) { return "s", nil }})
		if !errors.Is(err, s3.ErrConfig) {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
}

// served is a store on a server that has its bucket, and answers everything else so.
func served(t *testing.T, answer http.HandlerFunc) *s3.Store {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodHead { // which asks for the bucket
			answer(w, r)
		}
	}))
	t.Cleanup(server.Close)
	s, err := s3.Open(t.Context(), s3.Config{Endpoint: server.URL, Bucket: "bucket", Key: "k", Secret: func() (string, error) { return "s", nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// What a server says becomes one of the errors of blob.Store, and names no object.
func TestAnswers(t *testing.T) {
	answer := http.StatusOK
	code := ""
	s := served(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(answer)
		_, _ = w.Write([]byte(`<Error><Code>` + code + `</Code><Message>uploads/vt20/crisis</Message><Key>uploads/vt20/crisis</Key></Error>`))
	})
	ctx := context.Background()
	for _, c := range []struct {
		answer int
		code   string
		want   error
	}{{404, "NoSuchKey", blob.ErrNone}, {507, "InsufficientStorage", blob.ErrFull}, {400, "XMinioStorageFull", blob.ErrFull}, {403, "AccessDenied", nil}, {501, "NotImplemented", nil}} {
		answer, code = c.answer, c.code
		_, err := s.Get(ctx, "uploads/vt20/crisis/x", 0)
		if err == nil || errors.Is(err, blob.ErrUnreadable) || c.want != nil && !errors.Is(err, c.want) || strings.Contains(err.Error(), "vt20") {
			t.Errorf("%d %s: %v", c.answer, c.code, err)
		}
	}
}

// A server that fails, or whose answer breaks off, has not lost an object: nothing that it says is
// blob.ErrUnreadable.
func TestServerThatFailsLosesNothing(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"an error": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"a body that breaks off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10")
			_, _ = w.Write([]byte("half"))
		},
	} {
		s := served(t, answer)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second) // an error is asked for again, with rests
		r, err := s.Get(ctx, "parts/x", 0)
		if err == nil {
			_, err = io.ReadAll(r)
			_ = r.Close()
		}
		cancel()
		if err == nil || errors.Is(err, blob.ErrUnreadable) || errors.Is(err, blob.ErrNone) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What the server says is in conflict with what happens just now is put again, a few times, if
// its bytes can be had again: records and holds can. A part that comes from a device is put once.
func TestConflict(t *testing.T) {
	var conflicts, puts int
	var kept string
	s := served(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if puts++; puts <= conflicts {
			w.WriteHeader(http.StatusConflict)
			_, _ = w.Write([]byte(`<Error><Code>ExistingObjectIsDirectory</Code></Error>`))
			return
		}
		kept = string(body)
	})
	ctx := context.Background()
	for _, c := range []struct {
		name      string
		body      io.Reader
		size      int64
		conflicts int
		puts      int
		stored    bool
	}{
		{"no conflict", strings.NewReader("record"), 6, 0, 1, true},
		{"a record", strings.NewReader("record"), 6, 3, 4, true},
		{"nothing", iotest.ErrReader(io.EOF), 0, 3, 4, true},
		{"for ever", strings.NewReader("record"), 6, 1000, 10, false},
		{"a part as it comes in", iotest.OneByteReader(strings.NewReader("record")), 6, 1, 1, false},
	} {
		conflicts, puts, kept = c.conflicts, 0, ""
		err := s.Put(ctx, "uploads/vt20/crisis/x", c.body, c.size)
		if (err == nil) != c.stored || puts != c.puts || c.stored && !strings.Contains(kept, "record"[:c.size]) {
			t.Errorf("%s: %d puts, %q is kept, %v", c.name, puts, kept, err)
		}
	}
}
