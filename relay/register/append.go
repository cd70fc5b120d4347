package register

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
)

// request is one Append that waits for a commit.
type request struct {
	entry      []byte
	recipients []string
	at         time.Time
	imported   bool // by the operator

	done  bool // guarded by Log.write
	index uint64
	err   error
}

// Append adds one entry and answers, with its index, when it is on disk. The
// entry must count by the rules of crypto/trust, or the error wraps
// trust.ErrSkipped. Recipients come with an epoch entry and no other: the strings
// whose hashes it publishes, in its order. Appending an entry that is there
// already answers its index again, so that whoever lost an answer may repeat; that
// also gives back the recipients of an epoch entry where the file lost them.
// Other errors: ErrNoGenesis, ErrQuota, ErrRecipients, ErrFailed, ErrClosed.
func (l *Log) Append(ctx context.Context, entry []byte, recipients []string, now time.Time) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	r := &request{entry: entry, recipients: recipients, at: now}
	l.waitingMu.Lock()
	l.waiting = append(l.waiting, r)
	l.waitingMu.Unlock()

	// Whoever gets the lock commits for all that wait: one fsync for many.
	l.write.Lock()
	defer l.write.Unlock()
	if !r.done {
		l.commitWaiting(ctx)
	}
	return r.index, r.err
}

func (l *Log) commitWaiting(ctx context.Context) {
	l.waitingMu.Lock()
	batch := l.waiting
	l.waiting = nil
	l.waitingMu.Unlock()
	err := l.commit(ctx, batch)
	for _, r := range batch {
		r.done = true
		if err != nil {
			r.index, r.err = 0, err
		}
	}
}

// Import appends the entries of a file, all or none: what the root holders made,
// or a whole log that a client gives back to a relay that lost it. Only the
// operator may call it. In an empty register the first must be the genesis. There
// is no quota, and epoch entries come without recipients, which their devices
// append again. Entries that are there already are passed over. It answers how
// many were new.
func (l *Log) Import(ctx context.Context, entries [][]byte, now time.Time) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	l.write.Lock()
	defer l.write.Unlock()
	before := l.Size()
	batch := make([]*request, len(entries))
	for i, e := range entries {
		batch[i] = &request{entry: e, at: now, imported: true}
	}
	err := l.commitAll(ctx, batch, true)
	return int(l.Size() - before), err
}

func (l *Log) commit(ctx context.Context, batch []*request) error {
	return l.commitAll(ctx, batch, false)
}

// mostOffers is how often a batch is offered to the order: each time others were
// first, their entries are in the file before the next.
const mostOffers = 64

