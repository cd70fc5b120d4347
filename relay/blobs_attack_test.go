package relay_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"schakel/crypto/identity"
	"schakel/relay"
	"schakel/relay/blob"
	"schakel/relay/relaytest"
	"schakel/relay/wire"
)

// wireline is one TLS connection on which a test says what no client of ours would.
type wireline struct {
	t       *testing.T
	client  *http.Client
	url     string
	binding []byte
}

// lineTo connects.
func lineTo(t *testing.T, w *relaytest.World) *wireline {
	t.Helper()
	address := strings.TrimPrefix(w.URL, "wss://")
	conf := w.TLS()
	conf.NextProtos = []string{"http/1.1"}
	conn, err := tls.Dial("tcp", address, conf)
	if err != nil {
		t.Fatal(err)
	}
	state := conn.ConnectionState()
	binding, err := state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
	if err != nil {
		t.Fatal(err)
	}
	once := make(chan net.Conn, 1)
	once <- conn
	transport := &http.Transport{DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
		select {
		case c := <-once:
			return c, nil
		default:
			return nil, net.ErrClosed
		}
	}}
	t.Cleanup(func() { transport.CloseIdleConnections(); _ = conn.Close() })
	return &wireline{t, &http.Client{Transport: transport}, "https://" + address, binding}
}

// spoken is all that a device hears.
type spoken struct {
	status int
	header string
	body   string
}

