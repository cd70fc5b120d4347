package casefile_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"schakel/clients/casefile"
	"schakel/crypto/cose"
	"schakel/crypto/custody"
	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
)

// states is what a device states of messages to a desk, as it travels: the header of its
// envelope, and the signed delivery. change makes of it what an attacker would.
func (w *world) states(t testing.TB, by trusttest.Device, to identity.DeskID, change func(*envelope.Header, *delivery.Delivery, *delivery.Statement), on ...delivery.Status) []byte {
	t.Helper()
	w.count++
	at := uint64(w.at.Unix())
	st := delivery.Statement{Version: 1, From: by.Desk, To: to, Number: uint64(w.count), At: at, Statuses: on, Next: at + 3600}
	target := identity.DeviceID(trusttest.UUID("target"))
	h := envelope.Header{Version: 1, ID: envelope.ID(trusttest.UUID(fmt.Sprint("envelope", w.count))), Sealer: by.ID, Desk: to,
		Targets: []envelope.Target{{Device: target, Epoch: 1}}, Created: at, Expires: at + 1000, AgeLength: envelope.MinAge}
	d := delivery.Delivery{Version: 1, Kind: delivery.KindStatement, Counter: 1, Keys: []delivery.KeyUse{{Device: target, Epoch: 1}}}
	if change != nil {
		change(&h, &d, &st)
	}
	var err error
	d.Content, err = delivery.Encode(st)
	ok(t, err)
	prefix, err := h.Prefix()
	ok(t, err)
	payload, tbs, err := d.ToBeSigned(prefix)
	ok(t, err)
	signed, err := cose.Assemble(cose.KindDelivery, payload, ed25519.Sign(by.Sign.Private, tbs))
	ok(t, err)
	raw, err := delivery.Evidence{Prefix: prefix, Signed: signed}.Encode()
	ok(t, err)
	return raw
}

// promises is a receipt of the relay for an envelope that carried a message to a desk.
func (w *world) promises(t testing.TB, h message.Hash, desk identity.DeskID, relay ed25519.PrivateKey) []byte {
	t.Helper()
	digest := sha256.Sum256([]byte(h.String() + string(desk)))
	leaf := custody.Leaf{ID: envelope.ID{1}, Salt: [16]byte{2}}
	batch, paths, err := custody.NewBatch(custody.Terms{Guarantee: custody.GuaranteeDisk, At: uint64(w.at.Unix())},
		[][32]byte{custody.LeafHash(leaf.Salt, leaf.ID, digest)}, custody.PrivateKey(relay))
	ok(t, err)
	leaf.Path = paths[0]
	receipt, err := custody.Receipt{Batch: batch, Leaf: leaf}.Encode()
	ok(t, err)
	raw, err := casefile.Promise{Message: h, Desk: desk, Envelope: digest, Receipt: receipt}.Encode()
	ok(t, err)
	return raw
}

// question is a case in which Veilig Thuis, who makes the file, asks the police, who
// take it, open it and do not answer.
func question(t testing.TB) (*world, message.Signed) {
	w := story(t)
	s := w.say(t, w.vt, "signaal", message.Routine, body(t, "signaal"), nil, "arts/praktijk", "politie-mn/oc")
	return w, s
}

func wayTo(r casefile.Report, h message.Hash, desk identity.DeskID) casefile.Delivery {
	for _, m := range r.Messages {
		for _, d := range m.Deliveries {
			if m.Hash == h.String() && d.Desk == desk {
				return d
			}
		}
	}
	return casefile.Delivery{}
}

// The file says of each message and desk when it came how far, and by whose signature.
func TestProofsOfDelivery(t *testing.T) {
	w, asked := question(t)
	at := uint64(w.at.Unix())
	w.dossier.Promises = [][]byte{w.promises(t, asked.Hash(), "politie-mn/oc", w.chain.Receipt.Private)}
	w.dossier.Statements = [][]byte{
		w.states(t, w.police, w.vt.Desk, nil, delivery.Status{Message: asked.Hash(), Received: at + 5}),
		w.states(t, w.police, w.vt.Desk, nil, delivery.Status{Message: asked.Hash(), Received: at + 5, Opened: at + 90}),
		w.states(t, w.doctor, w.vt.Desk, nil, delivery.Status{Message: asked.Hash(), Received: at + 7, Rejected: at + 7, Rule: "R09"}),
	}
	r := casefile.Verify(w.finish(t, true), w.told())
	if !r.Sound || !r.PagesCompared {
		t.Fatalf("faults: %s", faults(r))
	}
	d := wayTo(r, asked.Hash(), "politie-mn/oc")
	if d.AtRelay == nil || d.AtRelay.By.ID != trusttest.RelayID || d.Guarantee != custody.GuaranteeDisk || d.Delivered == nil ||
		d.Delivered.By.ID != w.police.ID.String() || d.Delivered.At.Unix() != int64(at+5) || d.Opened == nil || d.Opened.At.Unix() != int64(at+90) || !d.Proven() {
		t.Errorf("to the police: %+v", d)
	}
	if d := wayTo(r, asked.Hash(), "arts/praktijk"); d.Rejected == nil || d.Rule != "R09" || d.AtRelay != nil {
		t.Errorf("to the doctor: %+v", d)
	}
	report, err := message.Parse(w.dossier.Messages[0])
	ok(t, err)
	if d := wayTo(r, report.Hash(), w.vt.Desk); d.Delivered == nil || d.Delivered.File != "aantekeningen.json" || d.Acknowledged == nil ||
		d.Acknowledged.By.ID != w.vt.Person.ID.String() {
		t.Errorf("what came here: %+v", d)
	}
	if d := wayTo(r, report.Hash(), "politie-mn/oc"); d.Proven() {
		t.Errorf("control: proven by nothing: %+v", d)
	}
	page := string(unpack(t, w.finish(t, true))["dossier.en.html"])
	if !strings.Contains(page, "signed by "+w.police.ID.String()) || !strings.Contains(page, "R09, signed by") || !strings.Contains(page, "(bewaring/") {
		t.Error("the page does not say who signed for the delivery")
	}
}

