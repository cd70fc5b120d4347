// Package demo walks a fictional case through a chain: the demonstration that a
// newcomer runs first, and the end-to-end test that holds it to its word.
//
// A [Scenario] says which desks there are and what happens, step by step. A
// [World] is a running chain: [Local] builds one of separate processes on this
// machine. [Player.Play] walks the steps through the world and checks every one:
// that the body came out byte for byte, at the right desks, from the right desk,
// and that what must be refused was refused. It tells a [Teller] what happened.
//
// Nothing is faked: a step that did not happen as the scenario says is an error.
package demo

import (
	"context"
	"errors"

	"schakel/clients/desk"
	"schakel/crypto/identity"
)

// What can go wrong with a demonstration.
var (
	ErrScenario = errors.New("scenario refused")
	ErrStory    = errors.New("the story went another way")
)

// PIN unlocks the key of every person of the demonstration. It is written here
// because everything in a demonstration is fictional and thrown away.
const PIN = "123456"

// World is a running chain with the desks of a scenario.
type World interface {
	// Node returns a desk's device. It fails while the device is away.
	Node(id identity.DeskID) (desk.Node, error)
	// Leave takes a desk's device off the network; Return brings it back.
	Leave(ctx context.Context, id identity.DeskID) error
	Return(ctx context.Context, id identity.DeskID) error
	// Tamper lets the relay change one byte of the next message to a desk.
	Tamper(ctx context.Context, id identity.DeskID) error
}

// Teller is told what happens.
type Teller interface {
	// Step begins a step, and may wait for the audience.
	Step(ctx context.Context, n int, s Step) error
	// Fact is something that was seen to happen.
	Fact(f Fact)
}

// Fact is one thing that was seen to happen.
type Fact struct {
	Kind  FactKind        `json:"kind"`
	Step  int             `json:"step"`
	Class string          `json:"class,omitempty"`
	Desk  identity.DeskID `json:"desk,omitempty"`
	State string          `json:"state,omitempty"`
	By    string          `json:"by,omitempty"`
	Rule  string          `json:"rule,omitempty"`
	Bytes int             `json:"bytes,omitempty"` // of the body
	Text  string          `json:"text"`
}

// FactKind is the class of a fact.
type FactKind string

// The facts.
const (
	FactSent         FactKind = "sent"         // signed, sealed and on disk at the sender
	FactArrived      FactKind = "arrived"      // at a desk, byte for byte, verified
	FactWaiting      FactKind = "waiting"      // at the relay, for a desk that is away
	FactAcknowledged FactKind = "acknowledged" // by a named person
	FactForbidden    FactKind = "forbidden"    // refused before it was sealed
	FactLead         FactKind = "lead"         // a desk computed who leads the case
	FactRefused      FactKind = "refused"      // tampered with, and refused by the recipient
	FactRepaired     FactKind = "repaired"     // delivered again after that
	FactAway         FactKind = "away"
	FactBack         FactKind = "back"
	FactTampering    FactKind = "tampering"
)
