package queuetest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// Found counts what damage did.
type Found struct {
	Refused  int // rounds in which the store did not open
	Renewed  int // rounds in which it opened with a new epoch
	Reported int // records reported as damaged
	Noticed  int // of those, how many led to a notice for the sealer
	Whole    int // rounds in which every record came back
}

const damageRounds = 1000 // in Run

// Damage fills a store, damages it afresh in every round, and returns an error
// when the store then gives a record that differs from what was put, gives it to
// another desk, or loses one without a word: without refusing to open with
// ErrDamaged or ErrVersion, reporting the record, or taking a new epoch, at which
// the senders offer everything again: after that nothing may be missing, either.
// What waits for a person must be listed still.
//
// A round's damage follows from seed, its number and the files. After an error dir
// is as it was damaged, before it was opened: how a store lays out its files may
// depend on more than the seed.
func Damage(b Backend, dir string, rounds int, seed uint64) (Found, error) {
	var found Found
	w := &world{backend: b, dir: dir, serial: 1}
	puts, epoch, err := w.fill()
	if err != nil {
		return found, err
	}
	whole, err := takePicture(dir)
	if err != nil {
		return found, err
	}
	for round := range rounds {
		damage := func() error {
			return errors.Join(whole.restore(dir), b.Damage(dir, rand.New(rand.NewPCG(seed, uint64(round)))))
		}
		if err := damage(); err != nil {
			return found, err
		}
		if err := damageRound(b, dir, puts, epoch, &found); err != nil {
			return found, errors.Join(fmt.Errorf("seed %d, round %d: %w", seed, round, err), damage())
		}
	}
	return found, nil
}

// fill puts envelopes of all sizes for three desks, half of them acknowledged.
func (w *world) fill() (puts map[queue.Ref]*queue.Put, epoch [16]byte, err error) {
	defer func() {
		if broken, ok := recover().(broken); ok {
			err = broken.error
		}
	}()
	w.open()
	puts = make(map[queue.Ref]*queue.Put)
	for i := range 120 {
		desk := []identity.DeskID{wacht, vt, piket}[i%3]
		p := newPut(desk, uint64(i+1), 1+i%2, 64+(i*i*37)%9000)
		withToken(p, envelope.Tier(i%4), [32]byte{byte(i)})
		at := w.put(p)
		if i >= 60 {
			puts[queue.Ref{Desk: desk, ID: p.ID}] = p
			continue
		}
		w.ack(desk, 1, at)
		w.ack(desk, 2, at)
	}
	state, err := w.store.State(ctx())
	return puts, state.Epoch, errors.Join(err, w.store.Close())
}

func damageRound(b Backend, dir string, puts map[queue.Ref]*queue.Put, epoch [16]byte, found *Found) error {
	store, err := b.Open(dir, queue.Quota{})
	if errors.Is(err, queue.ErrDamaged) || errors.Is(err, queue.ErrVersion) {
		found.Refused++
		return nil
	} else if err != nil {
		return fmt.Errorf("opening gave an error of no type: %w", err)
	}
	defer store.Close()
	state, err := store.State(ctx())
	if err != nil {
		return err
	}
	renewed := state.Epoch != epoch
	seen, reported, err := readRound(store, puts, found)
	if err != nil {
		return err
	}
	if renewed {
		found.Renewed++
	} else if seen == len(puts) {
		found.Whole++
	}
	if renewed || reported > 0 {
		if seen, reported, err = offerAgain(store, puts, found); err != nil {
			return err
		}
	}
	if seen+reported < len(puts) {
		return fmt.Errorf("%d of %d records are missing, %d are reported, new epoch: %t", len(puts)-seen, len(puts), reported, renewed)
	}
	return stillWaiting(store, puts)
}

// offerAgain does what senders do who hear of a new epoch or of damage.
func offerAgain(store queue.Store, puts map[queue.Ref]*queue.Put, found *Found) (seen, reported int, err error) {
	var ops []queue.Op
	for _, p := range puts {
		ops = append(ops, p)
	}
	results, err := store.Commit(ctx(), ops)
	if err != nil {
		return 0, 0, fmt.Errorf("failed to offer again: %w", err)
	}
	for _, r := range results {
		if r.Err != nil {
			return 0, 0, fmt.Errorf("offering again was refused: %w", r.Err)
		}
	}
	return readRound(store, puts, found)
}