// A person acknowledges twice in one second, or two colleagues do: whoever makes the page
// names the same one, and the file stays genuine.
func TestAcknowledgedTwiceInOneSecond(t *testing.T) {
	w := story(t)
	first, err := message.Parse(w.dossier.Messages[1])
	ok(t, err)
	for range 4 {
		w.say(t, w.vt, first.Message.Heading.Class, message.Acute, string(first.Message.Body), func(m *message.Message) {
			m.Created, m.Person, m.Heading.Answers = first.Message.Created, w.vt.Person.ID[:], first.Message.Heading.Answers
		}, "arts/praktijk", "politie-mn/oc")
	}
	raw := w.finish(t, false)
	for range 20 {
		if r := casefile.Verify(raw, w.told()); !r.Sound || !r.PagesCompared {
			t.Fatalf("faults: %s", faults(r))
		}
	}
}

// What is no proof of this case is a fault that names the file, whoever signed the whole.
func TestForgedProofs(t *testing.T) {
	for name, forge := range map[string]func(w *world, s delivery.Status) (statement, promise []byte){
		"by a device of another desk": func(w *world, s delivery.Status) ([]byte, []byte) {
			return w.states(t, w.doctor, w.vt.Desk, func(_ *envelope.Header, _ *delivery.Delivery, st *delivery.Statement) { st.From = w.police.Desk }, s), nil
		},
		"by another key than the sealer's": func(w *world, s delivery.Status) ([]byte, []byte) {
			return w.states(t, w.vt, w.vt.Desk, func(h *envelope.Header, _ *delivery.Delivery, st *delivery.Statement) {
				h.Sealer, st.From = w.police.ID, w.police.Desk
			}, s), nil
		},
		"by nobody in the register": func(w *world, s delivery.Status) ([]byte, []byte) {
			return w.states(t, w.police, w.vt.Desk, func(h *envelope.Header, _ *delivery.Delivery, _ *delivery.Statement) {
				h.Sealer = identity.DeviceID(trusttest.UUID("nobody"))
			}, s), nil
		},
		"to another desk": func(w *world, s delivery.Status) ([]byte, []byte) {
			return w.states(t, w.police, w.doctor.Desk, nil, s), nil
		},
		"to another desk, in an envelope for this one": func(w *world, s delivery.Status) ([]byte, []byte) {
			return w.states(t, w.police, w.vt.Desk, func(_ *envelope.Header, _ *delivery.Delivery, st *delivery.Statement) { st.To = w.doctor.Desk }, s), nil
		},
		"a message that reads as a statement": func(w *world, s delivery.Status) ([]byte, []byte) {
			return w.states(t, w.police, w.vt.Desk, func(_ *envelope.Header, d *delivery.Delivery, _ *delivery.Statement) { d.Kind = delivery.KindTest }, s), nil
		},
		"of a message that is not here": func(w *world, s delivery.Status) ([]byte, []byte) {
			s.Message[0] ^= 1
			return w.states(t, w.police, w.vt.Desk, nil, s), nil
		},
		"of a message that was not for them": func(w *world, s delivery.Status) ([]byte, []byte) {
			only := w.say(t, w.vt, "signaal", message.Routine, body(t, "signaal"), nil, "arts/praktijk")
			s.Message = only.Hash()
			return w.states(t, w.police, w.vt.Desk, nil, s), nil
		},
		"of a message of another sender": func(w *world, s delivery.Status) ([]byte, []byte) {
			report, err := message.Parse(w.dossier.Messages[0])
			ok(t, err)
			s.Message = report.Hash()
			return w.states(t, w.police, w.vt.Desk, nil, s), nil
		},
		"not even CBOR": func(*world, delivery.Status) ([]byte, []byte) { return []byte("x"), nil },
		"receipt of another relay": func(w *world, s delivery.Status) ([]byte, []byte) {
			return nil, w.promises(t, s.Message, w.police.Desk, trusttest.NewKey("another relay").Private)
		},
		"receipt for a desk that the message was not for": func(w *world, s delivery.Status) ([]byte, []byte) {
			return nil, w.promises(t, s.Message, "buza/consulair", w.chain.Receipt.Private)
		},
		"receipt of another envelope": func(w *world, s delivery.Status) ([]byte, []byte) {
			raw := w.promises(t, s.Message, w.police.Desk, w.chain.Receipt.Private)
			digest := sha256.Sum256([]byte(s.Message.String() + string(w.police.Desk)))
			raw[bytes.Index(raw, digest[:])] ^= 1
			return nil, raw
		},
	} {
		w, asked := question(t)
		statement, promise := forge(w, delivery.Status{Message: asked.Hash(), Received: uint64(w.at.Unix())})
		want := fmt.Sprintf("aflevering verklaringen/%x.cbor", sha256.Sum256(statement))
		if statement != nil {
			w.dossier.Statements = [][]byte{statement}
		} else {
			w.dossier.Promises = [][]byte{promise}
			want = fmt.Sprintf("aflevering bewaring/%x.cbor", sha256.Sum256(promise))
		}
		r := casefile.Verify(w.finish(t, false), w.told())
		if r.Sound || faults(r) != want {
			t.Errorf("%s: %q, want %q", name, faults(r), want)
		}
		if d := wayTo(r, asked.Hash(), w.police.Desk); d.Delivered != nil || d.AtRelay != nil {
			t.Errorf("%s: believed: %+v", name, d)
		}
	}
}