// ask makes one request; header may be nil.
func (l *wireline) ask(method, path, token string, header map[string]string, body []byte) spoken {
	l.t.Helper()
	req, err := http.NewRequest(method, l.url+path, bytes.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := l.client.Do(req)
	if err != nil {
		l.t.Fatal(err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	resp.Header.Del("Date")
	return spoken{resp.StatusCode, fmt.Sprint(resp.Header), string(said)}
}

func (l *wireline) token(d *relaytest.Device, method string, id wire.BlobID, now time.Time) string {
	l.t.Helper()
	token, err := wire.SignBlob(d.Device.Login.Private, d.ID, wire.BlobRequest{Relay: "relay-1", Method: method, Blob: id, Binding: l.binding}, now, rand.Reader)
	if err != nil {
		l.t.Fatal(err)
	}
	return token
}

// forged signs claims that SignBlob would not.
func forged(d *relaytest.Device, header, claims map[string]any) string {
	part := func(m map[string]any) string {
		b, _ := json.Marshal(m)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	signed := part(header) + "." + part(claims)
	sig := ed25519.Sign(d.Device.Login.Private, []byte(signed))
	if header["alg"] == "none" {
		sig = nil
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(sig)
}

// Each spoilt token hears the same; the control, spoilt by nothing, is let in.
func TestBlobTokensRefused(t *testing.T) {
	w := relaytest.New(t, relaytest.Config{})
	a, b := w.Enrol("vt20/crisis", identity.RoleVeiligThuis), w.Enrol("pol-mn/zeden", identity.RolePolitie)
	revoked := w.Enrol("vt20/oud", identity.RoleVeiligThuis)
	w.Revoke(revoked)
	_, id := sealed(10)
	path, now := wire.BlobPath+id.String(), time.Now()
	other := lineTo(t, w)
	text := base64.RawURLEncoding.EncodeToString
	var first spoken
	for i, c := range []struct {
		name  string
		spoil func(header, claims map[string]any)
		by    *relaytest.Device
		want  int
	}{
		{"control", func(_, _ map[string]any) {}, a, 404},
		{"alg none", func(h, _ map[string]any) { h["alg"] = "none" }, a, 401},
		{"alg EdDSA", func(h, _ map[string]any) { h["alg"] = "EdDSA" }, a, 401},
		{"the type of a login", func(h, _ map[string]any) { h["typ"] = wire.TokenType }, a, 401},
		{"another audience", func(_, c map[string]any) { c["aud"] = "relay-2" }, a, 401},
		{"two audiences", func(_, c map[string]any) { c["aud"] = []string{"relay-1", "relay-2"} }, a, 401},
		{"expired", func(_, c map[string]any) { c["iat"], c["exp"] = now.Unix()-90, now.Unix()-40 }, a, 401},
		{"lives too long", func(_, c map[string]any) { c["exp"] = now.Unix() + 600 }, a, 401},
		{"another method", func(_, c map[string]any) { c["htm"] = "DELETE" }, a, 401},
		{"a method in lower case", func(_, c map[string]any) { c["htm"] = "head" }, a, 401},
		{"another blob", func(_, c map[string]any) { c["blob"] = wire.BlobID{1}.String() }, a, 401},
		{"another TLS connection", func(_, c map[string]any) { c["cb"] = text(other.binding) }, a, 401},
		{"no TLS connection", func(_, c map[string]any) { c["cb"] = "" }, a, 401},
		{"a claim more", func(_, c map[string]any) { c["admin"] = true }, a, 401},
		{"a claim less", func(_, c map[string]any) { delete(c, "htm") }, a, 401},
		{"somebody else's name", func(h, c map[string]any) { h["kid"], c["iss"], c["sub"] = b.ID.String(), b.ID.String(), b.ID.String() }, a, 401},
		{"a device that is not in the register", func(h, c map[string]any) {
			stranger := identity.DeviceID{9}.String()
			h["kid"], c["iss"], c["sub"] = stranger, stranger, stranger
		}, a, 401},
		{"revoked", func(_, _ map[string]any) {}, revoked, 401},
	} {
		l := lineTo(t, w)
		header := map[string]any{"alg": wire.TokenAlg, "typ": wire.BlobTokenType, "kid": c.by.ID.String()}
		claims := map[string]any{
			"iss": c.by.ID.String(), "sub": c.by.ID.String(), "aud": "relay-1", "iat": now.Unix() - 5, "exp": now.Unix() + 50,
			"jti": fmt.Sprint("token ", i), "htm": "HEAD", "blob": id.String(), "cb": text(l.binding),
		}
		c.spoil(header, claims)
		got := l.ask("HEAD", path, forged(c.by, header, claims), nil, nil)
		if got.status != c.want {
			t.Errorf("%s: %+v", c.name, got)
		}
		if c.want == 401 {
			if first.status == 0 {
				first = got
			}
			if got != first {
				t.Errorf("%s hears %+v, others %+v", c.name, got, first)
			}
		}
	}
	for name, ask := range map[string]func(l *wireline) spoken{
		"no token": func(l *wireline) spoken { return l.ask("HEAD", path, "", nil, nil) },
		"not a bearer": func(l *wireline) spoken {
			return l.ask("HEAD", path, "", map[string]string{"Authorization": "Basic YTpi"}, nil)
		},
		"a browser": func(l *wireline) spoken {
			return l.ask("HEAD", path, l.token(a, "HEAD", id, now), map[string]string{"Origin": "https://evil.example"}, nil)
		},
		"not a blob": func(l *wireline) spoken {
			return l.ask("HEAD", wire.BlobPath+"etc", l.token(a, "HEAD", id, now), nil, nil)
		},
		"upper case": func(l *wireline) spoken {
			return l.ask("HEAD", wire.BlobPath+strings.Repeat("A", 64), l.token(a, "HEAD", id, now), nil, nil)
		},
		"with a query":      func(l *wireline) spoken { return l.ask("HEAD", path+"?x=1", l.token(a, "HEAD", id, now), nil, nil) },
		"a token too large": func(l *wireline) spoken { return l.ask("HEAD", path, strings.Repeat("A", wire.MaxToken+1), nil, nil) },
	} {
		if got := ask(lineTo(t, w)); got != first {
			t.Errorf("%s hears %+v, others %+v", name, got, first)
		}
	}
	l := lineTo(t, w)
	token := l.token(a, "HEAD", id, now)
	if got := l.ask("HEAD", path, token, nil, nil); got.status != 404 {
		t.Errorf("control: %+v", got)
	}
	if got := l.ask("HEAD", path, token, nil, nil); got != first {
		t.Errorf("used twice: %+v", got)
	}
}

// Every verb on what is another desk's, not complete, or not there hears one answer.
func TestBlobsOfOthersAreNotThere(t *testing.T) {
	w := relaytest.New(t, relaytest.Config{})
	a, b := w.Enrol("vt20/crisis", identity.RoleVeiligThuis), w.Enrol("pol-mn/zeden", identity.RolePolitie)
	c := w.Enrol("opvang-1/piket", identity.RoleOpvang)
	content, theirs := sealed(1000)
	if err := upload(t, a.Blobs(), content, theirs, len(content), b.Desk); err != nil {
		t.Fatal(err)
	}
	half, unfinished := sealed(2 * wire.MinBlobPart)
	if _, err := a.Blobs().Append(context.Background(), unfinished, wire.BlobPart{
		Length: int64(len(half)), Desks: []identity.DeskID{b.Desk, c.Desk}, Body: bytes.NewReader(half), Size: wire.MinBlobPart,
	}); err != nil {
		t.Fatal(err)
	}
	_, guessed := sealed(10)
	for _, verb := range []string{"HEAD", "GET", "DELETE", "PATCH"} {
		var want spoken
		for i, id := range []wire.BlobID{guessed, theirs, unfinished} {
			l := lineTo(t, w)
			header := map[string]string{}
			if verb == "PATCH" { // goes on with what this device has not begun
				header = map[string]string{wire.HeaderOffset: "500", wire.HeaderLength: "1000", wire.HeaderDesks: "vt20/crisis"}
			}
			var body []byte
			if verb == "PATCH" {
				body = content[500:]
			}
			got := l.ask(verb, wire.BlobPath+id.String(), l.token(c, verb, id, time.Now()), header, body)
			if i == 0 {
				want = got
			}
			if got != want || verb != "PATCH" && got.status != 404 || verb == "PATCH" && got.status != 409 {
				t.Errorf("%s of %d: %+v, and of a guess %+v", verb, i, got, want)
			}
		}
	}
	if got, err := download(b.Blobs(), theirs, 0, len(content)); err != nil || !bytes.Equal(got, content) {
		t.Errorf("control: the desk it is for has %d bytes: %v", len(got), err)
	}
}

func TestBlobLanes(t *testing.T) {
	w := relaytest.New(t, relaytest.Config{})
	a := w.Enrol("vt20/crisis", identity.RoleVeiligThuis)
	w.Enrol("buza/dcv", identity.RoleBuza)
	w.Enrol("pol-mn/zeden", identity.RolePolitie)
	content, id := sealed(100)
	for desks, want := range map[identity.DeskID]error{"buza/dcv": wire.ErrBlobLane, "no/such": wire.ErrBlobLane, "pol-mn/zeden": nil, "vt20/crisis": nil} {
		if err := upload(t, a.Blobs(), content, id, 100, desks); !errors.Is(err, want) {
			t.Errorf("to %s: %v, want %v", desks, err, want)
		}
	}
}

func TestBlobRequestsRefused(t *testing.T) {
	w := relaytest.New(t, relaytest.Config{Blobs: blob.Config{MaxBytes: 4 << 20, OrgBytes: 6 << 20}})
	a := w.Enrol("vt20/crisis", identity.RoleVeiligThuis)
	w.Enrol("pol-mn/zeden", identity.RolePolitie)
	content, id := sealed(1000)
	if err := upload(t, a.Blobs(), content, id, 1000, "pol-mn/zeden"); err != nil {
		t.Fatal(err)
	}
	_, fresh := sealed(1)
	const offset, length, desks = wire.HeaderOffset, wire.HeaderLength, wire.HeaderDesks
	for _, c := range []struct {
		name, method string
		id           wire.BlobID
		header       map[string]string
		body         int
		want         int
	}{
		{"a method of ours that is not for blobs", "POST", id, nil, 0, 400},
		{"no headers", "PATCH", fresh, nil, 10, 400},
		{"an offset in hexadecimal", "PATCH", fresh, map[string]string{offset: "0x0", length: "10", desks: "pol-mn/zeden"}, 10, 400},
		{"a negative offset", "PATCH", fresh, map[string]string{offset: "-1", length: "10", desks: "pol-mn/zeden"}, 10, 400},
		{"an offset beyond all", "PATCH", fresh, map[string]string{offset: "9223372036854775807", length: "10", desks: "pol-mn/zeden"}, 10, 400},
		{"a sign", "PATCH", fresh, map[string]string{offset: "+0", length: "10", desks: "pol-mn/zeden"}, 10, 400},
		{"a desk twice", "PATCH", fresh, map[string]string{offset: "0", length: "10", desks: "pol-mn/zeden,pol-mn/zeden"}, 10, 400},
		{"no desk", "PATCH", fresh, map[string]string{offset: "0", length: "10", desks: ""}, 10, 400},
		{"a path for a desk", "PATCH", fresh, map[string]string{offset: "0", length: "10", desks: "../../etc"}, 10, 400},
		{"more than it says", "PATCH", fresh, map[string]string{offset: "0", length: "9", desks: "pol-mn/zeden"}, 10, 400},
		{"above the cap", "PATCH", fresh, map[string]string{offset: "0", length: "4194305", desks: "pol-mn/zeden"}, 10, 413},
		{"control: several ranges of nothing", "GET", fresh, map[string]string{"Range": "bytes=0-0"}, 0, 404},
		{"several ranges", "GET", id, map[string]string{"Range": "bytes=0-1,3-4"}, 0, 416},
		{"a range beyond", "GET", id, map[string]string{"Range": "bytes=1000-"}, 0, 416},
		{"a range of the end", "GET", id, map[string]string{"Range": "bytes=-7"}, 0, 206},
		{"all", "GET", id, nil, 0, 200},
		{"a doubt in another spelling", "HEAD", id, map[string]string{wire.HeaderDoubt: "?0"}, 0, 400},
		{"a doubt of what it cannot see", "HEAD", fresh, map[string]string{wire.HeaderDoubt: "?1"}, 0, 404},
		{"a doubt", "HEAD", id, map[string]string{wire.HeaderDoubt: "?1"}, 0, 200},
	} {
		l := lineTo(t, w)
		got := l.ask(c.method, wire.BlobPath+c.id.String(), l.token(a, c.method, c.id, time.Now()), c.header, make([]byte, c.body))
		if got.status != c.want {
			t.Errorf("%s: %+v, want %d", c.name, got, c.want)
		}
		if c.want == 206 && got.body != string(content[993:]) {
			t.Errorf("%s: other bytes", c.name)
		}
	}
	big, name := sealed(4 << 20)
	for i, want := range []error{nil, wire.ErrBlobFull} {
		name[0] = byte(i)
		_, err := a.Blobs().Append(context.Background(), name, wire.BlobPart{Length: 4 << 20, Desks: []identity.DeskID{"pol-mn/zeden"}, Body: bytes.NewReader(big), Size: 1 << 20})
		if !errors.Is(err, want) {
			t.Errorf("the share after %d: %v", i, err)
		}
	}
}

// A device that sends a part byte by byte, or nothing at all, is cut; and one whose
// second connection sends the same part is not kept waiting for the first.
func TestSlowBlobIsCut(t *testing.T) {
	w := relaytest.New(t, relaytest.Config{Limits: relay.Limits{BlobStall: time.Second}})
	a, b := w.Enrol("vt20/crisis", identity.RoleVeiligThuis), w.Enrol("pol-mn/zeden", identity.RolePolitie)
	content, id := sealed(1000)
	part := wire.BlobPart{Length: 1000, Desks: []identity.DeskID{b.Desk}, Size: 1000}
	r, hold := io.Pipe()
	defer hold.Close()
	part.Body = r
	if _, err := a.Blobs().Append(context.Background(), id, part); err == nil {
		t.Error("a part that never came was taken")
	}
	part.Body = bytes.NewReader(content)
	if state, err := a.Blobs().Append(context.Background(), id, part); err != nil || !state.Complete {
		t.Errorf("control: %+v, %v", state, err)
	}
}

func TestNewestUploadGoesOn(t *testing.T) {
	w := relaytest.New(t, relaytest.Config{})
	a, b := w.Enrol("vt20/crisis", identity.RoleVeiligThuis), w.Enrol("pol-mn/zeden", identity.RolePolitie)
	content, id := sealed(1000)
	part := wire.BlobPart{Length: 1000, Desks: []identity.DeskID{b.Desk}, Size: 1000}
	r, hold := io.Pipe()
	defer hold.Close()
	slow := part
	slow.Body = r
	cut := make(chan error, 1)
	go func() {
		_, err := a.Blobs().Append(context.Background(), id, slow)
		cut <- err
	}()
	if _, err := hold.Write(content[:500]); err != nil { // it is being read: the relay said 100 Continue
		t.Fatal(err)
	}
	part.Body = bytes.NewReader(content)
	if err := upload(t, a.Blobs(), content, id, 1000, b.Desk); err != nil {
		t.Errorf("the second: %v", err)
	}
	_ = hold.Close()
	if err := <-cut; err == nil {
		t.Error("both were taken")
	}
	if got, err := download(b.Blobs(), id, 0, 1000); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes: %v", len(got), err)
	}
}

// Rights end at once: a revoked device has nothing from its next request on.
func TestRevokedDeviceHasNoBlob(t *testing.T) {
	w := relaytest.New(t, relaytest.Config{})
	a, b := w.Enrol("vt20/crisis", identity.RoleVeiligThuis), w.Enrol("pol-mn/zeden", identity.RolePolitie)
	content, id := sealed(1000)
	if err := upload(t, a.Blobs(), content, id, 1000, b.Desk); err != nil {
		t.Fatal(err)
	}
	blobs := b.Blobs()
	if _, err := download(blobs, id, 0, 10); err != nil {
		t.Fatal("control:", err)
	}
	w.Revoke(b)
	if _, err := download(blobs, id, 0, 10); !errors.Is(err, wire.ErrBlobToken) {
		t.Errorf("revoked: %v", err)
	}
}

// Requests of one device have a rate, and their number under way a bound.
func TestBlobRate(t *testing.T) {
	w := relaytest.New(t, relaytest.Config{Limits: relay.Limits{BlobsPerSecond: 1}})
	a, b := w.Enrol("vt20/crisis", identity.RoleVeiligThuis), w.Enrol("pol-mn/zeden", identity.RolePolitie)
	blobs := a.Blobs()
	for i := 0; ; i++ {
		_, err := blobs.State(context.Background(), wire.BlobID{})
		if errors.Is(err, wire.ErrBlobRate) {
			break
		}
		if i == 1000 || !errors.Is(err, wire.ErrBlobNone) {
			t.Fatalf("after %d requests: %v", i, err)
		}
	}
	if _, err := b.Blobs().State(context.Background(), wire.BlobID{}); !errors.Is(err, wire.ErrBlobNone) {
		t.Errorf("control: another device: %v", err)
	}
}

// The clock moves: what was never finished is gone after a day, and what is complete
// after a week.
func TestBlobsEnd(t *testing.T) {
	clock := &movedClock{now: time.Now()}
	w := relaytest.New(t, relaytest.Config{Now: clock.Now, Limits: relay.Limits{BlobSweep: 20 * time.Millisecond}})
	a, b := w.Enrol("vt20/crisis", identity.RoleVeiligThuis), w.Enrol("pol-mn/zeden", identity.RolePolitie)
	content, id := sealed(2 * wire.MinBlobPart)
	half := wire.BlobPart{Length: int64(len(content)), Desks: []identity.DeskID{b.Desk}, Body: bytes.NewReader(content), Size: wire.MinBlobPart}
	if _, err := a.Blobs().Append(context.Background(), id, half); err != nil {
		t.Fatal(err)
	}
	gone := func(d *relaytest.Device) {
		t.Helper()
		for late := time.Now().Add(relaytest.Patience); ; {
			_, err := d.Blobs().State(context.Background(), id)
			if errors.Is(err, wire.ErrBlobNone) {
				return
			}
			if time.Now().After(late) || err != nil {
				t.Fatalf("still there: %v", err)
			}
			<-time.After(50 * time.Millisecond)
		}
	}
	clock.move(wire.UnfinishedLife + time.Second)
	gone(a)
	if err := upload(t, a.Blobs(), content, id, wire.MinBlobPart, b.Desk); err != nil {
		t.Fatal(err)
	}
	clock.move(wire.BlobLife + time.Second)
	gone(b)
}

// movedClock is a clock that a test moves.
type movedClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *movedClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *movedClock) move(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(by)
}

// Logs hold ids of devices, and at debug of blobs: no token, no byte, no desk at info.
func TestBlobLogsHoldIds(t *testing.T) {
	var said lockedBuffer
	w := relaytest.New(t, relaytest.Config{Log: slog.New(slog.NewTextHandler(&said, nil)), Blobs: blob.Config{MaxBytes: 4 << 20}})
	a, b := w.Enrol("vt20/crisis", identity.RoleVeiligThuis), w.Enrol("pol-mn/zeden", identity.RolePolitie)
	content, id := sealed(1000)
	_ = upload(t, a.Blobs(), content, wire.BlobID{1}, 1000, b.Desk) // other bytes than the name says
	if err := upload(t, a.Blobs(), content, id, 1000, b.Desk); err != nil {
		t.Fatal(err)
	}
	l := lineTo(t, w)
	token := l.token(a, "GET", id, time.Now())
	_ = l.ask("HEAD", wire.BlobPath+id.String(), token, nil, nil)
	text := said.String()
	if !strings.Contains(text, a.ID.String()) || !strings.Contains(text, "reason=request") {
		t.Errorf("control: the log does not say what happened: %s", text)
	}
	for _, leak := range []string{token, token[:40], id.String(), "vt20", "zeden", string(content[:20])} {
		if strings.Contains(text, leak) {
			t.Errorf("the log holds %q", leak)
		}
	}
}

// lockedBuffer is a buffer for several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
