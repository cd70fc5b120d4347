package relay_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
	"schakel/relay"
	"schakel/relay/relaytest"
	"schakel/relay/wire"
)

// fetch collects the answer to one Fetch.
func fetch(t *testing.T, s *relaytest.Session, from uint64) (u trust.Update, pieces int) {
	t.Helper()
	s.Send(wire.Fetch{From: from})
	u = trust.Update{From: from}
	for {
		r := relaytest.Expect[wire.Register](s)
		pieces++
		u.Checkpoint, u.Proof = r.Checkpoint, r.Proof
		if err := u.Add(r.From, r.Entries); err != nil {
			t.Fatal(err)
		}
		if !r.More {
			return u, pieces
		}
	}
}

func TestFetchIsWhatClientsVerify(t *testing.T) {
	w, vt, _ := pair(t, relaytest.Config{})
	before := len(w.Entries())
	for i := range wire.MaxEntries + 20 {
		w.AddDesk(identity.DeskID(fmt.Sprintf("vt20/desk-%d", i)), identity.RoleVeiligThuis)
	}
	if _, err := w.Register.Import(context.Background(), w.Entries()[before:], time.Now()); err != nil {
		t.Fatal(err)
	}
	s := vt.Login()
	reg, err := trust.New(w.Genesis(), w.Fingerprint())
	if err != nil {
		t.Fatal(err)
	}
	pinned := reg.Pin()
	u, pieces := fetch(t, s, pinned.Size)
	if pieces < 2 {
		t.Errorf("%d pieces: the test does not show what it is for", pieces)
	}
	if reg, pinned, err = trust.Advance(reg, pinned, u); err != nil {
		t.Fatal(err)
	}
	if reg.Size() != w.Chain.Register().Size() || len(reg.Skipped(0)) != 0 {
		t.Errorf("size %d, skipped %v", reg.Size(), reg.Skipped(0))
	}
	// Nothing new, and then a little.
	u, _ = fetch(t, s, pinned.Size)
	if reg, pinned, err = trust.Advance(reg, pinned, u); err != nil {
		t.Fatal(err)
	}
	d := w.Enrol("om-mn/zsm", "om")
	until(t, "told of the growth", func() bool {
		return relaytest.Expect[wire.Advanced](s).RegisterSize == w.Chain.Register().Size()
	})
	u, _ = fetch(t, s, pinned.Size)
	if reg, _, err = trust.Advance(reg, pinned, u); err != nil {
		t.Fatal(err)
	}
	if _, ok := reg.Device(d.ID); !ok {
		t.Error("the new device is missing")
	}
}

func TestFetchBeyondTheEnd(t *testing.T) {
	_, vt, _ := pair(t, relaytest.Config{})
	s := vt.Login()
	for _, from := range []uint64{1 << 40, 1<<64 - 1} {
		s.Send(wire.Fetch{From: from})
		if r := relaytest.Expect[wire.Register](s); len(r.Entries) != 0 || r.More {
			t.Errorf("from %d: %d entries", from, len(r.Entries))
		}
	}
	s.Send(wire.Fetch{From: 0})
	if r := relaytest.Expect[wire.Register](s); len(r.Entries) == 0 {
		t.Error("control: from the beginning")
	}
}

func TestAppendAndKeys(t *testing.T) {
	w, vt, pol := pair(t, relaytest.Config{})
	s := vt.Login()
	epochs := vt.Epochs(17, 2, w.Now.Add(16*24*time.Hour))
	entry, err := epochs.Sign(w.Chain.Register().Next(epochs.Subject()), vt.Sign)
	if err != nil {
		t.Fatal(err)
	}
	keys := vt.Recipients(17, 2)
	for _, c := range []struct {
		name       string
		entry      []byte
		recipients []string
		want       wire.Code
	}{
		{"no entry", []byte("hello"), nil, wire.CodeEntry},
		{"recipients missing", entry, nil, wire.CodeRecipients},
		{"recipients swapped", entry, []string{keys[1], keys[0]}, wire.CodeRecipients},
		{"control", entry, keys, wire.CodeOK},
		{"again", entry, keys, wire.CodeOK},
	} {
		s.Send(wire.Append{Tag: 5, Entry: c.entry, Recipients: c.recipients})
		if a := relaytest.Expect[wire.Appended](s); a.Code != c.want || a.Tag != 5 {
			t.Errorf("%s: %+v", c.name, a)
		}
	}
	s.Send(wire.WantKeys{Tag: 6, Keys: []wire.KeyWanted{{Device: vt.ID, Epoch: 18}, {Device: pol.ID, Epoch: 99}, {Device: pol.ID, Epoch: 1}}})
	got := relaytest.Expect[wire.KeysAre](s)
	if want := []string{keys[1], "", pol.Recipient(1)}; fmt.Sprint(got.Recipients) != fmt.Sprint(want) {
		t.Errorf("keys %q", got.Recipients)
	}
}

