// Package folder is a blob.Store in a folder of a disk: one file an object.
//
//	store, err := folder.Open("/var/lib/schakel-relay/blobs")
//
// A file is written beside the others, synced, and renamed into its place, and all
// folders above it are synced before Put returns: a crash leaves the file whole or not
// there. Several relays may use one folder that they all see, such as one on NFS with
// sync writes. Whoever can write in the folder can withhold what is in it, and can not
// make it anything else: see [blob.Store].
package folder

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"schakel/relay/blob"
)

// incoming is where files are while they are written.
const incoming = "incoming"

// leftover is how long a file is left there that nobody finishes.
const leftover = time.Hour

// Store is a folder.
type Store struct {
	root *os.Root
}

var _ blob.Store = (*Store)(nil)

// Open opens a folder, and makes it where it is not there.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("failed to open the folder of blobs: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("failed to open the folder of blobs: %w", err)
	}
	s := &Store{root}
	if err := errors.Join(s.makeFolder(incoming), syncFolder(root, ".")); err != nil {
		return nil, errors.Join(fmt.Errorf("failed to open the folder of blobs: %w", err), root.Close())
	}
	return s, nil
}

// Close ends using the folder. What was Put stays.
func (s *Store) Close() error { return s.root.Close() }

// Put implements blob.Store.
func (s *Store) Put(ctx context.Context, name string, r io.Reader, size int64) error {
	var random [8]byte
	rand.Read(random[:]) // never fails
	temporary := incoming + "/" + hex.EncodeToString(random[:])
	err := s.write(ctx, temporary, r, size)
	if err == nil {
		err = s.place(temporary, name)
	}
	if err == nil {
		return nil
	}
	if e := s.root.Remove(temporary); e != nil && !errors.Is(e, fs.ErrNotExist) {
		err = errors.Join(err, e)
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", blob.ErrFull, bare(err))
	}
	return fmt.Errorf("failed to write: %w", bare(err))
}

// bare takes the path from an error: it names desks, which logs do not.
func bare(err error) error {
	var p *fs.PathError
	var l *os.LinkError
	switch {
	case errors.As(err, &p):
		return p.Err
	case errors.As(err, &l):
		return l.Err
	}
	return err
}

