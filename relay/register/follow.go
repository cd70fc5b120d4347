package register

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"time"

	bolt "go.etcd.io/bbolt"

	"schakel/crypto/trust"
)

// Follow brings this file and the shared order together: it takes over and verifies
// what other relays appended, and gives back what the order has lost. Call it before
// serving, when others say that the register grew, and now and then, because they
// may not be heard. ErrFork and ErrFailed are final. Without an order it does nothing.
func (l *Log) Follow(ctx context.Context, now time.Time) error {
	if l.config.Order == nil {
		return nil
	}
	l.write.Lock()
	defer l.write.Unlock()
	if l.failed != nil {
		return l.failed
	}
	if err := l.meet(ctx); err != nil {
		return err
	}
	if err := l.fetchMissing(ctx, now); err != nil {
		return err
	}
	return l.shareCosignatures(ctx, now)
}

// mostRounds is how often meet tries without coming further.
const mostRounds = 8

// meet makes the file as long as the order, and the order as long as the file.
func (l *Log) meet(ctx context.Context) error {
	var before Place
	for stuck := 0; stuck < mostRounds; stuck++ {
		s, err := l.config.Order.Rows(ctx, l.Size())
		if err != nil {
			return fmt.Errorf("%w: %w", ErrOrder, err)
		}
		if here := (Place{l.Size() + s.From, s.Before}); here != before {
			stuck, before = 0, here
		}
		switch {
		case !l.Agrees(s), stuck == mostRounds/2: // the latter: a row is missing further back
			err = l.dispute(ctx)
		case s.From < l.Size():
			err = l.giveBack(ctx, s.From)
		case len(s.Rows) > 0:
			err = l.takeOver(ctx, s.From, s.Rows)
		default:
			return nil
		}
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: file and order do not come together", ErrOrder)
}

// rootAt is the root of the first entries of the file.
func (l *Log) rootAt(size uint64) (trust.Hash, bool) {
	reg := l.Register()
	if reg == nil || size == 0 {
		return trust.Hash{}, size == 0
	}
	return reg.RootAt(size)
}

// Agrees reports whether this file has what stands before a stretch of the order.
func (l *Log) Agrees(s Stretch) bool {
	own, ok := l.rootAt(s.From)
	return ok && own == s.Before
}

// takeOver verifies rows and writes those before the first that does not count. That
// one, when it comes first, is set aside.
func (l *Log) takeOver(ctx context.Context, from uint64, rows []Row) error {
	d := l.draft()
	for i, r := range rows {
		err := d.takeOver(r)
		switch {
		case err == nil:
		case i > 0:
			return l.takeOver(ctx, from, rows[:i])
		default:
			return l.setAside(ctx, from, r, err)
		}
	}
	if err := l.attachKeys(ctx, d.rows); err != nil {
		return err
	}
	return l.keep(d)
}

// takeOver adds a row of another relay to the draft by the usual rules. Its quota
// was the other's to refuse, and counts here as well.
func (d *draft) takeOver(r Row) error {
	w, err := parseText(r.Text)
	if err != nil {
		return err
	}
	if err := d.extend(&w); err != nil {
		return err
	}
	if w.root != r.Root {
		return fmt.Errorf("%w: it stands after other entries than its writer says", errRow)
	}
	if !w.imported {
		_ = d.charge(charged(w.parsed, d.reg), w.at)
	}
	return nil
}

// setAside takes away a row that does not count, so that one bad relay, or a flipped
// bit, does not stop the register of all. Every relay comes to the same verdict from
// the same rows. New rows wait a little after that: whoever has the true one gives
// it back first.
func (l *Log) setAside(ctx context.Context, index uint64, r Row, reason error) error {
	if errors.Is(reason, ErrNewer) {
		return fmt.Errorf("entry %d: %w", index, reason)
	}
	l.log.Error("an entry of the shared register does not count and is set aside", "index", index, "reason", reason.Error())
	if err := l.config.Order.SetAside(ctx, index, r); err != nil {
		return fmt.Errorf("%w: %w", ErrOrder, err)
	}
	return nil
}

// dispute finds the first row of the order that is not what the file has. If it
// would count at its place there are two registers; if not, it is set aside.
func (l *Log) dispute(ctx context.Context) error {
	for from := uint64(0); from < l.Size(); {
		s, err := l.config.Order.Rows(ctx, from)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrOrder, err)
		}
		own, err := l.stored(from, len(s.Rows))
		if err != nil || s.From < from || len(own) == 0 {
			return err
		}
		for i, w := range own {
			theirs, err := parseText(s.Rows[i].Text)
			if err != nil || s.Rows[i].Root != w.root || !bytes.Equal(theirs.entry, w.entry) {
				return l.judge(ctx, w.index, s.Rows[i])
			}
		}
		from += uint64(len(own))
	}
	return nil
}

