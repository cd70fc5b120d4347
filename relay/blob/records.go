package blob

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"schakel/crypto/identity"
	"schakel/relay/wire"
)

// begun is the record of an upload, from its first part to its end.
type begun struct {
	At    int64             `json:"at"` // seconds since 1970
	Desks []identity.DeskID `json:"desks"`
}

// whole is the record of a blob that is complete and was verified.
type whole struct {
	Until int64    `json:"until"` // seconds since 1970
	Parts []string `json:"parts"` // behind the common prefix
}

// What a record may be, so that a damaged store makes nobody allocate.
const (
	maxBegun = 64 << 10
	maxWhole = 2 << 20 // 16384 parts of 4 GiB
	maxDesks = 256     // of one upload
)

// ErrDamaged means that a record in the store is none: the blob is taken for gone.
var ErrDamaged = errors.New("damaged record")

// maxTime bounds the times in records: far beyond any honest clock.
const maxTime = 1 << 40

func (b begun) check() error {
	if b.At < 0 || b.At > maxTime || len(b.Desks) > maxDesks {
		return fmt.Errorf("%w: of an upload", ErrDamaged)
	}
	for _, d := range b.Desks {
		if _, err := identity.ParseDeskID(string(d)); err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	return nil
}

// pieces are the parts of u that its record names: one behind the other, and u.length
// bytes together.
func (w whole) pieces(u upload) ([]piece, error) {
	if w.Until < 0 || w.Until > maxTime {
		return nil, fmt.Errorf("%w: of a blob", ErrDamaged)
	}
	list, end := make([]piece, 0, len(w.Parts)), int64(0)
	for _, text := range w.Parts {
		p, err := u.parsePiece(u.parts() + text)
		if err != nil || p.offset != end {
			return nil, fmt.Errorf("%w: its parts", ErrDamaged)
		}
		end += p.size
		list = append(list, p)
	}
	if end != u.length {
		return nil, fmt.Errorf("%w: %d bytes in parts of %d", ErrDamaged, end, u.length)
	}
	return list, nil
}

// decode reads one JSON object in the spelling of encode, and nothing else.
func decode(raw []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	again, err := json.Marshal(to)
	if err != nil || !bytes.Equal(again, raw) {
		return fmt.Errorf("%w: another spelling", ErrDamaged)
	}
	return nil
}

func (k *Keeper) putRecord(ctx context.Context, name string, record any) error {
	raw, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("failed to write a record: %w", err)
	}
	return k.config.Store.Put(ctx, name, bytes.NewReader(raw), int64(len(raw)))
}

func (k *Keeper) getRecord(ctx context.Context, u upload, name string, most int64, to any) error {
	r, err := k.get(ctx, u, name, 0)
	if err != nil {
		return err
	}
	defer r.Close()
	raw, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return fmt.Errorf("failed to read a record: %w", err)
	}
	if int64(len(raw)) > most {
		return fmt.Errorf("%w: longer than %d bytes", ErrDamaged, most)
	}
	return decode(raw, to)
}

func (k *Keeper) getBegun(ctx context.Context, u upload) (b begun, err error) {
	if err := k.getRecord(ctx, u, u.name(), maxBegun, &b); err != nil {
		return b, err
	}
	return b, b.check()
}

func (k *Keeper) getWhole(ctx context.Context, u upload) (w whole, err error) {
	return w, k.getRecord(ctx, u, u.whole(), maxWhole, &w)
}

func (k *Keeper) seconds(after time.Duration) int64 {
	return max(0, k.config.Now().Add(after).Unix())
}

// ends is when an upload that was not completed is given up.
func (b begun) ends() int64 { return b.At + int64(wire.UnfinishedLife/time.Second) }
