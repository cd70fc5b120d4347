package schakel_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/clients/store"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// version2 is the next version of the protocol as it may come: an adviesvraag may also be
// sent for information only.
func version2(t *testing.T) *protocol.Catalogue {
	t.Helper()
	files := fstest.MapFS{}
	for _, pattern := range []string{"catalogus.json", "schemas/*.json", "voorbeelden/*.json"} {
		names, err := filepath.Glob(filepath.Join("..", "protocol", pattern))
		if err != nil || len(names) == 0 {
			t.Fatal(pattern, err)
		}
		for _, name := range names {
			raw, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			rel, _ := filepath.Rel(filepath.Join("..", "protocol"), name)
			files[filepath.ToSlash(rel)] = &fstest.MapFile{Data: raw}
		}
	}
	var c map[string]any
	if err := json.Unmarshal(files["catalogus.json"].Data, &c); err != nil {
		t.Fatal(err)
	}
	c["protocol"] = "schakel/2"
	for _, k := range c["klassen"].([]any) {
		if k := k.(map[string]any); k["naam"] == "adviesvraag" {
			k["urgenties"] = append(k["urgenties"].([]any), "ter-kennisname")
		}
	}
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	files["catalogus.json"].Data = raw
	v2, err := protocol.Load(files)
	if err != nil {
		t.Fatal(err)
	}
	return v2
}

// moving is a chain that moves to version 2: the knooppunt and Veilig Thuis speak both,
// the police only what was agreed.
type moving struct {
	*schakeltest.Chain
	vt, knooppunt, police *schakeltest.Member
}

func newMoving(t *testing.T) moving {
	chain := schakeltest.New(t)
	m := moving{chain, chain.Join("vt20/crisis", identity.RoleVeiligThuis), chain.Join("knooppunt/piket", identity.RoleKnooppunt),
		chain.Join("politie-mn/meldkamer", identity.RolePolitie)}
	v2 := version2(t)
	m.vt.Speaks(v2)
	m.knooppunt.Speaks(v2)
	for _, member := range []*schakeltest.Member{m.vt, m.knooppunt, m.police} {
		member.Start()
	}
	eventually(t, "they know each other", func() bool {
		desks, err := m.vt.Node.Directory(testContext(t))
		return err == nil && len(desks) == 2 && desks[0].Reachable && desks[1].Reachable
	})
	return m
}

func (m moving) ask(t *testing.T, u message.Urgency, to ...identity.DeskID) (schakel.Sent, error) {
	t.Helper()
	return m.vt.Node.Send(testContext(t), schakel.Draft{Class: "informatieverzoek", Urgency: u, To: to, Body: example(t, "informatieverzoek")})
}

