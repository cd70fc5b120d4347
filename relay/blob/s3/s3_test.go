package s3_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"schakel/relay/blob"
	"schakel/relay/blob/s3"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The suite runs against a real server in relay/blob/s3/gateway (make s3). Here is what
// needs none.

func TestEndpointsRefused(t *testing.T) {
	for _, endpoint := range []string{"", "s3.example", "ftp://s3.example", "http://s3.example", "https://s3.example/bucket", "https://user@s3.example", "https://s3.example?x=1"} {
		_, err := s3.Open(context.Background(), s3.Config{Endpoint: endpoint, Bucket: "b", Key: "k", Secret: func() (string, error) { return "s", nil }})
		if !errors.Is(err, s3.ErrConfig) {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
}

// What a server says becomes one of the errors of blob.Store, and names no object.
func TestAnswers(t *testing.T) {
	answer := http.StatusOK
	code := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			return // the bucket
		}
		w.WriteHeader(answer)
		_, _ = w.Write([]byte(`<Error><Code>` + code + `</Code><Message>uploads/vt20/crisis</Message><Key>uploads/vt20/crisis</Key></Error>`))
	}))
	defer server.Close()
	ctx := context.Background()
	s, err := s3.Open(ctx, s3.Config{Endpoint: server.URL, Bucket: "bucket", Key: "k", Secret: func() (string, error) { return "s", nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, c := range []struct {
		answer int
		code   string
		want   error
	}{{404, "NoSuchKey", blob.ErrNone}, {507, "InsufficientStorage", blob.ErrFull}, {400, "XMinioStorageFull", blob.ErrFull}, {403, "AccessDenied", nil}} {
		answer, code = c.answer, c.code
		_, err := s.Get(ctx, "uploads/vt20/crisis/x", 0)
		if err == nil || c.want != nil && !errors.Is(err, c.want) || strings.Contains(err.Error(), "vt20") {
			t.Errorf("%d %s: %v", c.answer, c.code, err)
		}
	}
}
