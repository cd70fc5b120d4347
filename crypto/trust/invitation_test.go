package trust_test

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
)

// request is what a new partner hands to the root holders.
func request(w *world) []byte {
	desk := trust.Desk{ID: "om/zsm", Name: "ZSM", Role: identity.RoleOM, Region: "XA", Phone: "+31600000030"}
	return w.ok(trust.AdmissionRequest{Org: trusttest.Org("om"), Desk: desk}.Sign(trusttest.OrgKey("om")))
}

// invitation admits that partner.
func invitation(w *world, holders ...trust.Signer) []byte {
	a, err := trust.ParseAdmissionRequest(request(w))
	if err != nil {
		w.t.Fatal(err)
	}
	entries, err := a.Admit(w.Register(), w.Quorum()...)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range entries {
		w.Add(e)
	}
	i, err := trust.NewInvitation("om/zsm", w.Entries())
	if err != nil {
		w.t.Fatal(err)
	}
	return w.ok(i.Sign(holders...))
}

// TestAdmission walks from the request to an enrolled device.
func TestAdmission(t *testing.T) {
	w := newWorld(t)
	i, err := trust.ParseInvitation(invitation(w, w.Quorum()...))
	if err != nil {
		t.Fatal(err)
	}
	if err := i.CheckFingerprint(strings.ReplaceAll(w.Fingerprint(), " ", "-")); err != nil {
		t.Errorf("fingerprint as typed: %v", err)
	}
	if err := i.CheckFingerprint(trust.GenesisFingerprint([]byte("x"))); !errors.Is(err, trust.ErrGenesis) {
		t.Errorf("another fingerprint: %v", err)
	}
	relay, ok := i.Register().Relay()
	if !ok || relay.Relay != w.Relay || i.Desk != "om/zsm" {
		t.Errorf("relay %+v, desk %s", relay, i.Desk)
	}
	d := trusttest.NewDevice("om", "om/zsm", now)
	w.Add(w.ok(d.Device.Sign(trust.First(), trusttest.OrgKey("om"), d.Sign, d.Login)))

	second := trust.Desk{ID: "om/zsm-2", Name: "ZSM 2", Role: identity.RoleOM, Region: "XA", Phone: "+31600000031"}
	raw := w.ok(trust.AdmissionRequest{Org: trusttest.Org("om"), Desk: second}.Sign(trusttest.OrgKey("om")))
	a, err := trust.ParseAdmissionRequest(raw)
	if err != nil {
		t.Fatal(err)
	}
	if entries, err := a.Admit(w.Register(), w.Quorum()...); err != nil || len(entries) != 1 {
		t.Errorf("second desk of a known organisation: %d entries, %v", len(entries), err)
	}
	if a.Fingerprint() == i.Register().Authority().Keys[0].String() || len(a.Fingerprint()) != 47 {
		t.Errorf("fingerprint %q", a.Fingerprint())
	}
}

func TestAdmissionRefused(t *testing.T) {
	w := newWorld(t)
	good := request(w)
	om, stranger := noteSigner{"org", trusttest.OrgKey("om")}, noteSigner{"org", trusttest.NewKey("stranger")}
	other := w.ok(trust.AdmissionRequest{Org: trusttest.Org("vt20"), Desk: trust.Desk{ID: "vt20/b", Name: "B",
		Role: identity.RoleOM, Region: "XA", Phone: "+31600000030"}}.Sign(trusttest.OrgKey("vt20")))
	deskLine := func(raw []byte) string {
		_, line, _ := strings.Cut(textOf(raw), "\ndesk ")
		return "desk " + line
	}
	for what, bad := range map[string][]byte{
		"signed by a stranger": forge(t, textOf(good), stranger),
		"another name":         edit(t, good, "Organisatie om", "Organisatie OM", stranger),
		"another's desk":       edit(t, good, deskLine(good), deskLine(other), om),
		"a device as desk":     edit(t, good, deskLine(good), "desk "+base64.StdEncoding.EncodeToString(w.freshDevice())+"\n", om),
		"suspended":            edit(t, good, "status active", "status suspended", om),
		"a line more":          forge(t, textOf(good)+"more x\n", om),
		"signed twice":         append(slices.Clone(good), good[len(textOf(good))+1:]...),
		"an invitation":        invitation(w, w.Quorum()...),
		"an entry":             w.Genesis(),
		"nothing":              nil,
		"33 KiB":               append(slices.Repeat([]byte("x"), 33<<10), good...),
	} {
		if _, err := trust.ParseAdmissionRequest(bad); !errors.Is(err, trust.ErrRequest) || errors.Is(err, trust.ErrSkipped) {
			t.Errorf("%s: %v", what, err)
		}
	}
	a, err := trust.ParseAdmissionRequest(good)
	if err != nil {
		t.Fatalf("control: %v", err)
	}
	if _, err := a.Admit(w.Register(), w.Quorum()...); !errors.Is(err, trust.ErrRequest) {
		t.Errorf("admitted twice: %v", err)
	}
	usurper := trusttest.Org("vt20")
	usurper.Key = trusttest.NewKey("usurper").Public()
	raw := w.ok(trust.AdmissionRequest{Org: usurper, Desk: trust.Desk{ID: "vt20/b", Name: "B", Role: identity.RoleOM,
		Region: "XA", Phone: "+31600000030"}}.Sign(trusttest.NewKey("usurper")))
	if a, err = trust.ParseAdmissionRequest(raw); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Admit(w.Register(), w.Quorum()...); !errors.Is(err, trust.ErrRequest) {
		t.Errorf("another key in the name of a known organisation: %v", err)
	}
	mixed := trust.AdmissionRequest{Org: trusttest.Org("om"), Desk: trust.Desk{ID: "vt20/b", Name: "B", Role: identity.RoleOM, Region: "XA", Phone: "+31600000030"}}
	if _, err := mixed.Sign(trusttest.OrgKey("om")); !errors.Is(err, trust.ErrRequest) {
		t.Errorf("desk of another organisation: %v", err)
	}
}

