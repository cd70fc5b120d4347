package blobtest

import (
	"context"
	"errors"
	"strings"
	"time"

	"schakel/relay/blob"
	"schakel/relay/wire"
)

// onlyMarks demands that nothing is left but marks, and nothing after their time.
func (d *desk) onlyMarks(ctx context.Context, s blob.Store) error {
	names, err := list(ctx, s, "")
	for _, name := range names {
		if !strings.HasPrefix(name, "done/") {
			return broken("%q is left", name)
		}
	}
	if err != nil {
		return err
	}
	if _, err := d.after(ctx, wire.BlobLife); err != nil {
		return err
	}
	if names, err = list(ctx, s, ""); err != nil || len(names) > 0 {
		return broken("%d objects stay for ever: %v", len(names), err)
	}
	return nil
}

// state demands an answer to the device that uploaded.
func (d *desk) state(ctx context.Context, id wire.BlobID, want error) error {
	if _, err := d.State(ctx, d.a, id); !errors.Is(err, want) || (want == nil) != (err == nil) {
		return broken("its sender hears %v, want %v", err, want)
	}
	return nil
}

// lose deletes the objects under some prefixes.
func lose(ctx context.Context, s blob.Store, prefixes ...string) error {
	for _, prefix := range prefixes {
		names, err := list(ctx, s, prefix)
		if err != nil || len(names) == 0 {
			return broken("nothing of %q is there to lose: %v", prefix, err)
		}
		if err := s.Delete(ctx, names[len(names)-1]); err != nil {
			return err
		}
	}
	return nil
}

// checkLost: a blob of which a part or a record is lost is no longer served, its sender hears
// that it is not there, and may upload all of it again. Nobody else hears of it.
func checkLost(ctx context.Context, s blob.Store) error {
	for _, what := range []string{"parts/", "uploads/"} {
		d := keep(s)
		content, id := Content(2 * piece)
		if err := errors.Join(d.upload(ctx, content, id), d.state(ctx, id, nil)); err != nil {
			return err
		}
		if err := lose(ctx, s, what); err != nil {
			return err
		}
		if what == "uploads/" { // the record that it is complete: the last part is to be verified again
			if state, err := d.State(ctx, d.a, id); err != nil || state.Complete {
				return broken("without its record: %+v, %v", state, err)
			}
			if state, err := d.part(ctx, content, id, len(content), len(content)); err != nil || !state.Complete {
				return broken("verified again: %+v, %v", state, err)
			}
		} else {
			if err := errors.Join(d.state(ctx, id, blob.ErrNone), d.none(ctx, d.b, id), d.none(ctx, d.c, id)); err != nil {
				return err
			}
			if err := d.upload(ctx, content, id); err != nil {
				return broken("uploaded again: %v", err)
			}
		}
		if err := errors.Join(d.has(ctx, d.b, content, id), d.Drop(ctx, d.b, id), d.Drop(ctx, d.a, id), d.onlyMarks(ctx, s)); err != nil {
			return err
		}
	}
	return nil
}

// checkDone: of what every desk had, or whose time is over, its sender hears that it is needed no
// more, for a week; others hear nothing. What is uploaded again after that can be lost again.
func checkDone(ctx context.Context, s blob.Store) error {
	d := keep(s)
	content, id := Content(piece)
	if err := errors.Join(d.upload(ctx, content, id), d.Drop(ctx, d.b, id), d.state(ctx, id, nil)); err != nil {
		return err
	}
	if err := errors.Join(lose(ctx, s, "parts/"), d.state(ctx, id, blob.ErrDone), d.none(ctx, d.b, id)); err != nil {
		return broken("lost when all others had it: %v", err)
	}
	if err := errors.Join(d.upload(ctx, content, id), d.state(ctx, id, nil), lose(ctx, s, "parts/"), d.state(ctx, id, blob.ErrNone)); err != nil {
		return broken("lost once more: %v", err)
	}
	if err := errors.Join(d.upload(ctx, content, id), d.Drop(ctx, d.b, id), d.Drop(ctx, d.a, id), d.state(ctx, id, blob.ErrDone), d.none(ctx, d.c, id)); err != nil {
		return broken("all had it: %v", err)
	}
	d.now = d.now.Add(wire.BlobLife - time.Second)
	if err := d.state(ctx, id, blob.ErrDone); err != nil {
		return err
	}
	d.now = d.now.Add(time.Second)
	if err := errors.Join(d.state(ctx, id, blob.ErrNone), d.upload(ctx, content, id)); err != nil {
		return err
	}
	if _, err := d.after(ctx, wire.BlobLife); err != nil {
		return err
	}
	if err := errors.Join(d.state(ctx, id, blob.ErrDone), d.onlyMarks(ctx, s)); err != nil {
		return broken("its time was over: %v", err)
	}
	return nil
}
