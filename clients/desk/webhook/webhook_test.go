package webhook_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"schakel/clients/desk"
	"schakel/clients/desk/webhook"
	"schakel/clients/schakel"
	"schakel/clients/store"
	"schakel/clients/store/vault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// office is an office with a clock and events of the test's.
type office struct {
	*webhook.Office
	t      *testing.T
	st     *store.Store
	events chan schakel.Event

	mu  sync.Mutex
	now time.Time
}

func (o *office) Subscribe() (<-chan schakel.Event, func()) { return o.events, func() {} }

func (o *office) clock() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.now
}

func (o *office) pass(d time.Duration) {
	o.mu.Lock()
	o.now = o.now.Add(d)
	o.mu.Unlock()
	o.Wake()
}

func newOffice(t *testing.T, allow ...netip.Prefix) *office {
	t.Helper()
	st, err := store.Create(t.Context(), filepath.Join(t.TempDir(), "store"), store.CreateOptions{Keys: []vault.Way{
		vault.KeyFile{Path: filepath.Join(t.TempDir(), "key")}, vault.Passphrase{Phrase: "zes willekeurige woorden", WorkFactor: 4}}})
	ok(t, err)
	t.Cleanup(func() { st.Close() })
	o := &office{t: t, st: st, events: make(chan schakel.Event), now: time.Unix(1_790_000_000, 0)}
	o.Office = webhook.New(webhook.Config{Store: st, Events: o, Allow: allow, Now: o.clock})
	return o
}

// run runs the office until stop.
func (o *office) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- o.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				o.t.Error(err)
			}
		})
	}
	o.t.Cleanup(stop)
	return stop
}

func (o *office) tell(kind schakel.EventKind, message string) {
	o.events <- schakel.Event{Kind: kind, Message: message, Desk: "vt20/crisis", At: o.clock()}
}

func (o *office) only() desk.Webhook {
	o.t.Helper()
	all, err := o.Webhooks(o.t.Context())
	ok(o.t, err)
	if len(all) != 1 {
		o.t.Fatalf("%d webhooks", len(all))
	}
	return all[0]
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (o *office) until(what string, yes func() bool) {
	o.t.Helper()
	end := time.Now().Add(30 * time.Second)
	for !yes() {
		if time.Now().After(end) {
			o.t.Fatalf("%s: does not happen; %+v", what, o.only())
		}
		select {
		case <-o.t.Context().Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// other is a program that takes parcels.
type other struct {
	*httptest.Server
	mu     sync.Mutex
	answer func(n int, w http.ResponseWriter) // nil: takes them
	got    []got
}

type got struct {
	header http.Header
	body   string
	kind   string
}

func newOther(t *testing.T) *other {
	p := &other{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		var m struct{ Type string }
		_ = json.Unmarshal(b, &m)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.got = append(p.got, got{r.Header, string(b), m.Type})
		if p.answer != nil {
			p.answer(len(p.got), w)
		}
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *other) taken() []got {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]got{}, p.got...)
}

func (p *other) says(f func(n int, w http.ResponseWriter)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = f
}

func status(code int) func(int, http.ResponseWriter) {
	return func(_ int, w http.ResponseWriter) { w.WriteHeader(code) }
}

// signed checks a parcel as the specification of Standard Webhooks has a receiver do.
func signed(g got, secret string) bool {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(g.header.Get("webhook-id") + "." + g.header.Get("webhook-timestamp") + "." + g.body))
	for s := range strings.SplitSeq(g.header.Get("webhook-signature"), " ") {
		sent, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s, "v1,"))
		if strings.HasPrefix(s, "v1,") && err == nil && hmac.Equal(sent, mac.Sum(nil)) {
			return true
		}
	}
	return false
}