func (l *Log) judge(ctx context.Context, index uint64, r Row) error {
	d := &draft{log: l, counts: maps.Clone(l.counts)}
	if index > 0 {
		var entries [][]byte
		for uint64(len(entries)) < index {
			more, err := l.Entries(uint64(len(entries)), index-uint64(len(entries)))
			if err != nil || len(more) == 0 {
				return errors.Join(ErrOrder, err)
			}
			entries = append(entries, more...)
		}
		reg, err := trust.Replay(entries, trust.GenesisFingerprint(entries[0]))
		if err != nil {
			return fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		d.reg = reg
	}
	if err := d.takeOver(r); err != nil {
		return l.setAside(ctx, index, r, err)
	}
	return fmt.Errorf("%w: they differ from entry %d on", ErrFork, index)
}

// giveBack appends to the order what it lost and the file has.
func (l *Log) giveBack(ctx context.Context, from uint64) error {
	rows, err := l.stored(from, 1<<16)
	if err != nil {
		return err
	}
	c := Change{Again: true}
	for _, w := range rows {
		c.Rows = append(c.Rows, Row{w.root, w.text()})
		c.Keys = appendKeys(c.Keys, w.keys)
	}
	root, _ := l.rootAt(from)
	l.log.Warn("the shared register is shorter than this relay's file and is filled up", "from", from, "entries", len(rows))
	if _, err := l.config.Order.Append(ctx, Place{from, root}, c); err != nil {
		return fmt.Errorf("%w: %w", ErrOrder, err)
	}
	return nil
}

// stored reads rows from the file, with their roots and the keys that are there: at
// most most of them, and not much more than maxPiece.
func (l *Log) stored(from uint64, most int) (rows []row, err error) {
	err = l.view(func(tx *bolt.Tx) error {
		c, total, size := tx.Bucket(bucketEntries).Cursor(), 0, l.Size()
		k, v := c.Seek(binary.BigEndian.AppendUint64(nil, from))
		for index := from; k != nil && index < size && len(rows) < most && total < maxPiece; index++ {
			if binary.BigEndian.Uint64(k) != index || len(v) < 8 {
				return fmt.Errorf("%w: entry %d is missing or cut", ErrCorrupt, index)
			}
			w := row{index: index, entry: bytes.Clone(v[8:])}
			w.at, w.imported = unstamp(binary.BigEndian.Uint64(v))
			w.root, _ = l.rootAt(index + 1)
			for _, name := range keyNames(w.entry) {
				if s := tx.Bucket(bucketKeys).Get(name[:]); s != nil {
					w.keys = append(w.keys, keyRow{name, string(s)})
					total += len(s)
				}
			}
			rows, total = append(rows, w), total+len(v)
			k, v = c.Next()
		}
		return nil
	})
	return rows, err
}

// keyNames are the names of the keys whose hashes an entry publishes.
func keyNames(entry []byte) (names []keyName) {
	e, err := trust.ParseEntry(entry)
	if err != nil {
		return nil
	}
	b, ok := e.Body.(trust.Epochs)
	if !ok {
		return nil
	}
	for i := range b.Hashes {
		names = append(names, newKeyName(b.Device, b.First+uint64(i)))
	}
	return names
}

// attachKeys fetches the recipients that rows publish, so that whoever hears of an
// epoch can have its key. What is not there is looked for again later.
func (l *Log) attachKeys(ctx context.Context, rows []row) error {
	hashes, owner := make(map[keyName]trust.Hash), make(map[keyName]*row)
	for i := range rows {
		b, ok := rows[i].parsed.Body.(trust.Epochs)
		for n := 0; ok && n < len(b.Hashes); n++ {
			name := newKeyName(b.Device, b.First+uint64(n))
			hashes[name], owner[name] = b.Hashes[n], &rows[i]
		}
	}
	found, err := l.askKeys(ctx, hashes)
	for _, k := range found {
		owner[k.name].keys = append(owner[k.name].keys, k)
	}
	return err
}

// noteMissing remembers which keys the file does not have yet.
func (l *Log) noteMissing(d *draft) {
	if l.config.Order == nil {
		return
	}
	for _, w := range d.rows {
		for _, name := range keyNames(w.entry) {
			l.missing[name] = struct{}{}
		}
		d.again = append(d.again, w.keys...)
	}
	for _, k := range d.again {
		delete(l.missing, k.name)
	}
}

// askKeys asks the order for keys, and drops what does not fit its hash.
func (l *Log) askKeys(ctx context.Context, hashes map[keyName]trust.Hash) (found []keyRow, err error) {
	var names []string
	for name := range hashes {
		names = append(names, string(name[:]))
	}
	if len(names) == 0 {
		return nil, nil
	}
	recipients, err := l.config.Order.Recipients(ctx, names)
	if err != nil || len(recipients) != len(names) {
		return nil, fmt.Errorf("%w: %w", ErrOrder, err)
	}
	for i, s := range recipients {
		name := keyName([]byte(names[i]))
		if s != "" && len(s) <= MaxRecipient && sha256.Sum256([]byte(s)) == hashes[name] {
			found = append(found, keyRow{name, s})
		}
	}
	return found, nil
}

// mostMissing bounds what one Follow asks for.
const mostMissing = 256

// fetchMissing asks for recipients that this file does not have: they came to
// another relay after their entry. Those whose time is over are given up.
func (l *Log) fetchMissing(ctx context.Context, now time.Time) error {
	hashes, reg := make(map[keyName]trust.Hash), l.Register()
	for name := range l.missing {
		device, epoch := name.parts()
		ref, ok := reg.Epoch(device, epoch)
		if !ok || ref.Until.Add(keepKeys).Before(now) {
			delete(l.missing, name)
		} else if hashes[name], _ = reg.EpochHash(device, epoch); len(hashes) == mostMissing {
			break
		}
	}
	found, err := l.askKeys(ctx, hashes)
	if err != nil || len(found) == 0 {
		return err
	}
	d := l.draft()
	d.again = found
	return l.keep(d)
}
