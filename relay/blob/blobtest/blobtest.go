// Package blobtest is the suite that every store of blobs must pass.
//
//	blobtest.Run(t, func(t *testing.T) blob.Store { ... })
//
// Each check returns an error that says which promise was not kept, so that a test can
// also run the checks against stores that are broken on purpose, and see them noticed.
// Some are about the [blob.Store] alone, others about a [blob.Keeper] on it.
package blobtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"schakel/crypto/identity"
	"schakel/relay/blob"
	"schakel/relay/wire"
)

// Check is one promise.
type Check struct {
	Name string
	Run  func(ctx context.Context, s blob.Store) error
}

// Checks returns all promises. Each wants a store with nothing in it.
func Checks() []Check {
	return []Check{
		{"what was put is there", checkPut},
		{"put again", checkAgain},
		{"ranges of an object", checkRanges},
		{"what breaks off is not there", checkBroken},
		{"lists", checkList},
		{"deletion", checkDelete},
		{"many at once", checkMany},
		{"upload and fetch", checkUpload},
		{"parts out of place", checkPlaces},
		{"an upload that breaks off", checkResume},
		{"parts of any size", checkSizes},
		{"bytes that are not those of the name", checkMismatch},
		{"hashed as it comes in", checkHashed},
		{"two parts of one place", checkTwins},
		{"seen only when complete", checkSeen},
		{"foreign desks", checkForeign},
		{"desks drop it", checkDrop},
		{"given up", checkGiveUp},
		{"never finished", checkUnfinished},
		{"a week is over", checkWeek},
		{"named again", checkRenew},
		{"share of an organisation", checkShare},
		{"uploads of a device", checkUploads},
		{"two keepers of one store", checkTwo},
		{"looks of two keepers", checkLooks},
		{"damaged records", checkDamaged},
		{"lost", checkLost},
		{"needed no more", checkDone},
		{"doubted", checkDoubted},
		{"a part that cannot be read", checkRefusedPart},
		{"a record that cannot be read", checkRefusedRecord},
		{"a disk that fails for a moment", checkRefusedOnce},
		{"a disk that fails as a whole", checkRefusedAll},
		{"strays", checkStrays},
	}
}

// Run runs all checks, each on a store of its own.
func Run(t *testing.T, open func(t *testing.T) blob.Store) {
	for _, c := range Checks() {
		t.Run(c.Name, func(t *testing.T) {
			if err := c.Run(context.Background(), open(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

// errPromise is wrapped by what the checks find.
var errPromise = errors.New("promise not kept")

func broken(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errPromise, fmt.Sprintf(format, args...))
}

// Content makes random bytes and their name.
func Content(size int) ([]byte, wire.BlobID) {
	content := make([]byte, size)
	rand.Read(content)
	return content, sha256.Sum256(content)
}

func put(ctx context.Context, s blob.Store, name string, content []byte) error {
	return s.Put(ctx, name, bytes.NewReader(content), int64(len(content)))
}

func get(ctx context.Context, s blob.Store, name string, from int64) ([]byte, error) {
	r, err := s.Get(ctx, name, from)
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(r)
	return got, errors.Join(err, r.Close())
}

func list(ctx context.Context, s blob.Store, prefix string) (names []string, err error) {
	for o, err := range s.List(ctx, prefix) {
		if err != nil {
			return nil, err
		}
		names = append(names, o.Name)
	}
	return names, nil
}

// desk is a keeper with a clock that stands still, and the devices of the checks.
type desk struct {
	*blob.Keeper
	now     time.Time
	a, b, c blob.Owner // a uploads, b may fetch, c is another
}

func owner(device byte, of identity.DeskID) blob.Owner {
	return blob.Owner{Device: identity.DeviceID{15: device}, Desk: of}
}

// keep makes a keeper with small limits.
func keep(s blob.Store) *desk {
	d := &desk{
		now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC),
		a:   owner(1, "vt20/crisis"), b: owner(2, "pol-mn/zeden"), c: owner(3, "opvang/utrecht"),
	}
	d.Keeper = blob.New(blob.Config{
		Store: s, MaxBytes: 8 << 20, OrgBytes: 20 << 20, Uploads: 3, MinFree: 1, Now: func() time.Time { return d.now },
	})
	return d
}

// part appends one part of content, for b.
func (d *desk) part(ctx context.Context, content []byte, id wire.BlobID, from, to int) (wire.BlobState, error) {
	return d.Append(ctx, d.a, id, partOf(d, content, from, to))
}

func partOf(d *desk, content []byte, from, to int) wire.BlobPart {
	return wire.BlobPart{
		Offset: int64(from), Length: int64(len(content)), Desks: []identity.DeskID{d.b.Desk}, Body: bytes.NewReader(content[from:to]), Size: int64(to - from),
	}
}

// upload uploads all of content in parts.
func (d *desk) upload(ctx context.Context, content []byte, id wire.BlobID) error {
	for from := 0; from < len(content); {
		to := min(from+wire.MinBlobPart, len(content))
		state, err := d.part(ctx, content, id, from, to)
		if err != nil {
			return err
		}
		if state.Offset != int64(to) || state.Complete != (to == len(content)) {
			return broken("after %d of %d bytes the state is %+v", to, len(content), state)
		}
		from = to
	}
	return nil
}

// has reports whether an owner may fetch exactly content.
func (d *desk) has(ctx context.Context, who blob.Owner, content []byte, id wire.BlobID) error {
	r, err := d.Open(ctx, who, id)
	if err != nil {
		return err
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, content) {
		return broken("%d other bytes than the %d that were uploaded", len(got), len(content))
	}
	return nil
}

// none says that an owner hears of nothing, by any verb that reads.
func (d *desk) none(ctx context.Context, who blob.Owner, id wire.BlobID) error {
	if _, err := d.Open(ctx, who, id); !errors.Is(err, blob.ErrNone) {
		return broken("%s opens it: %v", who.Desk, err)
	}
	if _, err := d.State(ctx, who, id); !errors.Is(err, blob.ErrNone) {
		return broken("%s hears of it: %v", who.Desk, err)
	}
	return nil
}