// TestParcels: an event arrives signed, thin and once; with two keys while they change.
func TestParcels(t *testing.T) {
	o, p := newOffice(t), newOther(t)
	first, err := o.AddWebhook(t.Context(), desk.WebhookRequest{URL: p.URL + "/in", Kinds: []string{"received"}})
	ok(t, err)
	o.run()
	o.until("the gap of the start is taken", func() bool { return len(p.taken()) == 1 })
	o.tell(schakel.EventStatus, "0f") // it did not ask for those
	o.tell(schakel.EventReceived, "4f")
	o.until("the event is taken", func() bool { return len(p.taken()) == 2 })
	g := p.taken()[1]
	if p.taken()[0].kind != "schakel.gap" || g.body != `{"type":"schakel.received","timestamp":"2026-09-21T14:13:20Z","data":{"message":"4f","desk":"vt20/crisis"}}` {
		t.Errorf("got %+v", p.taken())
	}
	if !signed(g, first.Secret) || !strings.HasPrefix(g.header.Get("webhook-id"), "msg_") || g.header.Get("webhook-timestamp") != "1790000000" {
		t.Errorf("signature %v", g.header)
	}
	changed := g
	changed.body += " "
	if signed(changed, first.Secret) {
		t.Error("control: a changed body is signed")
	}
	second, err := o.RotateWebhook(t.Context(), first.ID[:4])
	ok(t, err)
	o.tell(schakel.EventReceived, "5f")
	o.until("the next is taken", func() bool { return len(p.taken()) == 3 })
	if g := p.taken()[2]; !signed(g, first.Secret) || !signed(g, second.Secret) || first.Secret == second.Secret {
		t.Error("not signed with both keys")
	}
	third, err := o.RotateWebhook(t.Context(), first.ID)
	ok(t, err)
	ok(t, o.TestWebhook(t.Context(), first.ID))
	if g := p.taken()[3]; signed(g, first.Secret) || !signed(g, second.Secret) || !signed(g, third.Secret) || g.kind != "schakel.test" {
		t.Error("the first key is good after two rotations")
	}
	o.until("it is noted that all was taken", func() bool { return o.only().Waiting == 0 })
	if w := o.only(); w.LastGood.IsZero() || w.Secrets != 2 {
		t.Errorf("%+v", w)
	}
}

// TestRetries: what is not taken is tried after the published times, under one name, also
// after a restart; then the webhook is disabled with an alarm, and nothing is lost.
func TestRetries(t *testing.T) {
	o, p := newOffice(t), newOther(t)
	p.says(status(503))
	w, err := o.AddWebhook(t.Context(), desk.WebhookRequest{URL: p.URL})
	ok(t, err)
	stop := o.run()
	o.until("the first try", func() bool { return len(p.taken()) == 1 })
	name := p.taken()[0].header.Get("webhook-id")
	tries := func() (n int) {
		for _, g := range p.taken() {
			if g.header.Get("webhook-id") == name {
				n++
			}
		}
		return n
	}
	for n, wait := range webhook.Schedule() {
		o.until("a try", func() bool { return tries() == n+1 })
		o.until("it is noted", func() bool { return o.due(o.clock().Add(wait)) })
		if n == 3 { // a restart in the middle of a night
			stop()
			o.Office = webhook.New(webhook.Config{Store: o.st, Events: o, Now: o.clock})
			o.run()
		}
		o.pass(wait - time.Second)
		o.pass(time.Second)
	}
	o.until("it is disabled", func() bool { return o.only().Disabled })
	if tries() != len(webhook.Schedule())+1 {
		t.Errorf("%d tries", tries())
	}
	alarms(t, o, 1)
	o.pass(48 * time.Hour)
	before := len(p.taken())
	p.says(nil)
	_, err = o.Redeliver(t.Context(), w.ID)
	ok(t, err)
	o.until("everything is taken", func() bool { s := o.only(); return s.Waiting == 0 && !s.Disabled && s.Failing.IsZero() })
	if len(p.taken()) <= before {
		t.Error("nothing was sent")
	}
	alarms(t, o, 0)
}

// TestNoRoom: where too many parcels wait nothing is added, gaps neither, and who missed
// something is told so once there is room.
func TestNoRoom(t *testing.T) {
	o, p := newOffice(t), newOther(t)
	_, err := o.AddWebhook(t.Context(), desk.WebhookRequest{URL: p.URL})
	ok(t, err)
	waiting := func(change func(tx *store.Tx, i int) error, n int) (count int) {
		ok(t, o.st.Update(t.Context(), func(tx *store.Tx) (err error) {
			for i := 0; i < n && err == nil; i++ {
				err = change(tx, i)
			}
			if err == nil {
				count, err = tx.CountKept(store.ShelfParcels)
			}
			return err
		}))
		return count
	}
	id := func(i int) []byte { return binary.BigEndian.AppendUint32([]byte("of other"), uint32(i)) }
	waiting(func(tx *store.Tx, i int) error {
		return tx.Keep(store.ShelfParcels, store.Kept{ID: id(i), At: o.clock().Add(1000 * time.Hour), Content: []byte{0}})
	}, webhook.MaxParcels)
	o.run()
	for range 10 {
		o.tell(schakel.EventGap, "")
		o.tell(schakel.EventReceived, "4f")
	}
	if n := waiting(nil, 0); n != webhook.MaxParcels || len(p.taken()) != 0 {
		t.Errorf("%d parcels wait, %d were taken", n, len(p.taken()))
	}
	waiting(func(tx *store.Tx, i int) error { return tx.Forget(store.ShelfParcels, id(i)) }, 2)
	o.tell(schakel.EventReceived, "5a")
	o.until("the next one and the gap are taken", func() bool {
		all := p.taken()
		return len(all) == 2 && all[0].kind == "schakel.received" && all[1].kind == "schakel.gap"
	})
}

