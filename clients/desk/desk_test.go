package desk_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"schakel/clients/desk"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/clients/store/vault"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start serves n and returns a client and the path of the socket.
func start(t *testing.T, n desk.Node) (*desk.Client, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "desk.sock")
	ln, err := desk.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- desk.New(desk.Config{Node: n}).Serve(ctx, ln) }()
	c, err := desk.Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return c, path
}

// TestClientIsTheNode shows that each call arrives with the same arguments and
// comes back with the same values as in this process.
func TestClientIsTheNode(t *testing.T) {
	near, far := &node{}, &node{}
	c, _ := start(t, far)
	remote := calls(t.Context(), c)
	for name, local := range calls(t.Context(), near) {
		want, err := local()
		if err != nil {
			t.Fatal(err)
		}
		got, err := remote[name]()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
		if !reflect.DeepEqual(far.asked, near.asked) {
			t.Errorf("%s: the node was asked %+v, want %+v", name, far.asked, near.asked)
		}
	}
}

func sentinels() []error {
	return []error{schakel.ErrNotFound, schakel.ErrAmbiguous, schakel.ErrUnknownDesk, schakel.ErrLane, schakel.ErrNoEpoch, schakel.ErrNoKeys, schakel.ErrNoDevice,
		schakel.ErrPersonNeeded, schakel.ErrUnknownPerson, schakel.ErrPIN, schakel.ErrNotEnrolled, schakel.ErrEnrolled, schakel.ErrFingerprint,
		schakel.ErrUnreachable, schakel.ErrRegister, schakel.ErrTooLarge, schakel.ErrAcknowledged, schakel.ErrNothingToAck, schakel.ErrNotReturned, schakel.ErrNoRightDesk, schakel.ErrRestricted, schakel.ErrReaders, schakel.ErrNoReadingKey, schakel.ErrGlass, schakel.ErrGlassNeeded, schakel.ErrNoOrgKey, schakel.ErrUnknownSubject,
		schakel.ErrKeyChanged, schakel.ErrKeyRefused, schakel.ErrKeyMismatch, schakel.ErrNoWords, schakel.ErrRestoring, schakel.ErrNotRestored,
		schakel.ErrLight, schakel.ErrRefused, vault.ErrPassphrase, desk.ErrLocked, desk.ErrNoLock,
		message.ErrFormat, identity.ErrInvalid}
}

// TestSentinelsSurvive shows that a caller decides the same on both sides.
func TestSentinelsSurvive(t *testing.T) {
	for _, want := range sentinels() {
		n := &node{err: fmt.Errorf("failed to do it: %w", want)}
		c, _ := start(t, n)
		_, err := c.Status(t.Context())
		if !errors.Is(err, want) || err.Error() != n.err.Error() {
			t.Errorf("got %v, want %v", err, n.err)
		}
		for _, other := range sentinels() {
			if other != want && errors.Is(err, other) {
				t.Errorf("%v came back as %v too", want, other)
			}
		}
	}
}

func TestRefusalKeepsItsRule(t *testing.T) {
	rule := &protocol.Refusal{Rule: "R09", Reason: protocol.Text{NL: "nee", EN: "no"}, Faults: []protocol.Fault{{At: "/a"}}}
	c, _ := start(t, &node{err: fmt.Errorf("failed to send: %w", rule)})
	_, err := c.Send(t.Context(), schakel.Draft{})
	var got *protocol.Refusal
	if !errors.As(err, &got) || !reflect.DeepEqual(got, rule) || !errors.Is(err, protocol.ErrRefused) {
		t.Errorf("got %v", err)
	}
}

func TestDaemonThatEnds(t *testing.T) {
	c, _ := start(t, &node{err: context.Canceled})
	if _, err := c.Status(t.Context()); !errors.Is(err, desk.ErrEnding) || errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestUnknownErrorIsTheDaemons(t *testing.T) {
	c, _ := start(t, &node{err: errors.New("the disk fell out")})
	if _, err := c.Status(t.Context()); !errors.Is(err, desk.ErrInternal) || err.Error() != "the disk fell out" {
		t.Errorf("got %v", err)
	}
}

func TestWaitEndsWithTheCaller(t *testing.T) {
	c, _ := start(t, &node{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Wait(ctx, "ab", schakel.StateAcknowledged); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestWaitForWhatCannotBe(t *testing.T) {
	c, _ := start(t, &node{})
	if _, err := c.Wait(t.Context(), "ab", "geweigerd"); !errors.Is(err, desk.ErrRequest) {
		t.Errorf("got %v", err)
	}
}

func TestEvents(t *testing.T) {
	n := &node{events: make(chan schakel.Event, 1)}
	c, _ := start(t, n)
	events, cancel := c.Subscribe()
	want := schakel.Event{Kind: schakel.EventReceived, Message: "ab", At: at()}
	n.events <- want
	select {
	case got := <-events:
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	case <-time.After(30 * time.Second):
		t.Error("no event came")
	}
	cancel()
	for range events { // closed by cancel
	}
}

func TestServiceRefusesWhatItDoesNotKnow(t *testing.T) {
	_, path := start(t, &node{})
	plain := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	for name, test := range map[string]struct {
		path, body string
		want       int
	}{
		"unknown field":   {"/v1/messages", `{"class":"melding","colour":"red"}`, http.StatusBadRequest},
		"two values":      {"/v1/messages", `{} {}`, http.StatusBadRequest},
		"no JSON":         {"/v1/messages", `klasse=melding`, http.StatusBadRequest},
		"body too large":  {"/v1/messages", `{"class":"` + strings.Repeat("x", 600<<10) + `"}`, http.StatusBadRequest},
		"unknown path":    {"/v1/secrets", `{}`, http.StatusBadRequest},
		"known, as it is": {"/v1/messages", `{"class":"melding"}`, http.StatusOK},
	} {
		resp, err := plain.Post("http://schakel"+test.path, "application/json", strings.NewReader(test.body))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		resp.Body.Close()
		if resp.StatusCode != test.want || resp.Header.Get("API-Version") == "" {
			t.Errorf("%s: status %d, want %d", name, resp.StatusCode, test.want)
		}
		if kind := resp.Header.Get("Content-Type"); test.want >= 400 && kind != "application/problem+json" {
			t.Errorf("%s: content type %q", name, kind)
		}
	}
}

func TestSocketIsItsOwners(t *testing.T) {
	_, path := start(t, &node{})
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if _, err := desk.Listen(path); err == nil || !strings.Contains(err.Error(), "another daemon") {
		t.Errorf("a second daemon: %v", err)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "desk.sock")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false) // as a killed daemon leaves it
	_ = ln.Close()
	if _, err := desk.Dial(t.Context(), path); !errors.Is(err, desk.ErrNoDaemon) {
		t.Errorf("got %v", err)
	}
	again, err := desk.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := desk.Listen(path); err == nil {
		t.Error("a file in the way was replaced")
	}
}

func TestSocketInAFolderOfOthers(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := desk.Listen(filepath.Join(dir, "desk.sock")); err == nil || !strings.Contains(err.Error(), "others may write") {
		t.Errorf("got %v", err)
	}
}

func TestSocketPathThatIsTooLong(t *testing.T) {
	if _, err := desk.Listen(filepath.Join(t.TempDir(), strings.Repeat("x", 120))); err == nil || !strings.Contains(err.Error(), "socket") {
		t.Errorf("got %v", err)
	}
}