func TestInvitationRefused(t *testing.T) {
	w := newWorld(t)
	good := invitation(w, w.Quorum()...)
	line := func(i int) string { return strings.SplitAfter(textOf(good), "\n")[i] }
	without := func(i int) []byte { return edit(t, good, line(i), "", w.root...) }
	// 0 format, 1 desk, 2 genesis, 3 relay, 4 organisation, 5 desk entry
	for what, bad := range map[string][]byte{
		"signed by one holder of two": forge(t, textOf(good), w.root[0]),
		"signed by the relay":         forge(t, textOf(good), noteSigner{"root", w.Log}, noteSigner{"root", w.Receipt}),
		"a stranger's beside enough":  forge(t, textOf(good), append(slices.Clone(w.root), noteSigner{"root", trusttest.NewKey("x")})...),
		"no genesis":                  without(2),
		"no relay":                    without(3),
		"no organisation":             without(4),
		"no desk entry":               without(5),
		"entries exchanged":           edit(t, good, line(4)+line(5), line(5)+line(4), w.root...),
		"for another desk":            edit(t, good, "desk om/zsm", "desk om/zsm2", w.root...),
		"a line more":                 forge(t, textOf(good)+"more x\n", w.root...),
		"loose base64":                edit(t, good, "\nentry ", "\nentry =", w.root...),
		"nothing":                     nil,
		"a request":                   request(w),
		"600 KiB":                     append(slices.Repeat([]byte("x"), 600<<10), good...),
		"65 entries":                  edit(t, good, line(5), strings.Repeat(line(5), 62), w.root...),
	} {
		if _, err := trust.ParseInvitation(bad); !errors.Is(err, trust.ErrInvitation) || errors.Is(err, trust.ErrSkipped) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := trust.ParseInvitation(good); err != nil {
		t.Errorf("control: %v", err)
	}
	if _, err := trust.NewInvitation("om/other", w.Entries()); !errors.Is(err, trust.ErrInvitation) {
		t.Errorf("invitation for a desk that nobody admitted: %v", err)
	}
}

// TestInvitationByTurns: one holder signs, sends it on, and the next one signs.
func TestInvitationByTurns(t *testing.T) {
	w := newWorld(t)
	one := invitation(w, w.Holders[1])
	if _, err := trust.ParseInvitation(one); !errors.Is(err, trust.ErrInvitation) {
		t.Fatalf("one of two: %v", err)
	}
	both := w.ok(trust.CosignInvitation(one, w.Holders[0], w.Holders[1]))
	i, err := trust.ParseInvitation(both)
	if err != nil {
		t.Fatal(err)
	}
	if string(w.ok(i.Sign(w.Quorum()...))) != string(both) {
		t.Error("the same holders give other bytes")
	}
}

func TestEntriesFile(t *testing.T) {
	w := newWorld(t)
	file := trust.FormatEntries("all of them", w.Entries())
	for what, f := range map[string]string{
		"as written":   string(file),
		"from Windows": strings.ReplaceAll(string(file), "\n", "\r\n"),
		"by mail":      "\n\n  " + strings.ReplaceAll(string(file), "\n", "\n\n "),
		"without remarks": func() string {
			lines := strings.Split(string(file), "\n")
			return strings.Join(slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "#") }), "\n")
		}(),
	} {
		got, err := trust.ParseEntries([]byte(f))
		if err != nil || !slices.EqualFunc(got, w.Entries(), func(a, b []byte) bool { return string(a) == string(b) }) {
			t.Errorf("%s: %d entries, %v", what, len(got), err)
		}
	}
	for what, f := range map[string]string{
		"empty": "", "remarks only": "# hello\n", "no base64": "hello!\n", "loose base64": "QUJDREF=x\n",
		"an enormous line": base64.StdEncoding.EncodeToString(make([]byte, trust.MaxEntry+1)),
		"an enormous file": strings.Repeat("# remark\n", trust.MaxEntriesFile/9+1),
	} {
		if _, err := trust.ParseEntries([]byte(f)); !errors.Is(err, trust.ErrFormat) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
