package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing/iotest"
	"time"

	"golang.org/x/sync/errgroup"

	"schakel/relay/blob"
	"schakel/relay/wire"
)

func checkPut(ctx context.Context, s blob.Store) error {
	if _, err := s.Get(ctx, "a/none", 0); !errors.Is(err, blob.ErrNone) {
		return broken("what was never put gives %v", err)
	}
	for _, size := range []int{0, 1, 4096, wire.MaxBlobPart} {
		content, _ := Content(size)
		name := fmt.Sprintf("a/b/%d", size)
		if err := put(ctx, s, name, content); err != nil {
			return err
		}
		if got, err := get(ctx, s, name, 0); err != nil || !bytes.Equal(got, content) {
			return broken("%d of %d bytes come back: %v", len(got), size, err)
		}
	}
	return nil
}

func checkAgain(ctx context.Context, s blob.Store) error {
	if err := errors.Join(put(ctx, s, "a/x", []byte("one, and longer")), put(ctx, s, "a/x", []byte("two"))); err != nil {
		return err
	}
	got, err := get(ctx, s, "a/x", 0)
	if err != nil || string(got) != "two" {
		return broken("put again gives %q: %v", got, err)
	}
	return nil
}

func checkRanges(ctx context.Context, s blob.Store) error {
	content, _ := Content(100_000)
	if err := put(ctx, s, "a/x", content); err != nil {
		return err
	}
	for _, from := range []int64{0, 1, 65_536, 99_999} {
		if got, err := get(ctx, s, "a/x", from); err != nil || !bytes.Equal(got, content[from:]) {
			return broken("from %d come %d bytes: %v", from, len(got), err)
		}
	}
	return nil
}

func checkBroken(ctx context.Context, s blob.Store) error {
	content, _ := Content(100_000)
	if err := put(ctx, s, "a/kept", content[:10]); err != nil {
		return err
	}
	for what, r := range map[string]io.Reader{
		"ends early": bytes.NewReader(content[:50_000]),
		"fails":      io.MultiReader(bytes.NewReader(content[:50_000]), iotest.ErrReader(errors.New("gone"))),
	} {
		for _, name := range []string{"a/x", "a/kept"} {
			if s.Put(ctx, name, r, int64(len(content))) == nil {
				return broken("a put whose source %s succeeds", what)
			}
		}
	}
	if got, err := list(ctx, s, ""); err != nil || !slices.Equal(got, []string{"a/kept"}) {
		return broken("after puts that broke off there is %q: %v", got, err)
	}
	if got, err := get(ctx, s, "a/kept", 0); err != nil || !bytes.Equal(got, content[:10]) {
		return broken("a put that broke off spoiled what was there: %v", err)
	}
	return nil
}

func checkList(ctx context.Context, s blob.Store) error {
	all := []string{"a.b", "a/b.c", "a/b/c", "a/bc/d", "b/x"}
	for i, name := range all {
		if err := put(ctx, s, name, make([]byte, i)); err != nil {
			return err
		}
	}
	for prefix, want := range map[string][]string{
		"a/bc": {"a/bc/d"}, "a/bc/": {"a/bc/d"}, "b": {"b/x"}, "a.": {"a.b"}, "c": nil, "a/b/x": nil, "a/b.": {"a/b.c"},
	} {
		if got, err := list(ctx, s, prefix); err != nil || !slices.Equal(got, want) {
			return broken("under %q there is %q, want %q: %v", prefix, got, want, err)
		}
	}
	if got, err := list(ctx, s, ""); err != nil || !slices.Equal(got, all) {
		return broken("all is %q: %v", got, err)
	}
	for o, err := range s.List(ctx, "b/") {
		if err != nil || o.Size != 4 || time.Since(o.Modified).Abs() > time.Hour {
			return broken("listed as %+v: %v", o, err)
		}
	}
	return nil
}

func checkDelete(ctx context.Context, s blob.Store) error {
	if err := s.Delete(ctx, "a/none"); err != nil {
		return broken("deleting nothing: %v", err)
	}
	if err := errors.Join(put(ctx, s, "a/b/x", nil), put(ctx, s, "a/b/y", nil), s.Delete(ctx, "a/b/x")); err != nil {
		return err
	}
	if got, err := list(ctx, s, "a/"); err != nil || !slices.Equal(got, []string{"a/b/y"}) {
		return broken("after a deletion there is %q: %v", got, err)
	}
	if _, err := s.Get(ctx, "a/b/x", 0); !errors.Is(err, blob.ErrNone) {
		return broken("what was deleted gives %v", err)
	}
	return nil
}

// checkMany puts and deletes in the same folders at the same time.
func checkMany(ctx context.Context, s blob.Store) error {
	var all errgroup.Group
	for i := range 4 {
		all.Go(func() error {
			for j := range 10 {
				name := fmt.Sprintf("a/b/c/%d-%d", i, j)
				if err := put(ctx, s, name, []byte(name)); err != nil {
					return err
				}
				if got, err := get(ctx, s, name, 0); err != nil || string(got) != name {
					return broken("%s is %q: %v", name, got, err)
				}
				if err := s.Delete(ctx, name); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		return err
	}
	if got, err := list(ctx, s, ""); err != nil || len(got) > 0 {
		return broken("%d objects are left: %v", len(got), err)
	}
	return nil
}
