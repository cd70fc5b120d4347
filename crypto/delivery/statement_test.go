package delivery_test

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"slices"
	"testing"

	"schakel/crypto/canon"
	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

func statement() delivery.Statement {
	return delivery.Statement{
		Version: 1, From: "knooppunt/piket", To: "vt20/crisis", Number: 4, At: 1_795_000_000, Next: 1_795_003_600,
		Peers: []delivery.Received{
			{Device: identity.DeviceID{1}, Contiguous: 5, Beyond: []uint64{7, 9}},
			{Device: identity.DeviceID{2}, Contiguous: 0, Beyond: []uint64{}},
		},
		Statuses: []delivery.Status{
			{Message: message.Hash{1}, Received: 1_795_000_000},
			{Message: message.Hash{2}, Received: 1_795_000_000, Rejected: 1_795_000_001, Rule: "R09"},
			{Message: message.Hash{3}, Received: 1_795_000_000, Rule: "urgentie"}, // taken with a remark
		},
		Unreadable: []envelope.ID{{3}}, Spoken: []uint64{1, 2},
	}
}

func copyOf() delivery.Copy {
	return delivery.Copy{Version: 1, Message: []byte("permanent"), Sent: []delivery.Sent{
		{Desk: "knooppunt/piket", Envelope: envelope.ID{1}, Counter: 1}, {Desk: "politie-mn/spoed", Envelope: envelope.ID{2}, Counter: 9},
	}}
}

func TestContentRoundTrip(t *testing.T) {
	s, err := delivery.Encode(statement())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := delivery.ParseStatement(s); err != nil || !reflect.DeepEqual(got, statement()) {
		t.Errorf("statement comes back as %+v, %v", got, err)
	}
	c, err := delivery.Encode(copyOf())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := delivery.ParseCopy(c); err != nil || !reflect.DeepEqual(got, copyOf()) {
		t.Errorf("copy comes back as %+v, %v", got, err)
	}
	if _, err := delivery.ParseStatement(c); !errors.Is(err, delivery.ErrFormat) {
		t.Errorf("copy read as statement: %v", err)
	}
	if _, err := delivery.ParseCopy(s); !errors.Is(err, delivery.ErrFormat) {
		t.Errorf("statement read as copy: %v", err)
	}
}

// TestHas: what is neither contiguous nor beyond is missing, and so asked for.
func TestHas(t *testing.T) {
	s := statement()
	for counter, want := range map[uint64]bool{1: true, 5: true, 6: false, 7: true, 8: false, 9: true, 10: false, math.MaxUint64: false} {
		if s.Has(identity.DeviceID{1}, counter) != want {
			t.Errorf("counter %d: %v", counter, !want)
		}
	}
	if s.Has(identity.DeviceID{2}, 1) || s.Has(identity.DeviceID{3}, 1) {
		t.Error("confirmed for a device that was never received from")
	}
}

func TestStatementRefuses(t *testing.T) {
	for name, change := range map[string]func(s *delivery.Statement){
		"version 2":         func(s *delivery.Statement) { s.Version = 2 },
		"from no desk":      func(s *delivery.Statement) { s.From = "x" },
		"to no desk":        func(s *delivery.Statement) { s.To = "" },
		"devices unsorted":  func(s *delivery.Statement) { slices.Reverse(s.Peers) },
		"device twice":      func(s *delivery.Statement) { s.Peers[1].Device = s.Peers[0].Device },
		"messages unsorted": func(s *delivery.Statement) { slices.Reverse(s.Statuses) },
		"message twice":     func(s *delivery.Statement) { s.Statuses[1].Message = s.Statuses[0].Message },
		"counters unsorted": func(s *delivery.Statement) { slices.Reverse(s.Peers[0].Beyond) },
		"counter twice":     func(s *delivery.Statement) { s.Peers[0].Beyond[1] = 7 },
		"no gap before":     func(s *delivery.Statement) { s.Peers[0].Beyond[0] = 6 },
		"beyond the last":   func(s *delivery.Statement) { s.Peers[0].Contiguous = math.MaxUint64 },
		"counter too high":  func(s *delivery.Statement) { s.Peers[0].Contiguous = delivery.MaxCounter + 1 },
		"beyond too high":   func(s *delivery.Statement) { s.Peers[0].Beyond[1] = delivery.MaxCounter + 1 },
		"number 0":          func(s *delivery.Statement) { s.Number = 0 },
		"number too high":   func(s *delivery.Statement) { s.Number = delivery.MaxCounter + 1 },
		"time too late":     func(s *delivery.Statement) { s.At = envelope.MaxTime + 1 },
		"next too late":     func(s *delivery.Statement) { s.Next = envelope.MaxTime + 1 },
		"received too late": func(s *delivery.Statement) { s.Statuses[0].Received = envelope.MaxTime + 1 },
		"rejected, no rule": func(s *delivery.Statement) { s.Statuses[1].Rule = "" },
		"rule as free text": func(s *delivery.Statement) { s.Statuses[1].Rule = "bel mij op 0600" },
		"rule too long":     func(s *delivery.Statement) { s.Statuses[1].Rule = "R23456789012345678901234567890123" },
		"65 devices":        func(s *delivery.Statement) { s.Peers = make([]delivery.Received, 65) },
		"1001 messages":     func(s *delivery.Statement) { s.Statuses = make([]delivery.Status, 1001) },
		"65 unreadable":     func(s *delivery.Statement) { s.Unreadable = make([]envelope.ID, 65) },
		"version 0 spoken":  func(s *delivery.Statement) { s.Spoken[0] = 0 },
		"version too high":  func(s *delivery.Statement) { s.Spoken[1] = 10_000 },
		"versions unsorted": func(s *delivery.Statement) { slices.Reverse(s.Spoken) },
		"5 versions":        func(s *delivery.Statement) { s.Spoken = []uint64{1, 2, 3, 4, 5} },
		"1025 counters":     func(s *delivery.Statement) { s.Peers[0].Beyond = make([]uint64, 1025) },
	} {
		s := statement()
		change(&s)
		refusesContent(t, name, s, delivery.ParseStatement)
	}
}

