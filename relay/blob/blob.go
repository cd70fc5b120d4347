// Package blob keeps sealed attachments until every desk that may fetch them has, or
// a week is over.
//
// A blob is named by the SHA-256 of its bytes. A device uploads it in parts
// ([Keeper.Append]); each part is durable when it is answered. It is hashed as it comes in,
// or read back where that was elsewhere or before a restart, and only if the hash is the
// name do the desks see it ([Keeper.Open]). Nobody is told of a blob that another device
// uploaded and did not name their desk for: not there, not yours and not complete
// are one answer, and who has the same bytes uploads them again.
//
// Everything lies in a [Store] of plain objects, of which package folder is one on a
// disk, and package s3 one that several relays share. Objects are written once, and
// what a relay must know is a listing, so relays need not agree on anything beside
// the store.
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"schakel/crypto/identity"
	"schakel/relay/wire"
)

// Refusals of an upload, one for each decision a device can take. ErrNone stands for
// everything that is not to be had.
var (
	ErrOffset   = errors.New("the upload is at another offset")
	ErrRequest  = errors.New("a part outside its bounds")
	ErrTooBig   = errors.New("larger than this relay takes")
	ErrQuota    = errors.New("the organisation's share is full")
	ErrUploads  = errors.New("too many unfinished uploads of this device")
	ErrMismatch = errors.New("the bytes are not what the name says")
)

// Owner is a device and the desk that the register gives it.
type Owner struct {
	Device identity.DeviceID
	Desk   identity.DeskID
}

// Config is fixed for the life of a Keeper. Zero numbers take the defaults.
type Config struct {
	Store    Store
	MaxBytes int64            // of one blob; default 2 GiB
	OrgBytes int64            // of all blobs that one organisation uploaded; default 20 GiB
	Uploads  int              // unfinished, of one device; default 16
	MinFree  int64            // below this much room parts are refused; default 256 MiB
	Now      func() time.Time // nil: time.Now
	Log      *slog.Logger     // nil discards; ids only
}

// Keeper keeps blobs in a store. It may be used by any number of goroutines.
type Keeper struct {
	config   Config
	running  running
	gone     marks
	doubts   doubts
	refusals refusals
	begin    sync.Mutex // held from a look at an organisation's share to the record that takes of it
}

