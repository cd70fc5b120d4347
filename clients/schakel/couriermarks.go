package schakel

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/relay/wire"
)

// What travelled by file is noted until its envelopes cannot be under way any more: when it
// left, so that its sender sees it; and that it came, so that the relay bringing it once more
// is no news.
const (
	settingCarried = "by-file/out" // envelopes
	settingBrought = "by-file/in"  // envelopes, and devices whose statement came
	marksKept      = life + time.Hour
	maxMarks       = 8192
)

// mark is one identifier, and when.
type mark struct {
	ID [16]byte
	At time.Time
}

const markSize = 16 + 8

func marksOf(tx *store.Tx, name string) (out []mark, err error) {
	raw, err := tx.Setting(name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err == nil && len(raw)%markSize != 0 {
		err = fmt.Errorf("%w: %d bytes of marks", store.ErrTampered, len(raw))
	}
	if err != nil {
		return nil, err
	}
	for b := range slices.Chunk(raw, markSize) {
		out = append(out, mark{[16]byte(b[:16]), time.Unix(int64(binary.BigEndian.Uint64(b[16:])), 0)})
	}
	return out, nil
}

// noteMarks adds identifiers, in the place of the same ones from before, and lets go of old
// ones: first those of which nothing is under way, and beyond a bound the oldest.
func noteMarks(tx *store.Tx, name string, now time.Time, ids ...[16]byte) error {
	if len(ids) == 0 {
		return nil
	}
	marks, err := marksOf(tx, name)
	if err != nil {
		return err
	}
	marks = slices.DeleteFunc(marks, func(m mark) bool { return now.Sub(m.At) > marksKept || slices.Contains(ids, m.ID) })
	for _, id := range ids {
		marks = append(marks, mark{id, now})
	}
	var raw []byte
	for _, m := range marks[max(0, len(marks)-maxMarks):] {
		raw = binary.BigEndian.AppendUint64(append(raw, m.ID[:]...), unix(m.At))
	}
	return tx.SetSetting(name, raw)
}

// noteBrought notes what of a batch came by file.
func (in *intake) noteBrought(arrivals []arrival) error {
	var ids [][16]byte
	for i := range arrivals {
		switch a := &arrivals[i]; {
		case !a.byFile || a.fault != nil || a.known:
		case a.delivery.Kind == delivery.KindStatement:
			ids = append(ids, a.header.Sealer)
		default:
			ids = append(ids, a.header.ID)
		}
	}
	return noteMarks(in.tx, settingBrought, in.now, ids...)
}

// again handles what was here already. It is counted, since a relay that repeats itself is
// to be noticed; not where a file crossed what the relay had, which is how it should be.
func (in *intake) again(a *arrival, id [16]byte, reason string) error {
	a.known = true
	if err := in.takenAlready(a); err != nil || a.byFile {
		return err
	}
	marks, err := marksOf(in.tx, settingBrought)
	if err != nil || slices.ContainsFunc(marks, func(m mark) bool { return m.ID == id }) {
		return err
	}
	return in.tx.CountRejected(reason)
}

// takenAlready has the relay shown the token of an envelope whose message a person of this
// desk took before it came: by file, or in an earlier delivery. Nobody is to be woken for it.
func (in *intake) takenAlready(a *arrival) error {
	if a.byFile || a.delivery.Kind != delivery.KindMessage || len(a.delivery.Attended) != 32 {
		return nil
	}
	row, err := in.tx.Message(a.signed.Hash())
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrDestroyed):
		return nil
	case err != nil && !errors.Is(err, store.ErrRestricted): // what it says is not asked
		return err
	case row.Direction != store.In || row.Acknowledged.IsZero():
		return nil
	}
	short, err := shortList(in.tx)
	if err == nil && !slices.Contains(short, row.Hash) {
		in.taken = append(in.taken, wire.Attended{ID: a.header.ID, Token: [32]byte(a.delivery.Attended)})
	}
	return err
}

func (n *Node) showTaken(ctx context.Context, taken []wire.Attended) {
	s := n.live()
	if s == nil {
		return
	}
	for _, t := range taken {
		if err := s.say(ctx, t); err != nil {
			n.log.Info("attended token not shown yet", "envelope", t.ID)
		}
	}
}