// readRound reads all mailboxes and sets aside what is damaged.
func readRound(store queue.Store, puts map[queue.Ref]*queue.Put, found *Found) (seen, reported int, err error) {
	given := make(map[queue.Ref]bool)
	for _, desk := range []identity.DeskID{wacht, vt, piket} {
		page, err := readDamaged(store, desk)
		if err != nil {
			return 0, 0, err
		}
		for _, r := range page.Records {
			ref := queue.Ref{Desk: desk, ID: r.ID}
			if r.Kind == queue.KindNotice {
				continue
			} else if p := puts[ref]; p != nil {
				if err := same(&r, p); err != nil {
					return 0, 0, fmt.Errorf("a damaged record was given: %w", err)
				}
				given[ref] = true
			} else if serialOf(r.ID) > 60 {
				return 0, 0, fmt.Errorf("%s was given %s, which was never put there", desk, r.ID)
			}
		}
		reported += len(page.Damaged)
		if err := quarantineAll(store, desk, page.Damaged, found); err != nil {
			return 0, 0, err
		}
	}
	found.Reported += reported
	return len(given), reported, nil
}

// stillWaiting wants every envelope with a tier to be listed.
func stillWaiting(s queue.Store, puts map[queue.Ref]*queue.Put) error {
	listed := make(map[queue.Ref]bool)
	for after := (queue.Ref{}); ; {
		list, err := s.Waiting(ctx(), after, 100)
		if err != nil {
			return fmt.Errorf("failed to list what waits: %w", err)
		}
		if len(list) == 0 {
			break
		}
		for _, u := range list {
			listed[u.Ref] = true
		}
		after = list[len(list)-1].Ref
	}
	for ref, p := range puts {
		if p.Tier != envelope.TierNone && !listed[ref] {
			return fmt.Errorf("%s waits for a person in %s and is not listed", ref.ID, ref.Desk)
		}
	}
	return nil
}

func readDamaged(s queue.Store, desk identity.DeskID) (queue.Page, error) {
	var all queue.Page
	for {
		page, err := s.Read(ctx(), desk, all.Next, queue.Limit{Records: 8, Bytes: 1 << 20})
		if err != nil {
			return all, fmt.Errorf("failed to read: %w", err)
		}
		all.Records = append(all.Records, page.Records...)
		all.Damaged = append(all.Damaged, page.Damaged...)
		all.Next = page.Next
		if !page.More {
			return all, nil
		}
	}
}

// quarantineAll wants the reported records gone from the mailbox afterwards.
func quarantineAll(s queue.Store, desk identity.DeskID, reported []queue.Damaged, found *Found) error {
	for _, d := range reported {
		results, err := s.Commit(ctx(), []queue.Op{&queue.Quarantine{Desk: desk, Position: d.Position, Now: start}})
		if err != nil || results[0].Err != nil {
			return fmt.Errorf("quarantine gave %+v, %w", results, err)
		}
		if results[0].Noticed != "" {
			found.Noticed++
		}
	}
	if len(reported) == 0 {
		return nil
	}
	page, err := readDamaged(s, desk)
	if err != nil || len(page.Damaged) > 0 {
		return fmt.Errorf("after quarantine still %+v, %w", page.Damaged, err)
	}
	return nil
}

// picture is the files of a directory: what stands before the zeros at the end,
// and the size.
type picture map[string]snapshot

type snapshot struct {
	content []byte
	size    int64
}

func takePicture(dir string) (picture, error) {
	all := make(picture)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		size := int64(len(content))
		all[path] = snapshot{bytes.Clone(bytes.TrimRight(content, "\x00")), size}
		return err
	})
	return all, err
}

func (p picture) restore(dir string) error {
	for path, s := range p {
		if err := errors.Join(os.WriteFile(path, s.content, 0o600), os.Truncate(path, s.size)); err != nil {
			return err
		}
	}
	return nil
}

func mkdir(dir string) error { return os.Mkdir(dir, 0o700) }
