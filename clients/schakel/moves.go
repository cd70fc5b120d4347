package schakel

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"schakel/clients/store"
	"schakel/crypto/digest"
	"schakel/crypto/message"
	"schakel/crypto/seal"
	"schakel/crypto/trust"
	"schakel/relay/wire"
)

// Sealed files move beside the envelopes, over connections of their own: a message never
// waits for a file, and a large file never for the small ones. What is due stands in the
// store; here is only what is under way.
const (
	movesAtOnce = 4       // of any size
	smallAtOnce = 2       // more, for small files only
	smallFile   = 1 << 20 // bytes of a sealed file
	movesLooked = 4096    // at once, of what is due

	restMoveFirst = 500 * time.Millisecond
	restMoveMost  = time.Minute
	seizeLook     = 20 * time.Millisecond

	// stalled is how long a transfer may go without a byte.
	stalled = time.Minute
)

// Why the latest try failed, as Attachment.Trouble says it.
const (
	troubleNotThere = "nog-niet-bij-relay"
	troubleGone     = "van-voor-dit-apparaat"
	troubleOther    = "ander-bestand"
	troubleRelay    = "relay-weigert"
	troubleFull     = "relay-vol"
	troubleTooBig   = "te-groot-voor-relay"
	troubleDisk     = "schijf"
	troubleLine     = "geen-verbinding"
)

// Troubles are the words that Attachment.Trouble can be.
func Troubles() []string {
	return []string{troubleNotThere, troubleGone, troubleOther, troubleRelay, troubleFull, troubleTooBig, troubleDisk, troubleLine}
}

type moveKey struct {
	message message.Hash
	place   int
}

func keyOf(a store.Attachment) moveKey { return moveKey{a.Message, a.Place} }

// move is one transfer: under way, or between two tries.
type move struct {
	moving  bool
	stop    context.CancelFunc // while it is under way
	done    uint64
	trouble string
	tries   int // in a row that brought nothing
	rest    time.Time

	began time.Time // this try
	from  uint64
	last  time.Time // when the latest bytes came

	came *digest.SHA256 // of what came here by now; nil: nothing did
	part int64          // bytes of the next part that goes up; 0: uploadPart
}

// rate is in bytes a second, of this try.
func (m move) rate(now time.Time) uint64 {
	took := now.Sub(m.began).Seconds()
	if !m.moving || took < 0.2 || m.done <= m.from {
		return 0
	}
	return uint64(float64(m.done-m.from) / took)
}

// moves are the transfers of a node. The zero value is ready but for wake.
type moves struct {
	wake chan struct{} // something became due, or a place free
	asks atomic.Int64  // rounds in which the relay was asked for what it has

	mu  sync.Mutex // guards what follows
	all map[moveKey]*move
}

func newMoves() *moves { return &moves{wake: make(chan struct{}, 1), all: map[moveKey]*move{}} }

func (m *moves) progress(k moveKey) move {
	m.mu.Lock()
	defer m.mu.Unlock()
	if one := m.all[k]; one != nil {
		return *one
	}
	return move{}
}

// troubleOfSubject is why the latest try of an attachment that an alarm names failed.
func (m *moves) troubleOfSubject(subject string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, one := range m.all {
		if attachmentSubject(store.Attachment{Message: k.message, Place: k.place}) == subject {
			return one.trouble
		}
	}
	return ""
}

// claim begins a transfer, unless it is under way or rests.
func (m *moves) claim(k moveKey, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	one := m.all[k]
	if one == nil {
		one = &move{}
		m.all[k] = one
	}
	if one.moving || now.Before(one.rest) {
		return false
	}
	one.moving, one.began, one.from = true, now, one.done
	return true
}

// seize begins a transfer in the place of one that rests, or is under way: that one ends.
func (m *moves) seize(ctx context.Context, k moveKey, now func() time.Time) error {
	for {
		m.mu.Lock()
		one := m.all[k]
		if one == nil || !one.moving {
			m.all[k] = &move{moving: true, began: now()}
			m.mu.Unlock()
			return nil
		}
		if one.stop != nil {
			one.stop()
		}
		m.mu.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(seizeLook):
		}
	}
}

