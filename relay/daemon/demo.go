package daemon

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay"
	"schakel/relay/wire"
)

// Files of a relay that runs with --demo.
const (
	fileTamper = "demo-tamper-next" // asks for its next dishonesty; may name a desk
	fileSeen   = "demo-seen.jsonl"  // what it sees of each envelope that it takes
)

// seen is everything that a relay can tell about an envelope.
type seen struct {
	Envelope envelope.ID     `json:"envelope"`
	Desk     identity.DeskID `json:"desk"`
	Tier     envelope.Tier   `json:"tier"`
	Size     int             `json:"size"`
}

// demonstration shows what a dishonest operator could see and do. It flips one bit
// in the sealed part of the next envelope delivered once the tamper file is there,
// and removes the file; a desk named in it waits for a message to that desk.
type demonstration struct {
	tamper string
	log    *slog.Logger

	mu    sync.Mutex // guards what follows
	out   *os.File
	taken map[envelope.ID]bool // a demonstration is short
}

func newDemonstration(s settings, log *slog.Logger) (*demonstration, error) {
	out, err := os.OpenFile(s.path(fileSeen), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("failed to write down what is seen: %w", err)
	}
	return &demonstration{tamper: s.path(fileTamper), log: log, out: out, taken: map[envelope.ID]bool{}}, nil
}

func (d *demonstration) close() error { return d.out.Close() }

var _ relay.Tap = (*demonstration)(nil).tap

func (d *demonstration) tap(_ identity.DeviceID, from wire.Side, f wire.Frame) []wire.Frame {
	switch f := f.(type) {
	case wire.Put:
		if from == wire.SideDevice {
			d.see(f.Envelope)
		}
	case wire.Deliver:
		if d.wanted(f.Envelope) {
			d.log.Warn("DEMO: one byte of an envelope changed on purpose")
			changed := bytes.Clone(f.Envelope)
			changed[len(changed)-1] ^= 1
			return []wire.Frame{wire.Deliver{Position: f.Position, Envelope: changed}}
		}
	}
	return []wire.Frame{f}
}

func (d *demonstration) see(raw []byte) {
	e, err := envelope.Parse(raw)
	if err != nil {
		return // the relay refuses it, and says so itself
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	line, err := json.Marshal(seen{e.Header.ID, e.Header.Desk, e.Header.Tier, len(raw)})
	if err != nil || d.taken[e.Header.ID] {
		return
	}
	d.taken[e.Header.ID] = true
	if _, err := d.out.Write(append(line, '\n')); err != nil {
		d.log.Warn("DEMO: cannot write down what was seen", "error", err.Error())
	}
}

// wanted reports whether this envelope is the one to damage, and takes the wish
// away. With a desk named, only a message counts, not a statement: those have no
// tier.
func (d *demonstration) wanted(raw []byte) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	wish, err := os.ReadFile(d.tamper)
	if err != nil {
		return false
	}
	if desk := identity.DeskID(strings.TrimSpace(string(wish))); desk != "" {
		e, err := envelope.Parse(raw)
		if err != nil || e.Header.Desk != desk || e.Header.Tier == envelope.TierNone {
			return false
		}
	}
	return os.Remove(d.tamper) == nil
}