// A relay that got another key, or was taken out of the register, gave true receipts
// before; the report says that it was.
func TestReceiptOfAnEarlierRelay(t *testing.T) {
	w, asked := question(t)
	w.dossier.Promises = [][]byte{w.promises(t, asked.Hash(), w.police.Desk, w.chain.Receipt.Private)}
	next := w.chain.Relay
	next.Receipt = trusttest.NewKey("the next receipt key").Public()
	entry, err := next.Sign(w.chain.Register().Next(next.Subject()), w.chain.Quorum()...)
	ok(t, err)
	w.chain.Add(entry)
	r := casefile.Verify(w.finish(t, false), w.told())
	if d := wayTo(r, asked.Hash(), w.police.Desk); !r.Sound || d.AtRelay == nil || d.AtRelay.By.Standing != casefile.StandingActive {
		t.Errorf("sound %v (%s), %+v", r.Sound, faults(r), d)
	}
}

// A statement by a device that was revoked since stays signed, and is marked.
func TestStatementOfARevokedDevice(t *testing.T) {
	w, asked := question(t)
	w.dossier.Statements = [][]byte{w.states(t, w.police, w.vt.Desk, nil, delivery.Status{Message: asked.Hash(), Received: uint64(w.at.Unix())})}
	entry, err := trust.Revoke{Of: w.police.Subject(), Reason: trust.ReasonLost, Effective: w.at}.Sign(
		w.chain.Register().Next(w.police.Subject()), trust.ByOrg(trusttest.OrgKey("politie-mn")))
	ok(t, err)
	w.chain.Add(entry)
	r := casefile.Verify(w.finish(t, false), w.told())
	if d := wayTo(r, asked.Hash(), w.police.Desk); !r.Sound || d.Delivered == nil || d.Delivered.By.Standing != casefile.StandingRevoked || d.Delivered.By.Revoked == 0 {
		t.Errorf("sound %v (%s), %+v", r.Sound, faults(r), d)
	}
}

// A partner that blows up its statements keeps no case from leaving as a file: what does
// not fit is left out, the largest first, and counted.
func TestTooManyProofs(t *testing.T) {
	w, asked := question(t)
	at := uint64(w.at.Unix())
	small := w.states(t, w.police, w.vt.Desk, nil, delivery.Status{Message: asked.Hash(), Received: at})
	blown := bytes.Repeat([]byte{1}, 33<<20)
	w.dossier.Statements = [][]byte{append(blown, 1), small, append(blown, 2)}
	r := casefile.Verify(w.finish(t, false), w.told())
	if r.LeftOut != 1 || wayTo(r, asked.Hash(), w.police.Desk).Delivered == nil {
		t.Errorf("%d left out, %+v", r.LeftOut, wayTo(r, asked.Hash(), w.police.Desk))
	}
}

// As many of each kind as a file can hold keep no case from leaving either.
func TestProofsAndReceiptsFitBesideEachOther(t *testing.T) {
	w, _ := question(t)
	const each, most = 30_000, 13_000 // as docs/casefile.md says
	for i := range each {
		w.dossier.Statements = append(w.dossier.Statements, fmt.Appendf(nil, "statement %d", i))
		w.dossier.Promises = append(w.dossier.Promises, fmt.Appendf(nil, "receipt %d", i))
	}
	held := map[string]int{}
	files := unpack(t, w.finish(t, false))
	for name := range files {
		folder, _, _ := strings.Cut(name, "/")
		held[folder]++
	}
	left := fmt.Sprintf(`"bewijzenWeggelaten": %d`, 2*(each-most))
	if held["verklaringen"] != most || held["bewaring"] != most || !strings.Contains(string(files["aantekeningen.json"]), left) {
		t.Errorf("%v held; no %s in %s", held, left, files["aantekeningen.json"])
	}
}
