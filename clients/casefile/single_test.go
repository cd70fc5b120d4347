package casefile_test

import (
	"bytes"
	"errors"
	"testing"

	"schakel/clients/casefile"
	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
)

func source(t testing.TB, w *world) casefile.Source {
	t.Helper()
	s, err := casefile.ReadSource(w.finish(t, false), w.told())
	ok(t, err)
	if !s.Compared || !s.Logged || s.Fingerprint != w.chain.Fingerprint() {
		t.Errorf("source %+v", s)
	}
	return s
}

// One message by itself says who said it, and of when no more than its keys tell.
func TestSingleMessage(t *testing.T) {
	w := story(t)
	s := source(t, w)
	raw := w.dossier.Messages[1]
	m, err := message.Parse(raw)
	ok(t, err)
	got, err := casefile.VerifySingle(raw, s)
	ok(t, err)
	person, _ := s.Register.Person(w.vt.Person.ID)
	if !casefile.IsSingle(raw) || got.Kind != casefile.KindMessage || got.Hash != m.Hash().String() || got.Desk != w.vt.Desk || got.Person == nil ||
		got.Person.ID != w.vt.Person.ID.String() || got.Claimed.Unix() != int64(m.Message.Created) || got.Entry != person.Since || got.NotBefore.IsZero() ||
		got.Device.Standing != casefile.StandingActive {
		t.Errorf("%+v", got)
	}
	for i := range raw {
		changed := bytes.Clone(raw)
		changed[i] ^= 1
		if _, err := casefile.VerifySingle(changed, s); err == nil {
			t.Fatalf("byte %d changed, and it verifies", i)
		}
	}
	other := trusttest.New(w.at)
	empty, err := casefile.ReadSource(trust.FormatEntries("register", other.Entries()), casefile.Options{})
	ok(t, err)
	if _, err := casefile.VerifySingle(raw, empty); !errors.Is(err, identity.ErrBadSignature) || empty.Logged || empty.Compared {
		t.Errorf("by another register: %v", err)
	}
	if _, err := casefile.ReadSource(w.finish(t, false), casefile.Options{Genesis: trusttest.New(w.at.AddDate(1, 0, 0)).Fingerprint()}); !errors.Is(err, trust.ErrGenesis) {
		t.Errorf("another fingerprint: %v", err)
	}
	if _, err := casefile.ReadSource([]byte("x"), casefile.Options{}); !errors.Is(err, casefile.ErrSource) {
		t.Errorf("no register: %v", err)
	}
}

// A statement by itself says which desk had what, and when; what another desk signed for
// it says nothing.
func TestSingleStatement(t *testing.T) {
	w, asked := question(t)
	at := uint64(w.at.Unix())
	status := delivery.Status{Message: asked.Hash(), Received: at, Opened: at + 1}
	reg := w.chain.Register()
	seen := func(_ *envelope.Header, d *delivery.Delivery, _ *delivery.Statement) {
		d.Register = delivery.RegisterView{Size: reg.Size(), Root: reg.Root()}
	}
	s := source(t, w)
	got, err := casefile.VerifySingle(w.states(t, w.police, w.vt.Desk, seen, status), s)
	ok(t, err)
	if got.Kind != casefile.KindStatement || got.Desk != w.police.Desk || len(got.States) != 1 || got.States[0].Opened.Unix() != int64(at+1) ||
		!got.States[0].Rejected.IsZero() || got.Sealed == nil || !got.Sealed.Known || got.Sealed.By.ID != w.police.ID.String() {
		t.Errorf("%+v", got)
	}
	split := func(h *envelope.Header, d *delivery.Delivery, st *delivery.Statement) {
		seen(h, d, st)
		d.Register.Root[0] ^= 1
	}
	if got, err := casefile.VerifySingle(w.states(t, w.police, w.vt.Desk, split, status), s); err != nil || got.Sealed.Known {
		t.Errorf("another register than this one was seen: %+v, %v", got.Sealed, err)
	}
	lie := func(_ *envelope.Header, _ *delivery.Delivery, st *delivery.Statement) { st.From = w.doctor.Desk }
	if _, err := casefile.VerifySingle(w.states(t, w.police, w.vt.Desk, lie, status), s); !errors.Is(err, identity.ErrBadSignature) {
		t.Errorf("for another desk: %v", err)
	}
	test := func(_ *envelope.Header, d *delivery.Delivery, _ *delivery.Statement) { d.Kind = delivery.KindTest }
	if _, err := casefile.VerifySingle(w.states(t, w.police, w.vt.Desk, test, status), s); !errors.Is(err, casefile.ErrSingle) {
		t.Errorf("a test: %v", err)
	}
}

// Statements of destruction stand one behind the other, and are cut where they end.
func TestDeletionsAreCut(t *testing.T) {
	w := story(t)
	d := casefile.Deletion{Case: w.dossier.Case, Desk: w.vt.Desk, Device: w.vt.ID, At: w.at, Due: w.at, ClosedBy: "knooppunt/piket", Messages: []message.Hash{{1}}}
	one, err := d.Sign(w.vt.Sign)
	ok(t, err)
	d.Messages = nil
	two, err := d.Sign(w.vt.Sign)
	ok(t, err)
	all := casefile.Deletions(append(bytes.Clone(one), two...))
	if len(all) != 2 || !bytes.Equal(all[0], one) || !bytes.Equal(all[1], two) {
		t.Errorf("%d statements: %q", len(all), all)
	}
	if rest := casefile.Deletions(append(bytes.Clone(one), "more"...)); len(rest) != 1 || bytes.Equal(rest[0], one) {
		t.Error("what follows is lost")
	}
	if casefile.IsDeletions([]byte("schakel/zaakdossier/1\n")) || casefile.IsSingle(one) {
		t.Error("something else passes for one")
	}
}

func FuzzSingle(f *testing.F) {
	w, asked := question(f)
	s, err := casefile.ReadSource(w.finish(f, false), casefile.Options{})
	ok(f, err)
	f.Add(w.dossier.Messages[0])
	f.Add(w.states(f, w.police, w.vt.Desk, nil, delivery.Status{Message: asked.Hash(), Received: 1}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := casefile.VerifySingle(raw, s); err == nil && !casefile.IsSingle(raw) {
			t.Error("verified, and no single file")
		}
	})
}
