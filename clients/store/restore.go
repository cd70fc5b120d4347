package store

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"

	"schakel/clients/store/vault"
	"schakel/crypto/canon"
	"schakel/crypto/identity"
)

// ErrBackup is wrapped where a file is no backup, or not a whole one.
var ErrBackup = errors.New("not a backup, or damaged: take another one")

// RestoreOptions say how a backup is opened, and how the restored store is locked.
type RestoreOptions struct {
	Phrase         string      // the recovery passphrase as it was when the backup was made
	Keys           []vault.Way // ways beside it, as in CreateOptions
	GenerationFile string
}

// Restore makes a store in dir, which must be empty, from a backup, and reads all of
// it before it says that it is there: every sealed row, the sum over them, the log. It
// leaves nothing when it fails. The restored store has no device: see Origin.
func Restore(ctx context.Context, from io.Reader, dir string, o RestoreOptions) (s *Store, b Backup, err error) {
	archive := tar.NewReader(from)
	recovery, err := memberOf(archive)
	if err != nil {
		return nil, b, err
	}
	key, id, err := vault.OpenRecovery(recovery, o.Phrase)
	if err != nil {
		return nil, b, err
	}
	if err := emptyFor(dir, o.GenerationFile); err != nil {
		return nil, b, err
	}
	if err := makeFolder(dir); err != nil {
		return nil, b, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, clearFolder(dir, sidePath(dir, o.GenerationFile)))
		}
	}()
	if b, err = unpack(archive, filepath.Join(dir, databaseFile), key, id); err != nil {
		return nil, b, err
	}
	if err := vault.Adopt(dir, id, key, recovery, o.Keys...); err != nil {
		return nil, b, err
	}
	s, err = adopted(ctx, dir, key, id, sidePath(dir, o.GenerationFile))
	return s, b, err
}

// emptyFor refuses where something lies already: a restore that fails takes away all that
// is in its folder, and its generation file, and nothing of anybody else may be there.
func emptyFor(dir, side string) error {
	rows, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("failed to look where the store is to be: %w", err)
	}
	if len(rows) > 0 {
		return fmt.Errorf("%w: %s is not empty", ErrExists, dir)
	}
	if _, err := os.Lstat(sidePath(dir, side)); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("%w: %s", ErrExists, sidePath(dir, side)), err)
	}
	return nil
}

// memberOf reads the first two members of a backup, and stands before the third.
func memberOf(archive *tar.Reader) (recovery []byte, err error) {
	if _, err := small(archive, backupReadme, maxReadme); err != nil {
		return nil, err
	}
	if recovery, err = small(archive, backupRecovery, maxRecovery); err != nil {
		return nil, err
	}
	return recovery, next(archive, backupSealed, maxBackup)
}

func small(archive *tar.Reader, name string, most int64) ([]byte, error) {
	if err := next(archive, name, most); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(archive, most))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrBackup, name, err)
	}
	return b, nil
}

func next(archive *tar.Reader, name string, most int64) error {
	h, err := archive.Next()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBackup, err)
	}
	if h.Name != name || h.Typeflag != tar.TypeReg || h.Size > most {
		return fmt.Errorf("%w: %.80q of %d bytes where %s was to come", ErrBackup, h.Name, h.Size, name)
	}
	return nil
}

// unpack writes the database of a backup where makeFolder left an empty one.
func unpack(archive *tar.Reader, path string, key vault.Key, id vault.ID) (b Backup, err error) {
	phrase, err := backupPhrase(key, id)
	if err != nil {
		return b, err
	}
	identity, err := age.NewScryptIdentity(phrase)
	if err != nil {
		return b, fmt.Errorf("failed to unlock the backup: %w", err)
	}
	identity.SetMaxWorkFactor(backupWork)
	locked := bufio.NewReaderSize(archive, maxHeader)
	if head, _ := locked.Peek(maxHeader); !bytes.Contains(head, []byte("\n--- ")) { // age would read the header of a crooked one without end
		return b, fmt.Errorf("%w: %s has no header that ends within %d bytes", ErrBackup, backupSealed, maxHeader)
	}
	sealed, err := age.Decrypt(locked, identity)
	if err != nil {
		return b, fmt.Errorf("%w: %w", ErrBackup, err)
	}
	in := bufio.NewReaderSize(sealed, maxReadme)
	line, err := in.ReadSlice('\n')
	if err != nil {
		return b, fmt.Errorf("%w: %w", ErrBackup, err)
	}
	if err := json.Unmarshal(line, &b); err != nil || b.Format != backupFormat {
		return b, fmt.Errorf("%w: format %.40q", ErrBackup, b.Format)
	}
	if b.Schema > schemaVersion {
		return b, fmt.Errorf("%w: schema %d, this program knows %d", ErrNewer, b.Schema, schemaVersion)
	}
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return b, fmt.Errorf("failed to restore the store: %w", err)
	}
	defer to.Close()
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(to, sum), in) // to the end: age checks each part, and that it is the last
	if err != nil {
		return b, fmt.Errorf("%w: %w", ErrBackup, err)
	}
	if n != b.Size || hex.EncodeToString(sum.Sum(nil)) != b.SHA256 {
		return b, fmt.Errorf("%w: the database has %d bytes, or another sum", ErrBackup, n)
	}
	if _, err := archive.Next(); !errors.Is(err, io.EOF) {
		return b, fmt.Errorf("%w: something follows %s: %w", ErrBackup, backupSealed, err)
	}
	return b, errors.Join(to.Sync(), to.Close())
}