func TestAsksAreLimited(t *testing.T) {
	_, vt, _ := pair(t, relaytest.Config{Limits: relay.Limits{AsksPerSecond: 1}})
	s := vt.Login()
	for i := range 5 {
		s.Send(wire.Append{Tag: uint64(i), Entry: []byte("x")})
		want := wire.CodeEntry
		if i == 4 {
			want = wire.CodeRate
		}
		if a := relaytest.Expect[wire.Appended](s); a.Code != want {
			t.Errorf("%d: %v", i, a.Code)
		}
	}
}

// A partner that joins posts its entries before it can log in.
func TestPostedEntries(t *testing.T) {
	w, vt, _ := pair(t, relaytest.Config{Limits: relay.Limits{EntriesPerMin: 32}})
	client := clientFrom(w, "127.0.0.1")
	post := func(body []byte) (int, wire.EntryAnswer) {
		t.Helper()
		resp, err := client.Post("https"+w.URL[3:]+wire.RegisterPath, "application/octet-stream", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		var a wire.EntryAnswer
		_ = json.Unmarshal(b, &a)
		return resp.StatusCode, a
	}
	d := trusttest.NewDevice("posted", vt.Desk, w.Now)
	entry, err := d.Device.Sign(trust.First(), trusttest.OrgKey("vt20"), d.Sign, d.Login)
	if err != nil {
		t.Fatal(err)
	}
	if code, a := post(entry); code != http.StatusOK || a.Code != "ok" || a.Index != w.Chain.Register().Size() {
		t.Errorf("%d %+v", code, a)
	}
	forged, err := d.Device.Sign(trust.First(), trusttest.NewKey("somebody"), d.Sign, d.Login)
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string][]byte{"noise": junk(100), "forged": forged} {
		if code, a := post(body); code != http.StatusUnprocessableEntity || a.Code != wire.CodeEntry.String() {
			t.Errorf("%s: %d %+v", name, code, a)
		}
	}
	if code, _ := post(make([]byte, wire.MaxEntry+1)); code != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: %d", code)
	}
	if code, _ := post(junk(10)); code != http.StatusTooManyRequests {
		t.Errorf("too many: %d", code)
	}
	client = clientFrom(w, "127.0.0.2") // what one address used up, another still has
	if code, _ := post(junk(10)); code != http.StatusUnprocessableEntity {
		t.Errorf("from another address: %d", code)
	}
	for range 3 {
		_, _ = post(junk(10))
	}
	client = clientFrom(w, "127.0.0.3") // and together they have a limit
	refused := 0
	for range 4 {
		if code, _ := post(junk(10)); code == http.StatusTooManyRequests {
			refused++
		}
	}
	if refused == 0 {
		t.Error("a third address posts although the two before used up what all have together")
	}
}

// clientFrom is an HTTP client with an address of its own.
func clientFrom(w *relaytest.World, address string) *http.Client {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: w.TLS(), DisableKeepAlives: true, DialContext: dialer.DialContext}}
}

// Whoever has one IPv6 address has 2^64 of them, and counts as one.
func TestAddressesCountByNetwork(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.7:1": "192.0.2.7", "[::ffff:192.0.2.7]:1": "192.0.2.7",
		"[2001:db8:1:2:3::4]:1": "2001:db8:1:2::/64", "[2001:db8:1:2:ffff::9]:2": "2001:db8:1:2::/64",
		"[2001:db8:1:3::4]:1": "2001:db8:1:3::/64", "[fe80::1%eth0]:1": "fe80::/64", "@": "@",
	} {
		if got := relay.HostOf(address); got != want {
			t.Errorf("%s counts as %s, want %s", address, got, want)
		}
	}
}