// version is what the heading of a message at a desk names.
func version(t *testing.T, at *schakeltest.Member, hash string) (v string) {
	t.Helper()
	eventually(t, "it arrives", func() bool { return inbox(t, at, hash) != nil })
	err := at.Store().View(testContext(t), func(tx *store.Tx) error {
		row, err := tx.FindMessage(hash)
		if err != nil {
			return err
		}
		full, err := tx.Message(row.Hash)
		if err != nil {
			return err
		}
		s, err := message.Parse(full.Raw)
		v = s.Message.Heading.Protocol
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Two versions side by side. What goes to who never said anything is in the version of the
// agreement; once a desk has stated that it speaks the next one it is written to in that,
// and a message to both in what both speak.
func TestTwoVersionsSideBySide(t *testing.T) {
	m := newMoving(t)
	first, err := m.ask(t, message.Urgent, m.knooppunt.Desk)
	if err != nil {
		t.Fatal(err)
	}
	if v := version(t, m.knooppunt, first.Hash); v != "schakel/1" {
		t.Errorf("the first message went in %s", v)
	}
	newest := func(to ...identity.DeskID) (v string, sent schakel.Sent) {
		sent, err := m.ask(t, message.Urgent, to...)
		if err != nil {
			t.Fatal(err)
		}
		return version(t, m.knooppunt, sent.Hash), sent
	}
	eventually(t, "its statement says that it speaks the next", func() bool {
		v, _ := newest(m.knooppunt.Desk)
		return v == "schakel/2"
	})
	v, sent := newest(m.knooppunt.Desk, m.police.Desk)
	if v != "schakel/1" || version(t, m.police, sent.Hash) != "schakel/1" {
		t.Errorf("to one that speaks it and one that does not: %s", v)
	}
	// What only the next version has goes to who speaks it, and to nobody else.
	body := example(t, "adviesvraag")
	only := func(to ...identity.DeskID) error {
		_, err := m.vt.Node.Send(testContext(t), schakel.Draft{Class: "adviesvraag", Urgency: message.Info, To: to, Body: body})
		return err
	}
	if err := only(m.knooppunt.Desk); err != nil {
		t.Errorf("a class as version 2 has it, to who speaks version 2: %v", err)
	}
	// Both ends compute the same of a case of two versions.
	a, errA := m.vt.Node.Overview(testContext(t), sent.Case)
	b, errB := m.knooppunt.Node.Overview(testContext(t), sent.Case)
	if errA != nil || errB != nil || len(a.Obligations) == 0 || len(a.Obligations) != len(b.Obligations) {
		t.Errorf("%v %v: %+v and %+v", errA, errB, a.Obligations, b.Obligations)
	}
}

// A desk that does not know a version drops nothing silently: it keeps the message apart,
// states what it speaks, and rings when it was acute. The sender sees why, counts the
// message nowhere, and what it says next goes in a version that the desk reads.
func TestAVersionThatTheOtherDoesNotSpeak(t *testing.T) {
	m := newMoving(t)
	eventually(t, "its statement says that it speaks the next", func() bool {
		s, err := m.ask(t, message.Urgent, m.knooppunt.Desk)
		return err == nil && version(t, m.knooppunt, s.Hash) == "schakel/2"
	})
	m.knooppunt.Stop()
	m.knooppunt.Speaks() // back to the program of before
	m.knooppunt.Start()
	lost, err := m.vt.Node.Send(testContext(t), schakel.Draft{Class: "contactverzoek", Urgency: message.Acute,
		To: []identity.DeskID{m.knooppunt.Desk}, Body: example(t, "contactverzoek")})
	if err != nil {
		t.Fatal(err)
	}
	var back schakel.Recipient
	eventually(t, "the sender hears why", func() bool {
		s, err := m.vt.Node.Trace(testContext(t), lost.Hash)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(s.Recipients, func(r schakel.Recipient) bool { return r.State == schakel.StateRejected })
		if i >= 0 {
			back = s.Recipients[i]
		}
		return i >= 0
	})
	if spoken, ok := protocol.ParseRejection(back.Rule); !ok || !slices.Equal(spoken, []int{1}) {
		t.Errorf("rejected under %q", back.Rule)
	}
	st, err := m.knooppunt.Node.Status(testContext(t))
	if err != nil || st.Quarantined != 1 {
		t.Errorf("%d messages kept apart, %v", st.Quarantined, err)
	}
	if len(alarms(t, m.knooppunt, schakel.AlarmRefused)) != 1 || len(alarms(t, m.vt, schakel.AlarmReturned)) != 1 {
		t.Error("an acute message in a version that nobody here reads rings at neither end, or at one")
	}
	o, err := m.vt.Node.Overview(testContext(t), lost.Case)
	if err != nil || len(o.Unsaid) != 1 || len(o.Awaited) != 0 {
		t.Errorf("the sender still waits for it: %+v, %v", o.Awaited, err)
	}
	again, err := m.ask(t, message.Urgent, m.knooppunt.Desk)
	if err != nil {
		t.Fatal(err)
	}
	if v := version(t, m.knooppunt, again.Hash); v != "schakel/1" {
		t.Errorf("and then %s", v)
	}
}

// A device refuses to speak one version twice, or more than its rejection can name.
func TestVersionsOfADevice(t *testing.T) {
	m := schakeltest.New(t).Join("vt20/crisis", identity.RoleVeiligThuis)
	if _, err := schakel.New(schakel.Config{Store: m.Store(), Now: time.Now, Also: []*protocol.Catalogue{protocol.V1()}}); err == nil {
		t.Error("version 1 beside version 1")
	}
	if _, err := schakel.New(schakel.Config{Store: m.Store(), Now: time.Now, Also: []*protocol.Catalogue{version2(t)}}); err != nil {
		t.Errorf("control: %v", err)
	}
}
