package message_test

import (
	"bytes"
	"errors"
	"testing"

	"schakel/crypto/canon"
	"schakel/crypto/message"
)

// despite is an acute message that a person sent by an old register.
func despite() message.Message {
	m := honest()
	m.Heading.Urgency = message.Acute
	m.Heading.Stale = &message.Stale{Since: m.Created - 80*3600, Called: "+31600000007"}
	m.Person = bytes.Repeat([]byte{7}, 16)
	return m
}

// TestStaleTakesAPerson: rule 4 at both ends. The mark stands on nothing but an acute
// message of a named person who telephoned, built here or by a hostile sender.
func TestStaleTakesAPerson(t *testing.T) {
	for what, change := range map[string]func(*message.Message){
		"not acute":            func(m *message.Message) { m.Heading.Urgency = message.Urgent },
		"no person":            func(m *message.Message) { m.Person = []byte{} },
		"nobody was called":    func(m *message.Message) { m.Heading.Stale.Called = "" },
		"no number":            func(m *message.Message) { m.Heading.Stale.Called = "gebeld" },
		"a number and more":    func(m *message.Message) { m.Heading.Stale.Called += "\n112" },
		"vouched for tomorrow": func(m *message.Message) { m.Heading.Stale.Since = m.Created + 86400 },
	} {
		m := despite()
		change(&m)
		if _, _, err := m.ToBeSigned(); !errors.Is(err, message.ErrFormat) {
			t.Errorf("%s: built: %v", what, err)
		}
		payload, err := canon.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		sig := make([]byte, 64)
		if len(m.Person) == 0 {
			sig = nil
		}
		if _, err := message.Assemble(payload, make([]byte, 64), sig); !errors.Is(err, message.ErrFormat) {
			t.Errorf("%s: parsed: %v", what, err)
		}
	}
	payload, _, err := despite().ToBeSigned()
	if err != nil {
		t.Fatal(err)
	}
	s, err := message.Assemble(payload, make([]byte, 64), make([]byte, 64))
	if err != nil || s.Message.Heading.Stale == nil || *s.Message.Heading.Stale != *despite().Heading.Stale {
		t.Errorf("control: %+v: %v", s.Message.Heading.Stale, err)
	}
}

// TestStaleIsSigned: the mark can be taken off or put on by nobody, has one encoding, and
// is no part of a message that lacks it.
func TestStaleIsSigned(t *testing.T) {
	m, plain := despite(), despite()
	plain.Heading.Stale = nil
	marked, tbs, err := m.ToBeSigned()
	if err != nil {
		t.Fatal(err)
	}
	bare, bareTBS, err := plain.ToBeSigned()
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(tbs, bareTBS) {
		t.Error("the mark is not signed")
	}
	// null written out is a second encoding of "no mark". The heading is a map of 8 then.
	i := bytes.Index(bare, []byte{0x04, 0xa7})
	if i < 0 {
		t.Fatal("the heading is no map of seven")
	}
	end := bytes.Index(marked, []byte{0x09, 0x82}) // key 9, an array of two: behind it comes the body
	null := bytes.Clone(bare[:end])
	null[i+1] = 0xa8
	null = append(append(null, 0x09, 0xf6), bare[end:]...)
	if _, err := message.Assemble(null, make([]byte, 64), make([]byte, 64)); !errors.Is(err, message.ErrFormat) {
		t.Errorf("the mark written as null is read: %v", err)
	}
	if _, err := message.Assemble(bare, make([]byte, 64), make([]byte, 64)); err != nil {
		t.Errorf("control: %v", err)
	}
}