// unclaim gives back what nobody was free to carry.
func (m *moves) unclaim(k moveKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all[k].moving = false
}

func (m *moves) stoppable(k moveKey, stop context.CancelFunc) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all[k].stop = stop
}

// at notes how far a transfer is.
func (m *moves) at(k moveKey, done uint64, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if one := m.all[k]; one != nil {
		if one.done == 0 && one.from == 0 && one.last.IsZero() && done > 0 {
			one.from = done // found here, and not moved by this try
		}
		one.done, one.last = done, now
	}
}

// sum is the SHA-256 of what came of a file, to go on with. Where what is here did not come in
// this run of the program, it stays shorter than the file, and says nothing of it.
func (m *moves) sum(k moveKey, here int64) *digest.SHA256 {
	m.mu.Lock()
	defer m.mu.Unlock()
	one := m.all[k]
	if one == nil { // nobody goes on with it
		return new(digest.SHA256)
	}
	if here == 0 || one.came == nil || one.came.Len() != uint64(here) {
		one.came = new(digest.SHA256)
	}
	return one.came
}

// part is how many bytes go up next. A part that breaks off is not there at all: so they are
// larger while they arrive, which costs the disk of the relay less, and a quarter after each
// try that failed, so that a poor line gets on.
func (m *moves) part(k moveKey) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if one := m.all[k]; one != nil && one.part > 0 {
		return one.part
	}
	return uploadPart
}

// larger notes that a part arrived.
func (m *moves) larger(k moveKey) {
	next := min(2*m.part(k), wire.MaxBlobPart)
	m.mu.Lock()
	defer m.mu.Unlock()
	if one := m.all[k]; one != nil {
		one.part = next
	}
}

// smaller is the part for the try after one that failed.
func (m move) smaller() int64 {
	if m.part == 0 {
		m.part = uploadPart
	}
	return max(m.part/4, wire.MinBlobPart)
}

// end notes how a try ended. One that got further begins its rests anew; the others wait
// longer each time, with full jitter, so that all that lost one relay do not come as one.
func (m *moves) end(k moveKey, trouble string, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	one := m.all[k]
	if one == nil {
		return
	}
	one.moving, one.stop = false, nil
	if one.trouble = trouble; trouble == "" {
		delete(m.all, k)
		return
	}
	one.part = one.smaller()
	if one.tries++; one.done > one.from {
		one.tries = 1
	}
	window := min(restMoveFirst<<min(one.tries-1, 10), restMoveMost)
	one.rest = now.Add(window/4 + rand.N(window))
}

// stop ends a transfer that is under way.
func (m *moves) stop(k moveKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if one := m.all[k]; one != nil && one.stop != nil {
		one.stop()
	}
}

// again has one tried now; with the zero key all of them.
func (m *moves) again(k moveKey) {
	m.mu.Lock()
	for key, one := range m.all {
		if k == key || k == (moveKey{}) {
			one.rest, one.tries = time.Time{}, 0
		}
	}
	m.mu.Unlock()
	m.poke()
}

func (m *moves) poke() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// transfers moves sealed files until ctx ends. It returns an error only when the store can
// no longer be trusted.
func (n *Node) transfers(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	large, small := make(chan store.Attachment), make(chan store.Attachment)
	for i := range movesAtOnce + smallAtOnce {
		mine := large
		if i >= movesAtOnce {
			mine = nil // never taken
		}
		g.Go(func() error { return n.carrier(ctx, mine, small) })
	}
	g.Go(func() error { return n.dispatch(ctx, large, small) })
	g.Go(func() error { return n.askUploads(ctx) })
	return g.Wait()
}

// dispatch hands out what is due to whoever is free.
func (n *Node) dispatch(ctx context.Context, large, small chan<- store.Attachment) error {
	tick := time.NewTicker(n.every)
	defer tick.Stop()
	for {
		if n.live() != nil {
			var due []store.Attachment
			err := n.store.View(ctx, func(tx *store.Tx) (err error) {
				due, err = tx.MovingAttachments(movesLooked)
				return err
			})
			if err != nil && ctx.Err() == nil {
				n.log.Error("attachments that move not read, will try again", "err", err)
			}
			n.handOut(due, large, small)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-n.moves.wake:
		case <-tick.C:
		}
	}
}

