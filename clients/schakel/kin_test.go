package schakel_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"schakel/clients/protocol"
	"schakel/clients/protocol/playbook"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/clients/store"
	"schakel/configs"
	"schakel/crypto/delivery"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

const safe = "zes woorden in de kluis van het bureau"

// kin is a desk of two devices where the relative of a victim works, and a case of that
// victim with a message, a note and a draft, each with a trace that can be looked for.
type kin struct {
	*colleagues
	relative schakel.Person
	note     schakel.Note
	draft    schakel.SavedDraft
	counter  uint64 // of what a modified program sends
}

var traces = []string{"spoor-in-bericht", "spoor-in-notitie", "spoor-in-concept", "spoor-in-antwoord", "spoor-in-vervolg"}

func newKin(t *testing.T) *kin {
	t.Helper()
	p := newPair(t, nil)
	k := &kin{colleagues: &colleagues{pair: p, first: p.to, ann: p.to.AddPerson("A. Nnie"), bob: p.to.AddPerson("B. Ob")}, relative: p.to.AddPerson("C. Ousin"), counter: 1000}
	k.second = p.to.Sibling()
	k.second.Start()
	sealsTo(t, p.from, p.to.Desk, 2)
	k.sent = k.say(t, "spoor-in-bericht", "")
	ctx := testContext(t)
	var err error
	if k.note, err = k.first.Node.AddNote(ctx, k.sent.Case, "spoor-in-notitie", as(k.ann)); err != nil {
		t.Fatal(err)
	}
	d := schakel.Draft{Class: "advies", Case: k.sent.Case, Answers: k.sent.Hash, Body: []byte(`{"x":"spoor-in-concept"}`)}
	if k.draft, err = k.first.Node.SaveDraft(ctx, "", "", d, as(k.ann)); err != nil {
		t.Fatal(err)
	}
	for _, m := range k.both() {
		eventually(t, "each device has the persons, what they read with, and the case", func() bool {
			return k.has(t, m, delivery.RecordReading) == 3 && k.has(t, m, delivery.RecordNote) == 1 && k.has(t, m, delivery.RecordDraft) == 1
		})
		if found := k.seen(t, m); len(found) < 2 {
			t.Fatalf("the control finds %v in an open case", found)
		}
	}
	return k
}

func (k *kin) both() []*schakeltest.Member { return []*schakeltest.Member{k.first, k.second} }

func (k *kin) has(t *testing.T, m *schakeltest.Member, kind delivery.RecordKind) (n int) {
	t.Helper()
	err := m.Store().View(testContext(t), func(tx *store.Tx) error {
		rs, err := tx.Records(kind, message.CaseRef{})
		n = len(rs)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// say sends a question about the case, with a trace in it, and waits until both devices
// have it.
func (k *kin) say(t *testing.T, trace, kase string) schakel.Sent {
	t.Helper()
	sent, err := k.from.Node.Send(testContext(t), schakel.Draft{Class: "adviesvraag", Urgency: message.Urgent, Case: kase,
		To: []identity.DeskID{k.to.Desk}, Body: traced(t, "adviesvraag", trace)})
	if err != nil {
		t.Fatal(err)
	}
	k.arrives(t, sent)
	return sent
}

func (k *kin) arrives(t *testing.T, sent schakel.Sent) {
	t.Helper()
	for _, m := range k.both() {
		eventually(t, "the message arrives", func() bool { _, ok := k.listed(t, m, sent.Hash); return ok })
	}
}

func (k *kin) listed(t *testing.T, m *schakeltest.Member, hash string) (schakel.Summary, bool) {
	t.Helper()
	all, err := m.Node.List(testContext(t), schakel.Filter{Box: "all"})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(s schakel.Summary) bool { return s.Hash == hash })
	if i < 0 {
		return schakel.Summary{}, false
	}
	return all[i], true
}

// traced is the example of a class with a trace in its first free text.
func traced(t *testing.T, class, trace string) []byte {
	t.Helper()
	body := string(example(t, class))
	for _, field := range []string{`"vraag": "`, `"vraag":"`, `"antwoord": "`, `"antwoord":"`} {
		if before, after, ok := strings.Cut(body, field); ok {
			return []byte(before + field + trace + " " + after)
		}
	}
	t.Fatalf("no free text in %s: %s", class, body)
	return nil
}

// seen are the traces that somebody with the machine finds in its store.
func (k *kin) seen(t *testing.T, m *schakeltest.Member) (found []string) {
	t.Helper()
	here := map[string]bool{}
	err := m.Store().Readable(testContext(t), func(b []byte) {
		for _, trace := range traces {
			here[trace] = here[trace] || bytes.Contains(b, []byte(trace))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, trace := range traces {
		if here[trace] {
			found = append(found, trace)
		}
	}
	return found
}

func situation(t *testing.T) playbook.Situation {
	t.Helper()
	book, err := playbook.Parse(configs.Playbook, protocol.V1())
	if err != nil {
		t.Fatal(err)
	}
	return book.Situations[0]
}

func (k *kin) sealed(p schakel.Person) schakel.By {
	return schakel.By{Person: p.Name, PIN: schakeltest.PIN, Glass: safe}
}

// restrict lets Ann close the case to herself and Bob, and waits until both devices know.
func (k *kin) restrict(t *testing.T) {
	t.Helper()
	r, err := k.first.Node.Restrict(testContext(t), k.sent.Hash, []string{k.ann.Name, k.bob.Name}, k.sealed(k.ann))
	if err != nil || len(r.Readers) != 2 || r.By != k.ann.Name {
		t.Fatalf("restricted to %+v, %v", r, err)
	}
	k.settled(t, k.ann, k.bob)
}

func (k *kin) settled(t *testing.T, to ...schakel.Person) {
	t.Helper()
	for _, m := range k.both() {
		eventually(t, "the device knows who may read the case", func() bool { return slices.Equal(k.readers(t, m), names(to...)) })
	}
}

func names(of ...schakel.Person) (out []string) {
	for _, p := range of {
		out = append(out, p.Name)
	}
	slices.Sort(out)
	return out
}

func (k *kin) readers(t *testing.T, m *schakeltest.Member) (out []string) {
	t.Helper()
	r, err := m.Node.Restriction(testContext(t), k.sent.Case)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range r.Readers {
		out = append(out, x.Name)
	}
	slices.Sort(out)
	return out
}

// looks are all ways to see content of the case.
func (k *kin) looks(t *testing.T, m *schakeltest.Member, by schakel.By) map[string]error {
	t.Helper()
	ctx := testContext(t)
	out := map[string]error{}
	_, out["read"] = m.Node.ReadAs(ctx, k.sent.Hash, by)
	_, out["case"] = m.Node.Case(ctx, k.sent.Case, by)
	_, out["overview"] = m.Node.Overview(ctx, k.sent.Hash, by)
	_, out["worksheet"] = m.Node.Worksheet(ctx, k.sent.Case, by)
	_, out["drafts"] = m.Node.Drafts(ctx, k.sent.Case, by)
	_, out["export"] = exported(ctx, m, k.sent.Case, by)
	draft := schakel.Draft{Class: "advies", Urgency: message.Urgent, Answers: k.sent.Hash, Body: example(t, "advies"), Person: by.Person, PIN: by.PIN}
	if by.Glass == "" {
		_, out["prepare"] = m.Node.Prepare(ctx, draft)
		_, out["progress"] = m.Node.Progress(ctx, k.sent.Case, situation(t), by)
	}
	return out
}
