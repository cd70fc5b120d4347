package relay

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/relay/ladder"
	"schakel/relay/lanes"
	"schakel/relay/oncall"
	"schakel/relay/queue"
	"schakel/relay/register"
	"schakel/relay/rota"
	"schakel/relay/wire"
)

// Refusals of the accept path, one for each decision a sender can take. A
// malformed envelope is envelope.ErrFormat; the store's own are queue's.
var (
	ErrSealer  = errors.New("sealed by another device than the session's")
	ErrExpired = errors.New("past its expiry, or created in the future")
	ErrDesk    = errors.New("no such desk, or not active")
	ErrLane    = errors.New("no lane between these roles")
	ErrTier    = errors.New("louder than the lane allows")
	ErrDevice  = errors.New("a listed device is not an active device of the desk")
	ErrEpoch   = errors.New("a listed epoch is not published, or its key ends before the envelope")
	ErrRate    = errors.New("too fast")

	errBusy = errors.New("relay is busy")
)

// maxAhead is how far a sender's clock may run ahead. Without a bound an envelope
// from the future would stay longer than its seven days.
const maxAhead = 10 * time.Minute

// candidate is an envelope on the accept path.
type candidate struct {
	session *session
	reg     *trust.Register
	now     time.Time
	header  envelope.Header
}

// accept checks an envelope in the one order that the design gives, cheap and
// telling first, and returns the op that stores it. Only a header that parses
// names its sealer, so the parse comes before all. The register is read once, so
// that one decision sees one register.
func (s *session) accept(raw []byte) (*queue.Put, envelope.ID, error) {
	e, err := envelope.Parse(raw)
	if err != nil {
		return nil, envelope.ID{}, err
	}
	c := candidate{session: s, reg: s.relay.config.Register.Register(), now: s.relay.config.Now(), header: e.Header}
	for _, check := range [...]func(*candidate) error{
		(*candidate).sealer, (*candidate).times, (*candidate).lane, (*candidate).devices, (*candidate).rate,
	} {
		if err := check(&c); err != nil {
			return nil, e.Header.ID, err
		}
	}
	op, err := s.put(e.Header, raw)
	return op, e.Header.ID, err
}

// sealer: whoever holds a session may only send as itself.
func (c *candidate) sealer() error {
	if c.header.Sealer != c.session.rights.Device {
		return ErrSealer
	}
	return nil
}

func (c *candidate) times() error {
	now := uint64(max(0, c.now.Unix()))
	if c.header.Expires <= now || c.header.Created > now+uint64(maxAhead/time.Second) {
		return ErrExpired
	}
	return nil
}

// lane goes by the roles that the root signed, not by anything the sender says.
func (c *candidate) lane() error {
	ceiling, err := ceiling(c.reg, c.session.rights.Desk, c.header.Desk)
	if err == nil && c.header.Tier > ceiling {
		return ErrTier
	}
	return err
}

// ceiling is how loudly one desk may write to another.
func ceiling(reg *trust.Register, sender, recipient identity.DeskID) (envelope.Tier, error) {
	from, ok := reg.Desk(sender)
	if !ok || !from.Active() {
		return 0, ErrLane
	}
	to, ok := reg.Desk(recipient)
	if !ok || !to.Active() {
		return 0, ErrDesk
	}
	ceiling, ok := lanes.Ceiling(from.Role, to.Role, from.ID.Org() == to.ID.Org())
	if !ok {
		return 0, ErrLane
	}
	return ceiling, nil
}

// devices: the list need not be complete (a new device waits for its cooling-off
// at the senders), but nobody may be on it who does not belong there.
func (c *candidate) devices() error {
	for _, t := range c.header.Targets {
		d, ok := c.reg.Device(t.Device)
		if !ok || d.Desk != c.header.Desk || !d.UsableAt(c.now) {
			return ErrDevice
		}
		ref, ok := c.reg.Epoch(t.Device, t.Epoch)
		if !ok || !covers(ref, c.header) {
			return ErrEpoch
		}
	}
	return nil
}

// covers reports that the epoch's private key, which its device destroys seven
// days after the epoch, outlives the envelope, and that the key was in use when
// the envelope was made, give or take the clocks.
func covers(ref trust.EpochRef, h envelope.Header) bool {
	destroyed := ref.Until.Unix() + envelope.MaxLife
	begins := ref.From.Add(-maxAhead).Unix()
	return int64(h.Expires) <= destroyed && int64(h.Created) >= begins
}

// rate is the device's own; shares of the store are the store's to refuse.
func (c *candidate) rate() error {
	if !c.session.meter.puts.AllowN(c.now, 1) {
		return ErrRate
	}
	return nil
}

func (s *session) put(h envelope.Header, raw []byte) (*queue.Put, error) {
	op := &queue.Put{
		ID: h.ID, Desk: h.Desk, Targets: make([]identity.DeviceID, len(h.Targets)),
		Sealer: h.Sealer, SealerDesk: s.rights.Desk, Created: h.Created, Expires: h.Expires,
		Tier: h.Tier, AttendedHash: h.Attended, Digest: sha256.Sum256(raw), Envelope: raw,
	}
	for i := range h.Targets {
		op.Targets[i] = h.Targets[i].Device
	}
	if _, err := io.ReadFull(s.relay.config.Random, op.Salt[:]); err != nil {
		return nil, fmt.Errorf("%w: failed to read random bits for a salt: %w", errBusy, err)
	}
	return op, nil
}

// codeOf is the one place where errors become codes.
func codeOf(err error) wire.Code {
	for _, row := range [...]struct {
		err  error
		code wire.Code
	}{
		{nil, wire.CodeOK},
		{envelope.ErrFormat, wire.CodeMalformed},
		{ErrSealer, wire.CodeSealer},
		{ErrExpired, wire.CodeExpired},
		{queue.ErrExpired, wire.CodeExpired},
		{ErrDesk, wire.CodeDesk},
		{ErrLane, wire.CodeLane},
		{ErrTier, wire.CodeTier},
		{ErrDevice, wire.CodeDevice},
		{ErrEpoch, wire.CodeEpoch},
		{ErrRate, wire.CodeRate},
		{register.ErrQuota, wire.CodeRate},
		{queue.ErrConflict, wire.CodeConflict},
		{queue.ErrFullDisk, wire.CodeFull},
		{queue.ErrFullMemory, wire.CodeFull},
		{queue.ErrFull, wire.CodeQuota},
		{queue.ErrToken, wire.CodeNotFound},
		{queue.ErrInvalid, wire.CodeMalformed},
		{register.ErrRecipients, wire.CodeRecipients},
		{trust.ErrSkipped, wire.CodeEntry},
		{rota.ErrFormat, wire.CodeMalformed},
		{rota.ErrTooLarge, wire.CodeMalformed},
		{rota.ErrNoFallback, wire.CodeMalformed},
		{ladder.ErrLooser, wire.CodeLooser},
		{ladder.ErrLadder, wire.CodeMalformed},
		{oncall.ErrDesk, wire.CodeLane},
		{oncall.ErrAhead, wire.CodeAhead},
		{oncall.ErrSerial, wire.CodeConflict},
		{oncall.ErrContact, wire.CodeNotFound},
	} {
		if errors.Is(err, row.err) {
			return row.code
		}
	}
	return wire.CodeUnavailable
}