func (n *Node) handOut(due []store.Attachment, large, small chan<- store.Attachment) {
	full := map[bool]bool{}
	for _, a := range due {
		to, fits := large, a.Length <= smallFile
		if fits {
			to = small
		}
		if full[fits] || !n.moves.claim(keyOf(a), n.now()) {
			continue
		}
		select {
		case to <- a:
		default:
			n.moves.unclaim(keyOf(a))
			full[fits] = true
		}
	}
}

// carrier carries one file after another, over one connection.
func (n *Node) carrier(ctx context.Context, large, small <-chan store.Attachment) error {
	var line carrierLine
	defer line.close()
	for {
		var a store.Attachment
		n.moves.poke()
		select {
		case <-ctx.Done():
			return nil
		case a = <-large:
		case a = <-small:
		}
		if err := n.moveFile(ctx, &line, a); err != nil {
			return err
		}
	}
}

// carrierLine is the connection of a carrier to the relay that the register names now.
type carrierLine struct {
	relay trust.RelayState
	blobs *wire.Blobs
}

func (l *carrierLine) to(n *Node) *wire.Blobs {
	if relay := n.directory().relay; l.blobs == nil || relay.URL != l.relay.URL || relay.ID != l.relay.ID || relay.TLS != l.relay.TLS {
		l.close()
		l.relay, l.blobs = relay, wire.NewBlobs(relay.URL, tlsFor(relay), wire.BlobDevice{Relay: relay.ID, Device: n.dev.ID, Key: n.keys.Login}, n.now)
	}
	return l.blobs
}

func (l *carrierLine) close() {
	if l.blobs != nil {
		l.blobs.Close()
	}
}

// moveFile makes one try.
func (n *Node) moveFile(ctx context.Context, line *carrierLine, a store.Attachment) error {
	try, stop := context.WithCancel(ctx)
	defer stop()
	n.moves.stoppable(keyOf(a), stop)
	a, due, err := n.stillDue(try, a)
	switch {
	case !due:
	case a.Copy == store.CopyHere:
		err = n.upload(try, line.to(n), a)
	default:
		err = n.fetch(try, line.to(n), a)
	}
	if err != nil {
		line.close() // whatever is half said on it
	}
	if fatal := new(fatalError); errors.As(err, &fatal) {
		return err
	}
	trouble := troubleOf(err)
	n.moves.end(keyOf(a), trouble, n.now())
	if trouble != "" && try.Err() == nil {
		n.log.Info("attachment not moved, will try again", "message", a.Message, "place", a.Place, "trouble", trouble)
	}
	return nil
}

// stillDue is an attachment as it is now. Since it was listed it may have come, by the relay
// or by hand: what is here must not be begun anew.
func (n *Node) stillDue(ctx context.Context, listed store.Attachment) (a store.Attachment, due bool, err error) {
	err = n.store.View(ctx, func(tx *store.Tx) error {
		a, err = tx.AttachmentOf(listed.Message, listed.Place)
		return err
	})
	if err != nil {
		return listed, false, ifThere(err)
	}
	return a, a.Copy == store.CopyWanted || a.Copy == store.CopyRefused || a.Copy == store.CopyHere && a.Upload == store.UploadDue, nil
}

// troubleOf is the constant word for an error of a transfer; nothing that a relay sent.
func troubleOf(err error) string {
	for _, t := range []struct {
		err  error
		word string
	}{
		{seal.ErrDigest, troubleOther}, {wire.ErrBlobNone, troubleNotThere}, {wire.ErrBlobFull, troubleFull}, {wire.ErrBlobTooBig, troubleTooBig},
		{wire.ErrBlobHash, troubleOther}, {wire.ErrBlobToken, troubleRelay}, {wire.ErrBlobLane, troubleRelay}, {wire.ErrBlobRate, troubleRelay},
		{wire.ErrBlobRequest, troubleRelay}, {wire.ErrBlobAnswer, troubleRelay}, {ErrDisk, troubleDisk},
	} {
		if errors.Is(err, t.err) {
			return t.word
		}
	}
	if err != nil {
		return troubleLine
	}
	return ""
}