// adopted opens a database that was just unpacked, and verifies all of it.
func adopted(ctx context.Context, dir string, key vault.Key, id vault.ID, side string) (*Store, error) {
	s, err := newStore(dir, key, id)
	if err != nil {
		return nil, err
	}
	if s.conn, err = connect(s.database(), pageVFS, s.keys, false); err != nil {
		return nil, err
	}
	if err := s.beginSide(side); err != nil {
		return nil, errors.Join(err, s.release())
	}
	if err := s.check(side); err != nil {
		return nil, errors.Join(err, s.release())
	}
	if err := errors.Join(s.Verify(ctx), syncDir(dir), syncDir(filepath.Dir(dir))); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// beginSide makes the generation file of a restored store: it begins where the backup was.
func (s *Store) beginSide(path string) error {
	inside, err := s.stateInside()
	if err != nil {
		return err
	}
	side, err := createSide(path, s.keys)
	if err != nil {
		return err
	}
	return errors.Join(side.write(inside), side.close())
}

// clearFolder takes away what a failed restore made.
func clearFolder(dir, side string) error {
	err := os.RemoveAll(dir)
	if !strings.HasPrefix(side, dir+string(filepath.Separator)) {
		err = errors.Join(err, os.Remove(side))
	}
	return err
}

// Origin is where a restored store is from.
type Origin struct {
	Device identity.DeviceID // the old device, which must not run any more
	Desk   identity.DeskID
	Org    ed25519.PrivateKey // nil unless the old device held it
	Relay  string
	At     time.Time // of the backup

	Generation uint64 // of the store when it was made
}

// Origin returns where this store was restored from, or ErrNotFound.
func (tx *Tx) Origin() (Origin, error) {
	b, err := tx.setting(settingOrigin)
	if err != nil {
		return Origin{}, err
	}
	return parseOrigin(b)
}

// ForgetOrigin ends the restoring: the store has a device of its own, and the old one is
// known to have ended.
func (tx *Tx) ForgetOrigin() error {
	if err := tx.exec(`DELETE FROM setting WHERE name=?`, settingOrigin); err != nil {
		return err
	}
	tx.destroyed = true
	return tx.drop(kindSetting, []byte(settingOrigin))
}

func parseOrigin(b []byte) (Origin, error) {
	var o origin
	if err := canon.Unmarshal(b, maxSetting, &o); err != nil {
		return Origin{}, fmt.Errorf("%w: origin: %w", ErrTampered, err)
	}
	out := Origin{Device: o.Device, Desk: o.Desk, Relay: o.Relay, At: time.Unix(o.At, 0).UTC(), Generation: o.Generation}
	if len(o.Org) != 0 {
		if len(o.Org) != ed25519.SeedSize {
			return Origin{}, fmt.Errorf("%w: origin: key length", ErrTampered)
		}
		out.Org = ed25519.NewKeyFromSeed(o.Org)
	}
	return out, nil
}

// Recover makes a new key file, or another way that needs no person, for a store whose own
// was lost; the recovery passphrase opens it this once.
func Recover(ctx context.Context, dir, phrase string, o Unlock) (*Store, error) {
	recovery, err := vault.Recovery(dir)
	if err != nil {
		return nil, err
	}
	key, id, err := vault.OpenRecovery(recovery, phrase)
	if err != nil {
		return nil, err
	}
	s, err := newStore(dir, key, id)
	if err != nil {
		return nil, err
	}
	if s, err = s.open(sidePath(dir, o.GenerationFile)); err != nil {
		return nil, err
	}
	for _, w := range o.Keys {
		if err := vault.Replace(dir, id, key, w); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, ctx.Err()
}

// TryRecovery reports whether a phrase is the recovery passphrase of this store: nil, or
// vault.ErrPassphrase. It takes about a second.
func (s *Store) TryRecovery(phrase string) error {
	recovery, err := vault.Recovery(s.dir)
	if err != nil {
		return err
	}
	key, _, err := vault.OpenRecovery(recovery, phrase)
	if err == nil && key != s.dataKey {
		err = fmt.Errorf("%w: the recovery file is of another store", vault.ErrWrapped)
	}
	return err
}

// SetRecovery makes p the recovery passphrase. Backups made before open with the one
// from before only.
func (s *Store) SetRecovery(p vault.Passphrase) error {
	return vault.Replace(s.dir, s.keys.id, s.dataKey, p)
}
