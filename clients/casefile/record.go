package casefile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// Record is what the desk itself noted of the messages. It is the word of the
// exporting device and no more: what another desk acknowledged is proved only by its
// ontvangstbevestiging, which is among the originals.
type Record struct {
	Received   []Received     `json:"ontvangen"`
	Sent       []Sent         `json:"verzonden"`
	Unreadable []message.Hash `json:"onleesbaar"`                  // known here, and their content is damaged
	LeftOut    int            `json:"bewijzenWeggelaten,omitzero"` // statements and receipts that were too large
}

// Received is an inbound message.
type Received struct {
	Message      message.Hash `json:"bericht"`
	Received     time.Time    `json:"ontvangen"`
	Opened       time.Time    `json:"geopend,omitzero"`
	Acknowledged time.Time    `json:"bevestigd,omitzero"`
	By           string       `json:"door,omitempty"` // the person's name
}

// Sent is how far an outbound message came at one desk.
type Sent struct {
	Message      message.Hash    `json:"bericht"`
	Desk         identity.DeskID `json:"bureau"`
	AtRelay      time.Time       `json:"bijRelay,omitzero"`
	Delivered    time.Time       `json:"afgeleverd,omitzero"`
	Opened       time.Time       `json:"geopend,omitzero"`
	Acknowledged time.Time       `json:"bevestigd,omitzero"`
	By           string          `json:"door,omitempty"`
	Rejected     time.Time       `json:"geweigerd,omitzero"`
	Failed       time.Time       `json:"nietAfgeleverd,omitzero"`
	Rule         string          `json:"regel,omitempty"`
}

// notes are a record by message.
type notes struct {
	received   map[message.Hash][]Received
	sent       map[message.Hash][]Sent
	unreadable map[message.Hash]bool
}

func (r Record) index() notes {
	n := notes{map[message.Hash][]Received{}, map[message.Hash][]Sent{}, map[message.Hash]bool{}}
	for _, x := range r.Received {
		n.received[x.Message] = append(n.received[x.Message], x)
	}
	for _, x := range r.Sent {
		n.sent[x.Message] = append(n.sent[x.Message], x)
	}
	for _, h := range r.Unreadable {
		n.unreadable[h] = true
	}
	return n
}

func (r Record) encode() ([]byte, error) {
	if r.Received == nil {
		r.Received = []Received{}
	}
	if r.Sent == nil {
		r.Sent = []Sent{}
	}
	if r.Unreadable == nil {
		r.Unreadable = []message.Hash{}
	}
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return nil, fmt.Errorf("failed to write what the desk noted: %w", err)
	}
	return append(b, '\n'), nil
}

// parseRecord accepts one spelling.
func parseRecord(raw []byte) (r Record, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return Record{}, err
	}
	again, err := r.encode()
	if err == nil && !bytes.Equal(again, raw) {
		err = errors.New("another spelling")
	}
	if _, more := d.Token(); err == nil && !errors.Is(more, io.EOF) {
		err = errors.New("something follows")
	}
	if err != nil {
		return Record{}, err
	}
	return r, nil
}