// due reports whether something waits until that time.
func (o *office) due(at time.Time) (yes bool) {
	ok(o.t, o.st.View(o.t.Context(), func(tx *store.Tx) error {
		all, err := tx.KeptUntil(store.ShelfParcels, time.Time{}, 100)
		for _, k := range all {
			yes = yes || k.At.Equal(at)
		}
		return err
	}))
	return yes
}

func alarms(t *testing.T, o *office, want int) {
	t.Helper()
	ok(t, o.st.View(t.Context(), func(tx *store.Tx) error {
		all, err := tx.Alarms()
		if len(all) != want || want > 0 && all[0].Kind != string(schakel.AlarmWebhook) {
			t.Errorf("alarms %+v, want %d", all, want)
		}
		return err
	}))
}

// TestOneThatIsGone: who wants to hear no more is not told again, and delays no other.
func TestOneThatIsGone(t *testing.T) {
	o, gone, fine := newOffice(t), newOther(t), newOther(t)
	gone.says(status(410))
	_, err := o.AddWebhook(t.Context(), desk.WebhookRequest{URL: gone.URL})
	ok(t, err)
	w, err := o.AddWebhook(t.Context(), desk.WebhookRequest{URL: fine.URL})
	ok(t, err)
	o.run()
	o.until("the other is served", func() bool { return len(fine.taken()) == 1 })
	o.until("the one that is gone is disabled", func() bool {
		all, err := o.Webhooks(t.Context())
		ok(t, err)
		return all[0].Disabled != all[1].Disabled
	})
	ok(t, o.RemoveWebhook(t.Context(), w.ID))
	o.only()
	o.tell(schakel.EventAlarm, "")
	if n := len(gone.taken()); n != 1 {
		t.Errorf("it was told %d times", n)
	}
}

// TestWhereParcelsMayGo: this machine, and what the owner listed; no way to write another
// address gets past that, nor a redirect, nor a name that resolves to one.
func TestWhereParcelsMayGo(t *testing.T) {
	o := newOffice(t, netip.MustParsePrefix("10.1.2.0/24"))
	for _, url := range []string{
		"", "x", "ftp://127.0.0.1/", "file:///etc/passwd", "http://", "http://u:p@127.0.0.1/", "http://127.0.0.1/#whsec_x", "javascript:alert(1)", "unix:///run/x",
		"http://10.1.2.3/", "http://192.0.2.7/", "https://192.0.2.7/", "https://10.1.3.1/", "https://169.254.169.254/latest/meta-data", "https://[fe80::1]/", "https://0.0.0.0/", "http://0.0.0.0/", "http://[::]/",
		"https://[::ffff:192.0.2.7]/", "https://[64:ff9b::7f00:1]/", "http://intranet.example/", "http://127.0.0.1.example/", "http://127.1.example:80/", "https://[::ffff:10.9.9.9]/",
		"http://" + strings.Repeat("a", 600),
	} {
		if _, err := o.AddWebhook(t.Context(), desk.WebhookRequest{URL: url}); !errors.Is(err, desk.ErrTarget) {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, url := range []string{"http://127.0.0.1:9/", "http://127.9.9.9/", "http://[::1]:9/", "http://[::ffff:127.0.0.1]/", "https://10.1.2.3/in", "https://hooks.example/in", "http://localhost:9/"} {
		w, err := o.AddWebhook(t.Context(), desk.WebhookRequest{URL: url})
		ok(t, err)
		ok(t, o.RemoveWebhook(t.Context(), w.ID))
	}
	if _, err := o.AddWebhook(t.Context(), desk.WebhookRequest{URL: "http://127.0.0.1/", Kinds: []string{"all"}}); !errors.Is(err, desk.ErrRequest) {
		t.Errorf("no such kind: %v", err)
	}

	inside := newOther(t) // what must not be reached
	outside := newOther(t)
	for name, answer := range map[string]func(int, http.ResponseWriter){
		"301": redirect(301, inside.URL), "302": redirect(302, "http://169.254.169.254/"), "307": redirect(307, inside.URL), "308": redirect(308, "file:///etc/passwd"),
	} {
		outside.says(answer)
		w, err := o.AddWebhook(t.Context(), desk.WebhookRequest{URL: outside.URL})
		ok(t, err)
		if err := o.TestWebhook(t.Context(), w.ID); !errors.Is(err, desk.ErrNotTaken) || !strings.Contains(err.Error(), "redirected") {
			t.Errorf("%s: %v", name, err)
		}
		ok(t, o.RemoveWebhook(t.Context(), w.ID))
	}
	if len(inside.taken()) > 0 {
		t.Error("a redirect was followed")
	}
}

func redirect(code int, to string) func(int, http.ResponseWriter) {
	return func(_ int, w http.ResponseWriter) {
		w.Header().Set("Location", to)
		w.WriteHeader(code)
	}
}
