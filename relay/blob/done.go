package blob

import (
	"context"
	"errors"
	"sync"

	"schakel/crypto/identity"
	"schakel/relay/wire"
)

// A blob goes because every desk has it or its time is over, and sometimes because a disk or an
// operator loses it. Its sender's device asks now and then: of the first a mark is left, and
// what is gone without one was lost, and is uploaded again.

// ErrDone means that a device's own blob was here and is needed no more.
var ErrDone = errors.New("every desk has it, or its time is over")

const (
	doneLife = wire.BlobLife // of a mark: nobody asks for longer
	maxDone  = 1 << 14       // marks of one device: beyond that none are left, and the blob is uploaded once more
)

// marks counts those of each device: at the latest look, and since then.
type marks struct {
	mu    sync.Mutex // guards count
	count map[identity.DeviceID]int
}

// room reports whether a device may have one more, and counts it.
func (m *marks) room(d identity.DeviceID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.count[d] >= maxDone {
		return false
	}
	if m.count == nil {
		m.count = make(map[identity.DeviceID]int)
	}
	m.count[d]++
	return true
}

func (m *marks) set(count map[identity.DeviceID]int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count = count
}

// markDone notes that an upload is needed no more by anybody but its own desk. What removes it
// comes behind that: otherwise its sender could find neither, and upload it again.
func (k *Keeper) markDone(ctx context.Context, u upload) error {
	if !k.gone.room(u.by.Device) {
		return nil
	}
	mark := doneMark{u.by, u.id, k.seconds(doneLife)}
	if err := k.config.Store.Put(ctx, mark.name(), empty{}, 0); !errors.Is(err, ErrFull) {
		return err
	}
	return nil // on a full disk it goes without: that makes room
}

// done removes an upload whose time is over.
func (k *Keeper) done(ctx context.Context, u upload) error {
	if err := k.markDone(ctx, u); err != nil {
		return err
	}
	return k.remove(ctx, u)
}

// wasDone returns ErrDone where a device's blob was here and is needed no more, else ErrNone.
func (k *Keeper) wasDone(ctx context.Context, by Owner, id wire.BlobID) error {
	for o, err := range k.config.Store.List(ctx, by.done(id)) {
		if err != nil {
			return err
		}
		if m, err := parseDone(o.Name); err == nil && m.until > k.seconds(0) {
			return ErrDone
		}
	}
	return ErrNone
}

// forgetDone removes marks that are past their time, and counts the rest.
func (k *Keeper) forgetDone(ctx context.Context) error {
	count := make(map[identity.DeviceID]int)
	var over []string
	for o, err := range k.config.Store.List(ctx, doneFolder) {
		if err != nil {
			return err
		}
		m, err := parseDone(o.Name)
		switch {
		case err != nil: // an operator put it there
		case m.until <= k.seconds(0):
			over = append(over, o.Name)
		default:
			count[m.by.Device]++
		}
	}
	for _, name := range over {
		if err := k.config.Store.Delete(ctx, name); err != nil {
			return err
		}
	}
	k.gone.set(count)
	return nil
}
