package queuetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// world is a store and the small hands of a check. Its methods give up the check
// by panicking with broken, which Check.Run turns into its error.
type world struct {
	backend Backend
	dir     string
	quota   queue.Quota
	store   queue.Store
	serial  uint64
}

type broken struct{ error }

func (w *world) fail(format string, args ...any) { panic(broken{fmt.Errorf(format, args...)}) }

func (w *world) open() {
	store, err := w.backend.Open(w.dir, w.quota)
	if err != nil {
		w.fail("failed to open: %w", err)
	}
	w.store = store
}

func (w *world) reopen() {
	if err := w.store.Close(); err != nil {
		w.fail("failed to close: %w", err)
	}
	w.open()
}

// The cast. Devices are named by what they are: the first and second of a desk.
const (
	piket = identity.DeskID("knooppunt/piket")
	wacht = identity.DeskID("politie/wacht")
	vt    = identity.DeskID("vt20/crisis")
)

func device(desk identity.DeskID, n byte) identity.DeviceID {
	sum := sha256.Sum256([]byte(desk))
	return identity.DeviceID{0xd0, n, sum[0], sum[1], sum[2], sum[3]}
}

// start is the time at which checks begin, in seconds since 1970.
const start = uint64(1_800_000_000)

// envelopeFor returns a put to desk for its first two devices, sealed by the
// first device of piket. Its bytes differ from those of every other.
func (w *world) envelopeFor(desk identity.DeskID) *queue.Put {
	w.serial++
	return newPut(desk, w.serial, 2, 100+int(w.serial%50))
}

func newPut(desk identity.DeskID, serial uint64, devices, size int) *queue.Put {
	p := &queue.Put{
		Desk: desk, Sealer: device(piket, 1), SealerDesk: piket,
		Created: start, Expires: start + 3600, Envelope: content(serial, size),
	}
	for n := range devices {
		p.Targets = append(p.Targets, device(desk, byte(n+1)))
	}
	binary.BigEndian.PutUint64(p.ID[:], start+serial)
	p.ID[15] = 1
	p.Salt = [16]byte(p.Envelope[32:48])
	p.Digest = sha256.Sum256(p.Envelope)
	return p
}

// content is recognisable: a hash of the serial, over and over.
func content(serial uint64, size int) []byte {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, serial))
	return bytes.Repeat(sum[:], size/len(sum)+2)[:max(size, 64)]
}

func withToken(p *queue.Put, tier envelope.Tier, token [32]byte) *queue.Put {
	sum := sha256.Sum256(token[:])
	p.Tier, p.AttendedHash = tier, sum[:]
	return p
}

func (w *world) commit(ops ...queue.Op) []queue.Result {
	results, err := w.store.Commit(context.Background(), ops)
	if err != nil {
		w.fail("failed to commit: %w", err)
	}
	if len(results) != len(ops) {
		w.fail("%d results for %d operations", len(results), len(ops))
	}
	return results
}

// do commits ops, none of which may be refused.
func (w *world) do(ops ...queue.Op) []queue.Result {
	results := w.commit(ops...)
	for i, r := range results {
		if r.Err != nil {
			w.fail("%T was refused: %w", ops[i], r.Err)
		}
	}
	return results
}

// refused commits op and wants it refused with want.
func (w *world) refused(op queue.Op, want error) {
	if r := w.commit(op)[0]; !errors.Is(r.Err, want) {
		w.fail("%T gave %v, want %v", op, r.Err, want)
	}
}

func (w *world) put(p *queue.Put) queue.Position {
	r := w.do(p)[0]
	if r.Duplicate || r.Position == 0 || r.Salt != p.Salt {
		w.fail("new put gave %+v", r)
	}
	return r.Position
}

func (w *world) ack(desk identity.DeskID, n byte, p queue.Position) {
	w.do(&queue.Ack{Desk: desk, Device: device(desk, n), Position: p})
}

// read returns the whole mailbox after a position, page by page.
func (w *world) read(desk identity.DeskID, after queue.Position) []queue.Record {
	records, err := readAll(w.store, desk, after, queue.Limit{Records: 7, Bytes: 1 << 20})
	if err != nil {
		w.fail("%w", err)
	}
	return records
}

func readAll(s queue.Store, desk identity.DeskID, after queue.Position, limit queue.Limit) ([]queue.Record, error) {
	var all []queue.Record
	for {
		page, err := s.Read(context.Background(), desk, after, limit)
		if err != nil {
			return nil, fmt.Errorf("failed to read: %w", err)
		}
		if len(page.Damaged) > 0 {
			return nil, fmt.Errorf("sound store reports damage: %+v", page.Damaged)
		}
		for _, r := range page.Records {
			if r.Position <= after {
				return nil, fmt.Errorf("position %d after %d", r.Position, after)
			}
			after = r.Position
		}
		all = append(all, page.Records...)
		if !page.More {
			return all, nil
		}
		if page.Next < after || len(page.Records) == 0 {
			return nil, fmt.Errorf("page goes on at %d after %d with %d records", page.Next, after, len(page.Records))
		}
	}
}

// holds wants exactly puts in the mailbox of desk, in order, whole.
func (w *world) holds(desk identity.DeskID, puts ...*queue.Put) {
	records := w.read(desk, 0)
	if len(records) != len(puts) {
		w.fail("%d records in %s, want %d", len(records), desk, len(puts))
	}
	for i, r := range records {
		if err := same(&r, puts[i]); err != nil {
			w.fail("record %d of %s: %w", i, desk, err)
		}
	}
}

// same reports how a record differs from the put that made it.
func same(r *queue.Record, p *queue.Put) error {
	switch {
	case r.Kind != queue.KindEnvelope || r.ID != p.ID:
		return fmt.Errorf("is another: %s, want %s", r.ID, p.ID)
	case !bytes.Equal(r.Envelope, p.Envelope):
		return errors.New("has other bytes")
	case r.Created != p.Created || r.Expires != p.Expires || r.Tier != p.Tier:
		return errors.New("has other times or tier")
	case r.Sealer != p.Sealer || r.SealerDesk != p.SealerDesk || !slices.Equal(r.Targets, p.Targets):
		return errors.New("has another sealer or other targets")
	}
	return nil
}

func (w *world) cursor(desk identity.DeskID, n byte) queue.Cursor {
	c, err := w.store.Cursor(context.Background(), desk, device(desk, n))
	if err != nil {
		w.fail("failed to ask for the cursor: %w", err)
	}
	return c
}

func (w *world) expire(now uint64) []queue.Expired {
	return w.do(&queue.Expire{Now: now, Max: 1000})[0].Expired
}

func (w *world) waiting() []queue.Unattended {
	var all []queue.Unattended
	var after queue.Ref
	for {
		list, err := w.store.Waiting(context.Background(), after, 2)
		if err != nil {
			w.fail("failed to list what waits: %w", err)
		}
		if len(list) == 0 {
			return all
		}
		all = append(all, list...)
		after = list[len(list)-1].Ref
		if len(all) > 10_000 {
			w.fail("the list of what waits does not end")
		}
	}
}

// serialOf returns the serial that newPut made id from.
func serialOf(id envelope.ID) uint64 { return binary.BigEndian.Uint64(id[:]) - start }