func (s *Store) write(ctx context.Context, name string, r io.Reader, size int64) error {
	file, err := s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	n, err := gather(file, io.LimitReader(r, size))
	if err == nil && n < size {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// A file is written in pieces of one size, however its bytes come in, and the disk begins
// with each stretch while the next comes: so Sync has little left to wait for.
const (
	pieceSize = 256 << 10
	stretch   = 1 << 20
)

// gather writes r to file.
func gather(file *os.File, r io.Reader) (n int64, err error) {
	buffer := make([]byte, pieceSize)
	for begun := int64(0); err == nil; {
		var got int
		got, err = io.ReadFull(r, buffer)
		if got > 0 {
			if _, e := file.Write(buffer[:got]); e != nil {
				return n, e
			}
		}
		if n += int64(got); n-begun >= stretch {
			beginWriting(file, begun, n-begun)
			begun = n
		}
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF { // of ReadFull: what broke off has another
		err = nil // the caller counts
	}
	return n, err
}

// attempts is how often a folder is made again that Delete removed for being empty.
const attempts = 10

// place renames a file to where it belongs. All folders above are synced each time:
// another Put may have made one a moment ago and not have synced it yet.
func (s *Store) place(temporary, name string) error {
	dir := path.Dir(name)
	var err error
	for range attempts {
		if err = s.makeFolder(dir); err == nil {
			err = s.root.Rename(temporary, name)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err != nil {
		return err
	}
	return s.syncUp(dir)
}

// syncUp syncs a folder and all above it at once: what they wait for is one commit of the disk.
func (s *Store) syncUp(dir string) error {
	var g errgroup.Group
	for at := dir; ; at = path.Dir(at) {
		g.Go(func() error { return syncFolder(s.root, at) })
		if at == "." {
			return g.Wait()
		}
	}
}

func (s *Store) makeFolder(dir string) error { return s.root.MkdirAll(dir, 0o700) }

func syncFolder(root *os.Root, dir string) error {
	d, err := root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Get implements blob.Store.
func (s *Store) Get(_ context.Context, name string, from int64) (io.ReadCloser, error) {
	file, err := s.root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, blob.ErrNone
	}
	if err != nil {
		return nil, unread(err)
	}
	if from > 0 {
		if _, err := file.Seek(from, io.SeekStart); err != nil {
			return nil, errors.Join(unread(err), file.Close())
		}
	}
	return object{file}, nil
}

// unread is why something could not be read. EIO is what a disk answers for a sector that it
// cannot give, and a file system for one whose checksum is wrong.
func unread(err error) error {
	if errors.Is(err, syscall.EIO) {
		return fmt.Errorf("%w: %w", blob.ErrUnreadable, bare(err))
	}
	return fmt.Errorf("failed to read: %w", bare(err))
}

// object is a file that is read, and nothing else: WriteTo of a file passes by unread.
type object struct{ file *os.File }

// Close ends reading.
func (o object) Close() error { return o.file.Close() }

// Read reads on.
func (o object) Read(p []byte) (int, error) {
	n, err := o.file.Read(p)
	if err != nil && err != io.EOF {
		err = unread(err)
	}
	return n, err
}

// List implements blob.Store. What is deleted while it lists may be left out.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[blob.Object, error] {
	return func(yield func(blob.Object, error) bool) {
		dir := path.Dir(prefix + "x")
		if _, err := s.walk(ctx, dir, prefix, yield); err != nil {
			yield(blob.Object{}, fmt.Errorf("failed to list: %w", bare(err)))
		}
	}
}

// walk yields the files under dir, and reports whether to go on.
func (s *Store) walk(ctx context.Context, dir, prefix string, yield func(blob.Object, error) bool) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	entries, err := fs.ReadDir(s.root.FS(), dir)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	} else if err != nil {
		return false, err
	}
	key := func(e fs.DirEntry) string { // the order of names, not of entries
		if e.IsDir() {
			return e.Name() + "/"
		}
		return e.Name()
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(key(a), key(b)) })
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if e.IsDir() {
			if name == incoming || !strings.HasPrefix(name+"/", prefix) && !strings.HasPrefix(prefix, name+"/") {
				continue
			}
			if on, err := s.walk(ctx, name, prefix, yield); err != nil || !on {
				return on, err
			}
			continue
		}
		about, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) || err == nil && !about.Mode().IsRegular() || !strings.HasPrefix(name, prefix) {
			continue
		} else if err != nil {
			return false, err
		}
		if !yield(blob.Object{Name: name, Size: about.Size(), Modified: about.ModTime()}, nil) {
			return false, nil
		}
	}
	return true, nil
}

// Delete implements blob.Store, and removes the folders above that are empty then.
func (s *Store) Delete(_ context.Context, name string) error {
	if err := s.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("failed to delete: %w", bare(err))
	}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if s.root.Remove(dir) != nil { // not empty
			break
		}
	}
	return nil
}

// Free implements blob.Store.
func (s *Store) Free(context.Context) (int64, error) {
	d, err := s.root.Open(".")
	if err != nil {
		return 0, fmt.Errorf("failed to ask for free space: %w", err)
	}
	defer d.Close()
	var about syscall.Statfs_t
	if err := syscall.Fstatfs(int(d.Fd()), &about); err != nil {
		return 0, fmt.Errorf("failed to ask for free space: %w", err)
	}
	return int64(about.Bavail) * int64(about.Bsize), nil //nolint:unconvert // differs by platform
}

// Tidy implements blob.Store.
func (s *Store) Tidy(context.Context) error {
	entries, err := fs.ReadDir(s.root.FS(), incoming)
	if err != nil {
		return fmt.Errorf("failed to tidy: %w", err)
	}
	old := time.Now().Add(-leftover)
	for _, e := range entries {
		about, err := e.Info()
		if err != nil || about.ModTime().After(old) {
			continue
		}
		if err := s.root.Remove(incoming + "/" + e.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("failed to tidy: %w", err)
		}
	}
	return nil
}
