package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"time"

	"schakel/crypto/digest"
	"schakel/relay/wire"
)

// A disk can change bytes of a blob that was verified when it came. Who fetches it refuses
// them, and says so. What a device says is not believed: the relay reads the blob back, and
// takes it for lost if it is not its name any more; its sender uploads it again, as often as it
// believes in losses. So a lie costs the relay one reading of one blob now and then.

// doubtRest is how long a blob that was read back and found good is not read again.
const doubtRest = 10 * time.Minute

// doubts are the blobs that were read back lately.
type doubts struct {
	reading sync.Mutex // held while one is read: one at a time
	good    lately[upload]
}

// Doubt is State for a device whose desk may fetch a blob and got other bytes. The blob is read
// back, and if it is not its name any more it is lost: ErrNone from then on, also for the device
// that uploaded it, which uploads it again. One blob is read at a time, and none twice within ten
// minutes: meanwhile it is taken for what it was.
func (k *Keeper) Doubt(ctx context.Context, by Owner, id wire.BlobID) (wire.BlobState, error) {
	u, list, err := k.held(ctx, by.Desk, id)
	if err != nil {
		return wire.BlobState{}, err
	}
	state := wire.BlobState{Offset: u.length, Length: u.length, Complete: true}
	if _, rests := k.doubts.good.known(u, k.config.Now(), doubtRest); rests || !k.doubts.reading.TryLock() {
		return state, nil
	}
	defer k.doubts.reading.Unlock()
	found, err := k.readBack(ctx, u, list)
	if err != nil {
		return wire.BlobState{}, fmt.Errorf("failed to read a blob back: %w", err)
	}
	if found == u.id {
		k.doubts.good.note(u, k.config.Now(), math.MaxInt)
		return state, nil
	}
	k.config.Log.Error("a blob is not what its name says any more: its sender uploads it again", "device", u.by.Device.String(), "blob", u.id.String())
	for _, p := range list { // these alone: an upload that begins anew has others
		err = errors.Join(err, k.config.Store.Delete(ctx, p.name))
	}
	return wire.BlobState{}, errors.Join(err, ErrNone)
}

// readBackSize is how many bytes are read at a time where a blob is read back.
const readBackSize = 256 << 10

// readBack is the SHA-256 of parts as they lie in the store.
func (k *Keeper) readBack(ctx context.Context, u upload, list []piece) (wire.BlobID, error) {
	r := &Reader{keeper: k, ctx: ctx, of: u, pieces: list}
	defer r.Close()
	var h digest.SHA256
	if _, err := io.CopyBuffer(&h, r, make([]byte, readBackSize)); err != nil {
		return wire.BlobID{}, err
	}
	return h.Sum(), nil
}