// New returns a Keeper.
func New(c Config) *Keeper {
	if c.MaxBytes <= 0 {
		c.MaxBytes = 2 << 30
	}
	c.MaxBytes = min(c.MaxBytes, wire.MaxBlob)
	if c.OrgBytes <= 0 {
		c.OrgBytes = 20 << 30
	}
	if c.Uploads <= 0 {
		c.Uploads = 16
	}
	if c.MinFree <= 0 {
		c.MinFree = 256 << 20
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Keeper{config: c}
}

// State says how far a device's own upload is; the desks of a complete blob hear
// that it is complete. ErrDone for its own device where it is gone, and all others had it or its
// time was over; ErrNone for everybody else, and for that device where it was lost: it uploads
// it again.
func (k *Keeper) State(ctx context.Context, by Owner, id wire.BlobID) (wire.BlobState, error) {
	u, complete, err := k.find(ctx, by, id)
	if err == nil && complete {
		err = k.servable(ctx, u)
	}
	switch {
	case err == nil && complete:
		return wire.BlobState{Offset: u.length, Length: u.length, Complete: true}, nil
	case err == nil:
		chain, err := k.chain(ctx, u)
		return wire.BlobState{Offset: end(chain), Length: u.length}, err
	case !errors.Is(err, ErrNone):
		return wire.BlobState{}, err
	}
	u, _, err = k.held(ctx, by.Desk, id)
	if errors.Is(err, ErrNone) {
		err = k.wasDone(ctx, by, id)
	}
	return wire.BlobState{Offset: u.length, Length: u.length, Complete: true}, err
}

// find is a device's own upload of a blob.
func (k *Keeper) find(ctx context.Context, by Owner, id wire.BlobID) (found upload, complete bool, err error) {
	any := false
	for o, err := range k.config.Store.List(ctx, by.prefix()+id.String()+".") {
		if err != nil {
			return found, false, err
		}
		u, isWhole, err := parseUpload(o.Name)
		if err != nil || u.by != by || u.id != id {
			continue
		}
		found, complete, any = u, complete || isWhole, true
	}
	if !any {
		return found, false, ErrNone
	}
	return found, complete, nil
}

// chain is the parts of an upload from its first byte on, as far as they have no gap.
// Where an upload has two parts of one place, because two relays took one at the same
// time, the first by name counts.
func (k *Keeper) chain(ctx context.Context, u upload) (list []piece, err error) {
	next := int64(0)
	for o, err := range k.config.Store.List(ctx, u.parts()) {
		if err != nil {
			return nil, err
		}
		p, err := u.parsePiece(o.Name)
		if err != nil || p.size != o.Size || p.offset != next {
			continue
		}
		list = append(list, p)
		next += p.size
	}
	return list, nil
}

func end(chain []piece) int64 {
	if len(chain) == 0 {
		return 0
	}
	last := chain[len(chain)-1]
	return last.offset + last.size
}

// held finds a complete blob that a desk may fetch.
func (k *Keeper) held(ctx context.Context, desk identity.DeskID, id wire.BlobID) (upload, []piece, error) {
	for o, err := range k.config.Store.List(ctx, holdsOf(id)+string(desk)+"/") {
		if err != nil {
			return upload{}, nil, err
		}
		holder, u, err := parseHold(o.Name)
		if err != nil || holder != desk || u.id != id {
			continue
		}
		list, until, err := k.pieces(ctx, u)
		switch {
		case errors.Is(err, ErrNone), err == nil && until <= k.seconds(0):
			continue
		case err != nil:
			return upload{}, nil, err
		}
		return u, list, nil
	}
	return upload{}, nil, ErrNone
}

// Drop says that a desk has a blob: it may not fetch it again, and when no desk may,
// the blob is gone. An upload of the device itself that is not complete is given up.
func (k *Keeper) Drop(ctx context.Context, by Owner, id wire.BlobID) error {
	u, complete, err := k.find(ctx, by, id)
	switch {
	case err == nil && !complete:
		return k.remove(ctx, u)
	case err != nil && !errors.Is(err, ErrNone):
		return err
	}
	var dropped []upload
	for o, err := range k.config.Store.List(ctx, holdsOf(id)+string(by.Desk)+"/") {
		if err != nil {
			return err
		}
		if desk, u, err := parseHold(o.Name); err == nil && desk == by.Desk {
			dropped = append(dropped, u)
		}
	}
	if len(dropped) == 0 {
		return ErrNone
	}
	for _, u := range dropped {
		if err := k.config.Store.Delete(ctx, u.hold(by.Desk)); err != nil {
			return err
		}
		desks, err := k.holders(ctx, u)
		if err == nil && !slices.ContainsFunc(desks, func(d identity.DeskID) bool { return d != u.by.Desk }) {
			err = k.markDone(ctx, u)
		}
		if err == nil && len(desks) == 0 {
			err = k.remove(ctx, u)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// pieces are the parts of a complete upload, and until when it is kept. ErrNone where it was
// lost: a record that is damaged, or parts that the disk or its operator let go.
func (k *Keeper) pieces(ctx context.Context, u upload) ([]piece, int64, error) {
	w, err := k.getWhole(ctx, u)
	var list []piece
	if err == nil {
		list, err = w.pieces(u)
	}
	if err == nil {
		err = k.there(ctx, u, list)
	}
	if errors.Is(err, ErrDamaged) {
		k.config.Log.Error("a blob was lost: its sender uploads it again", "device", u.by.Device.String(), "blob", u.id.String())
		err = ErrNone
	}
	return list, w.Until, err
}

// there demands of every part that it lies in the store.
func (k *Keeper) there(ctx context.Context, u upload, list []piece) error {
	found := make(map[piece]bool, len(list))
	for o, err := range k.config.Store.List(ctx, u.parts()) {
		if err != nil {
			return err
		}
		if p, err := u.parsePiece(o.Name); err == nil && p.size == o.Size {
			found[p] = true
		}
	}
	for _, p := range list {
		if !found[p] {
			return fmt.Errorf("%w: a part is missing", ErrDamaged)
		}
	}
	return nil
}

// servable returns ErrNone where a complete upload was lost.
func (k *Keeper) servable(ctx context.Context, u upload) error {
	_, _, err := k.pieces(ctx, u)
	return err
}

// holders are the desks that may fetch an upload.
func (k *Keeper) holders(ctx context.Context, of upload) (desks []identity.DeskID, err error) {
	for o, err := range k.config.Store.List(ctx, holdsOf(of.id)) {
		if err != nil {
			return nil, err
		}
		if desk, u, err := parseHold(o.Name); err == nil && u == of {
			desks = append(desks, desk)
		}
	}
	return desks, nil
}

// remove removes an upload: first what makes it seen, last what makes it found.
func (k *Keeper) remove(ctx context.Context, u upload) error {
	if err := k.config.Store.Delete(ctx, u.whole()); err != nil {
		return err
	}
	desks, err := k.holders(ctx, u)
	if err != nil {
		return err
	}
	for _, d := range desks {
		if err := k.config.Store.Delete(ctx, u.hold(d)); err != nil {
			return err
		}
	}
	if err := k.clear(ctx, u.parts()); err != nil {
		return err
	}
	return k.config.Store.Delete(ctx, u.name())
}

// clear removes everything under a prefix.
func (k *Keeper) clear(ctx context.Context, prefix string) error {
	var names []string
	for o, err := range k.config.Store.List(ctx, prefix) {
		if err != nil {
			return err
		}
		names = append(names, o.Name)
	}
	for _, name := range slices.Backward(names) {
		if err := k.config.Store.Delete(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// Reader reads a blob part by part. It is for one goroutine.
type Reader struct {
	keeper *Keeper
	ctx    context.Context
	of     upload
	pieces []piece
	at     int64
	open   io.ReadCloser // from at on, to the end of its part; nil: none
	left   int64         // of open
	// Allowed, where set, is asked before each part: rights may end meanwhile.
	Allowed func() error
}

var _ io.ReadSeekCloser = (*Reader)(nil)

// Open reads a blob for a desk that may fetch it; ErrNone for everybody else.
func (k *Keeper) Open(ctx context.Context, by Owner, id wire.BlobID) (*Reader, error) {
	u, pieces, err := k.held(ctx, by.Desk, id)
	if err != nil {
		return nil, err
	}
	return &Reader{keeper: k, ctx: ctx, of: u, pieces: pieces}, nil
}

// Size is the length of the blob.
func (r *Reader) Size() int64 { return r.of.length }

// Seek sets where the next Read begins.
func (r *Reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.of.length
	}
	if offset < 0 || offset > r.of.length {
		return 0, errors.New("failed to seek outside a blob")
	}
	if offset != r.at {
		r.shut()
		r.at = offset
	}
	return offset, nil
}

// Read reads from one part; the next Read goes on with the next.
func (r *Reader) Read(p []byte) (int, error) {
	if r.at >= r.of.length {
		return 0, io.EOF
	}
	if r.open == nil {
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	n, err := r.open.Read(p[:min(int64(len(p)), r.left)])
	r.at, r.left = r.at+int64(n), r.left-int64(n)
	switch {
	case r.left == 0:
		r.shut()
		return n, nil
	case errors.Is(err, io.EOF):
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}

// next opens the part in which at lies.
func (r *Reader) next() error {
	if r.Allowed != nil {
		if err := r.Allowed(); err != nil {
			return err
		}
	}
	i, _ := slices.BinarySearchFunc(r.pieces, r.at, func(p piece, at int64) int {
		if at >= p.offset+p.size {
			return -1
		}
		return 1
	})
	p := r.pieces[i]
	open, err := r.keeper.get(r.ctx, r.of, p.name, r.at-p.offset)
	if err != nil {
		if errors.Is(err, ErrNone) { // a list names it
			r.keeper.refused(r.ctx, r.of, p.name)
		}
		return fmt.Errorf("failed to read a part: %w", err)
	}
	r.open, r.left = open, p.offset+p.size-r.at
	return nil
}

func (r *Reader) shut() {
	if r.open != nil {
		_ = r.open.Close()
		r.open = nil
	}
}

// Close ends reading.
func (r *Reader) Close() error {
	r.shut()
	return nil
}

// trim is the name of a part as the record of the whole has it.
func (u upload) trim(p piece) string { return strings.TrimPrefix(p.name, u.parts()) }