func TestCopyRefuses(t *testing.T) {
	for name, change := range map[string]func(c *delivery.Copy){
		"version 0":        func(c *delivery.Copy) { c.Version = 0 },
		"no message":       func(c *delivery.Copy) { c.Message = nil },
		"message too long": func(c *delivery.Copy) { c.Message = make([]byte, message.MaxSize+1) },
		"desks unsorted":   func(c *delivery.Copy) { slices.Reverse(c.Sent) },
		"no desk":          func(c *delivery.Copy) { c.Sent[0].Desk = "" },
		"33 desks":         func(c *delivery.Copy) { c.Sent = make([]delivery.Sent, 33) },
	} {
		c := copyOf()
		change(&c)
		refusesContent(t, name, c, delivery.ParseCopy)
	}
}

func TestCheckpointRefuses(t *testing.T) {
	for name, change := range map[string]func(c *delivery.Checkpoint){
		"version 0":     func(c *delivery.Checkpoint) { c.Version = 0 },
		"no note":       func(c *delivery.Checkpoint) { c.Note = nil },
		"note too long": func(c *delivery.Checkpoint) { c.Note = make([]byte, 8<<10+1) },
		"size 0":        func(c *delivery.Checkpoint) { c.Size = 0 },
		"65 hashes":     func(c *delivery.Checkpoint) { c.Proof = make([][32]byte, 65) },
	} {
		c := delivery.Checkpoint{Version: delivery.Version, Note: []byte("note"), Size: 1}
		change(&c)
		refusesContent(t, name, c, delivery.ParseCheckpoint)
	}
}

func refusesContent[C delivery.Statement | delivery.Copy | delivery.Checkpoint](t *testing.T, name string, c C, parse func([]byte) (C, error)) {
	t.Helper()
	raw, err := canon.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var none C
	if got, err := parse(raw); !errors.Is(err, delivery.ErrFormat) || !reflect.DeepEqual(got, none) {
		t.Errorf("%s: parsed: %v", name, err)
	}
}

func FuzzContent(f *testing.F) {
	s, err := delivery.Encode(statement())
	if err != nil {
		f.Fatal(err)
	}
	c, err := delivery.Encode(copyOf())
	if err != nil {
		f.Fatal(err)
	}
	p, err := delivery.Encode(delivery.Checkpoint{Version: delivery.Version, Note: []byte("note"), Size: 1, Proof: [][32]byte{{1}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(s)
	f.Add(c)
	f.Add(p)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if s, err := delivery.ParseStatement(raw); err == nil {
			again, err := delivery.Encode(s)
			comesBack(t, raw, again, err)
		}
		if c, err := delivery.ParseCopy(raw); err == nil {
			again, err := delivery.Encode(c)
			comesBack(t, raw, again, err)
		}
		if c, err := delivery.ParseCheckpoint(raw); err == nil {
			again, err := delivery.Encode(c)
			comesBack(t, raw, again, err)
		}
	})
}

func comesBack(t *testing.T, raw, again []byte, err error) {
	t.Helper()
	if err != nil || !bytes.Equal(raw, again) {
		t.Fatalf("%x comes back as %x, %v", raw, again, err)
	}
}
