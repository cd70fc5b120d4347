package queue

import (
	"fmt"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
)

// CheckBatch returns an ErrUnavailable when ops are more than one Commit takes.
// Every store calls it before it does anything.
func CheckBatch(ops []Op) error {
	bytes := 0
	for _, op := range ops {
		if put, ok := op.(*Put); ok {
			bytes += len(put.Envelope)
		}
	}
	if len(ops) > MaxBatchOps || bytes > MaxBatchBytes {
		return fmt.Errorf("%w: batch of %d operations and %d bytes", ErrUnavailable, len(ops), bytes)
	}
	return nil
}

// Check returns an ErrInvalid when the put is outside its bounds. The relay has
// parsed the envelope and looked its names up; this keeps a slip there from
// becoming a record that nobody can read back.
func (p *Put) Check() error {
	switch {
	case p.ID == envelope.ID{} || p.Sealer.IsZero():
		return fmt.Errorf("%w: identifier of zeros", ErrInvalid)
	case len(p.Targets) == 0 || len(p.Targets) > envelope.MaxTargets:
		return fmt.Errorf("%w: %d targets", ErrInvalid, len(p.Targets))
	case len(p.Envelope) == 0 || len(p.Envelope) > envelope.MaxSize:
		return fmt.Errorf("%w: envelope of %d bytes", ErrInvalid, len(p.Envelope))
	case p.Expires <= p.Created || p.Expires > MaxTime || p.Tier > envelope.TierAcute:
		return fmt.Errorf("%w: expires %d, tier %d", ErrInvalid, p.Expires, p.Tier)
	case len(p.AttendedHash) != 0 && len(p.AttendedHash) != 32:
		return fmt.Errorf("%w: attended hash of %d bytes", ErrInvalid, len(p.AttendedHash))
	}
	if err := checkDesk(p.SealerDesk); err != nil {
		return err
	}
	return checkDesk(p.Desk)
}

// Check returns an ErrInvalid when the notice is outside its bounds.
func (n *Notice) Check() error {
	if n.Device.IsZero() || n.Kind == 0 || n.Created > MaxTime-NoticeLife {
		return fmt.Errorf("%w: notice of kind %d at %d", ErrInvalid, n.Kind, n.Created)
	}
	return checkDesk(n.Desk)
}

// Check returns an ErrInvalid when the ack names no desk or device.
func (a *Ack) Check() error { return checkDevice(a.Desk, a.Device) }

// Check returns an ErrInvalid when the op names no desk or device.
func (d *DropDevice) Check() error { return checkDevice(d.Desk, d.Device) }

// Check returns an ErrInvalid when Max or Now is out of bounds.
func (e *Expire) Check() error {
	if e.Max < 1 || e.Max > MaxBatchOps || e.Now > MaxTime-NoticeLife {
		return fmt.Errorf("%w: expire at most %d at %d", ErrInvalid, e.Max, e.Now)
	}
	return nil
}

func checkDevice(desk identity.DeskID, device identity.DeviceID) error {
	if device.IsZero() {
		return fmt.Errorf("%w: device of zeros", ErrInvalid)
	}
	return checkDesk(desk)
}

func checkDesk(desk identity.DeskID) error {
	if _, err := identity.ParseDeskID(string(desk)); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}