// commitAll writes the entries of a batch that count, in the shared order if there
// is one, then in one transaction in the file, and only then publishes the register
// with them. With strict, one refusal refuses all.
func (l *Log) commitAll(ctx context.Context, batch []*request, strict bool) error {
	for round := range mostOffers {
		if l.failed != nil {
			return l.failed
		}
		d, err := l.drafted(batch, strict)
		if round == 0 && l.config.Order != nil && refused(batch) {
			if err := l.meet(context.WithoutCancel(ctx)); err != nil {
				return err
			}
			continue // what they stand on may be at another relay already
		}
		if err != nil || d.empty() {
			return err
		}
		took, err := l.offer(ctx, d)
		switch {
		case err != nil:
			return err
		case took:
			return l.keep(d)
		}
		if err := l.meet(context.WithoutCancel(ctx)); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: other relays are always first", ErrOrder)
}

// refused reports whether an entry of the batch does not count by the rules.
func refused(batch []*request) bool {
	return slices.ContainsFunc(batch, func(r *request) bool {
		return errors.Is(r.err, trust.ErrSkipped) || errors.Is(r.err, ErrNoGenesis)
	})
}

// drafted is the register with the entries of a batch that count.
func (l *Log) drafted(batch []*request, strict bool) (*draft, error) {
	d := l.draft()
	for i, r := range batch {
		r.index, r.err = d.add(r)
		if strict && r.err != nil {
			return nil, fmt.Errorf("entry %d of the file: %w", i, r.err)
		}
	}
	return d, nil
}

// keep writes a draft to the file and makes it what readers see.
func (l *Log) keep(d *draft) error {
	if d.empty() {
		return nil
	}
	err := l.save(d)
	if err == nil && len(d.rows) > 0 {
		err = l.publish(d.reg)
	}
	if err != nil {
		l.failed = fmt.Errorf("%w: %w", ErrFailed, err)
		return l.failed
	}
	l.counts = d.counts
	l.noteMissing(d)
	return nil
}

// draft is a register that is being extended, with what must be written for it.
type draft struct {
	log    *Log
	reg    *trust.Register
	counts dayCounts
	rows   []row
	again  []keyRow // recipients of entries that are there already
}

func (l *Log) draft() *draft {
	d := &draft{log: l, reg: l.Register(), counts: maps.Clone(l.counts)}
	if d.reg != nil {
		d.reg = d.reg.Clone()
	}
	return d
}

func (d *draft) empty() bool { return len(d.rows) == 0 && len(d.again) == 0 }

// row is one accepted entry.
type row struct {
	index    uint64
	at       time.Time
	imported bool
	entry    []byte
	parsed   trust.Entry
	hash     trust.Hash
	root     trust.Hash // of the register that ends with this entry
	keys     []keyRow
	ended    []keyName // keys of this device that nobody can need any more
}

type keyRow struct {
	name      keyName
	recipient string
}

func (d *draft) add(r *request) (uint64, error) {
	if index, ok := d.find(r.entry, trust.EntryHash(r.entry)); ok {
		return index, d.remember(r)
	}
	if d.reg == nil && !r.imported {
		return 0, ErrNoGenesis
	}
	w := row{at: r.at, imported: r.imported, entry: r.entry}
	if !r.imported {
		e, err := d.reg.Check(r.entry)
		if err != nil {
			return 0, err
		}
		if w.keys, err = checkRecipients(e, r.recipients); err != nil {
			return 0, err
		}
		if err := d.charge(charged(e, d.reg), r.at); err != nil {
			return 0, err
		}
	}
	err := d.extend(&w)
	return w.index, err
}

// extend adds a row whose entry counts by the rules, and completes it.
func (d *draft) extend(w *row) (err error) {
	w.hash = trust.EntryHash(w.entry)
	if d.reg == nil {
		err = d.found(w)
	} else {
		err = d.apply(w)
	}
	if err != nil {
		return err
	}
	w.root = d.reg.Root()
	d.rows = append(d.rows, *w)
	return nil
}

func (d *draft) apply(w *row) (err error) {
	if w.parsed, err = d.reg.Check(w.entry); err != nil {
		return err
	}
	w.index = d.reg.Size()
	if b, ok := w.parsed.Body.(trust.Epochs); ok {
		w.ended = endedKeys(d.reg, b, w.at)
	}
	return d.reg.Apply(w.entry)
}

// remember takes the recipients of an entry that is there already, and proved
// itself then.
func (d *draft) remember(r *request) error {
	if len(r.recipients) == 0 {
		return nil
	}
	e, err := trust.ParseEntry(r.entry)
	if err != nil {
		return err
	}
	keys, err := checkRecipients(e, r.recipients)
	if err != nil {
		return err
	}
	return d.log.view(func(tx *bolt.Tx) error {
		for _, k := range keys {
			if tx.Bucket(bucketKeys).Get(k.name[:]) == nil {
				d.again = append(d.again, k)
			}
		}
		return nil
	})
}

// found begins the register. The relay believes its operator: the fingerprint is
// for the clients to compare.
func (d *draft) found(w *row) (err error) {
	if w.parsed, err = trust.ParseEntry(w.entry); err != nil {
		return err
	}
	d.reg, err = trust.New(w.entry, trust.GenesisFingerprint(w.entry))
	return err
}

// find returns the index of an entry on disk or earlier in the draft.
func (d *draft) find(entry []byte, hash trust.Hash) (index uint64, found bool) {
	for _, w := range d.rows {
		if w.hash == hash {
			return w.index, true
		}
	}
	d.log.view(func(tx *bolt.Tx) error {
		key := tx.Bucket(bucketHashes).Get(hash[:])
		row := tx.Bucket(bucketEntries).Get(key)
		if len(key) == 8 && len(row) > 8 && bytes.Equal(row[8:], entry) {
			index, found = binary.BigEndian.Uint64(key), true
		}
		return nil
	})
	return index, found
}

// checkRecipients checks that the strings are those whose hashes the entry
// publishes. The relay hands them out and cannot exchange one: senders check the
// hash against the register again.
func checkRecipients(e trust.Entry, recipients []string) ([]keyRow, error) {
	b, ok := e.Body.(trust.Epochs)
	if !ok && len(recipients) == 0 {
		return nil, nil
	}
	if len(recipients) != len(b.Hashes) {
		return nil, fmt.Errorf("%w: %d for %d hashes", ErrRecipients, len(recipients), len(b.Hashes))
	}
	rows := make([]keyRow, len(recipients))
	for i, s := range recipients {
		if len(s) > MaxRecipient || sha256.Sum256([]byte(s)) != b.Hashes[i] {
			return nil, fmt.Errorf("%w: number %d", ErrRecipients, i)
		}
		rows[i] = keyRow{newKeyName(b.Device, b.First+uint64(i)), s}
	}
	return rows, nil
}

// keepKeys is how long after an epoch its recipient string is still kept: longer
// than a sender can have a use for it.
const keepKeys = 8 * 24 * time.Hour

// endedKeys lists earlier keys of a device whose time is over: a device's keys
// would otherwise fill the disk, two kilobytes a day, for ever.
func endedKeys(reg *trust.Register, b trust.Epochs, now time.Time) (ended []keyName) {
	last, ok := reg.LastEpoch(b.Device)
	if !ok {
		return nil
	}
	for n := last.Number; n > 0 && last.Number-n < 4*trust.MaxEpochs; n-- {
		if ref, ok := reg.Epoch(b.Device, n); ok && ref.Until.Add(keepKeys).Before(now) {
			ended = append(ended, newKeyName(b.Device, n))
		}
	}
	return ended
}

// save writes the rows and the new head in one transaction.
func (l *Log) save(d *draft) error {
	return guard(func() error {
		return l.db.Update(func(tx *bolt.Tx) error {
			for _, w := range d.rows {
				if err := w.put(tx); err != nil {
					return err
				}
			}
			for _, k := range d.again {
				if err := k.put(tx); err != nil {
					return err
				}
			}
			return putHead(tx, d.reg)
		})
	})
}

func (w row) put(tx *bolt.Tx) error {
	key := binary.BigEndian.AppendUint64(nil, w.index)
	value := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(w.entry)), stamp(w.at, w.imported))
	err := errors.Join(
		tx.Bucket(bucketEntries).Put(key, append(value, w.entry...)),
		tx.Bucket(bucketHashes).Put(w.hash[:], key))
	for _, name := range w.ended {
		err = errors.Join(err, tx.Bucket(bucketKeys).Delete(name[:]))
	}
	for _, k := range w.keys {
		err = errors.Join(err, k.put(tx))
	}
	return err
}

func (k keyRow) put(tx *bolt.Tx) error {
	return tx.Bucket(bucketKeys).Put(k.name[:], []byte(k.recipient))
}

// parts are the device and the epoch of a name.
func (k keyName) parts() (identity.DeviceID, uint64) {
	return identity.DeviceID(k[:16]), binary.BigEndian.Uint64(k[16:])
}

// keyName is where the recipient string of an epoch of a device stands.
type keyName [24]byte

func newKeyName(d identity.DeviceID, epoch uint64) (k keyName) {
	copy(k[:], d[:])
	binary.BigEndian.PutUint64(k[16:], epoch)
	return k
}
