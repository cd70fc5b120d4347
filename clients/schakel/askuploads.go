package schakel

import (
	"context"
	"errors"
	"time"

	"schakel/clients/store"
	"schakel/relay/wire"
)

// A disk of the relay, or its operator, can lose one file while the envelope stays. So the
// device that uploaded it asks now and then whether it is still there, until all who are to
// have it do, and brings it again without a person. What a relay answers can cost a device no
// more than a few uploads of each file: one that says for ever that it lost a file is believed
// that often, and then a person has to ask.
const (
	uploadsAsk   = 5 * time.Minute
	uploadsAsked = 256 // at once, at most; the next ones at the next time
	lostBelieved = 3   // times, of one file
	lostFirst    = 10 * time.Minute
)

// askedUpload is what the relay said of an upload, in this run of the program.
type askedUpload struct {
	at     time.Time // when it was asked
	needed bool      // as far as it said
	lost   int       // times that it said so, and got it again
	rest   time.Time // before that it is not believed again
}

// askUploads asks until ctx ends.
func (n *Node) askUploads(ctx context.Context) error {
	var line carrierLine
	defer line.close()
	known, last := map[moveKey]*askedUpload{}, time.Time{}
	tick := time.NewTicker(n.every)
	defer tick.Stop()
	for {
		if n.live() != nil && due(n.now(), &last, uploadsAsk) {
			err := n.askOnce(ctx, &line, known)
			line.close() // until the next time
			n.moves.asks.Add(1)
			if err != nil {
				if fatal := new(fatalError); errors.As(err, &fatal) {
					return err
				}
				if ctx.Err() == nil {
					n.log.Info("the relay was not asked for all that it has of this device, will ask again", "trouble", troubleOf(err))
				}
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// askOnce asks for those uploads that were asked for the longest ago.
func (n *Node) askOnce(ctx context.Context, line *carrierLine, known map[moveKey]*askedUpload) error {
	var done []store.Attachment
	err := n.store.View(ctx, func(tx *store.Tx) (err error) {
		done, err = tx.UploadedSince(n.now().Add(-wire.BlobLife), movesLooked)
		return err
	})
	if err != nil {
		return err
	}
	for _, a := range toAsk(done, known, n.now()) {
		one := known[keyOf(a)]
		err := n.askFor(ctx, line.to(n), a)
		one.at = n.now()
		switch {
		case errors.Is(err, wire.ErrBlobDone):
			one.needed = false
		case errors.Is(err, wire.ErrBlobNone):
			err = n.lostAtRelay(ctx, a, one)
			if err != nil {
				return err
			}
		case err != nil:
			return err
		}
	}
	return nil
}

// toAsk are those to ask for now; known forgets what is listed no more.
func toAsk(done []store.Attachment, known map[moveKey]*askedUpload, now time.Time) (out []store.Attachment) {
	listed := make(map[moveKey]bool, len(done))
	for _, a := range done {
		k := keyOf(a)
		listed[k] = true
		if known[k] == nil {
			known[k] = &askedUpload{needed: true}
		}
		one := known[k]
		if one.needed && len(out) < uploadsAsked && now.Sub(one.at) >= uploadsAsk && !now.Before(one.rest) {
			out = append(out, a)
		}
	}
	for k, one := range known {
		if !listed[k] && one.lost == 0 {
			delete(known, k)
		}
	}
	return out
}

// askFor asks for one upload.
func (n *Node) askFor(ctx context.Context, relay *wire.Blobs, a store.Attachment) error {
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	state, err := relay.State(ctx, wire.BlobID(a.Blob))
	if err == nil && !state.Complete {
		return wire.ErrBlobNone // what it has of it, it goes on from
	}
	return err
}

// lostAtRelay makes a file due that the relay says it does not have any more.
func (n *Node) lostAtRelay(ctx context.Context, a store.Attachment, one *askedUpload) error {
	if one.lost >= lostBelieved {
		one.needed = false
		n.log.Error("the relay says once more that it lost a file, and is not believed any more", "message", a.Message, "place", a.Place)
		return nil
	}
	one.rest = n.now().Add(lostFirst << (2 * one.lost))
	one.lost++
	n.log.Warn("the relay lost a file, and gets it again", "message", a.Message, "place", a.Place)
	err := n.update(ctx, func(tx *store.Tx) error { return ifThere(tx.UploadLost(a.Message, a.Place, n.now())) })
	n.moves.again(keyOf(a))
	return err
}
