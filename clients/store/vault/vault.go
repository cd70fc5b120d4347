// Package vault keeps the one data key of a store, wrapped in at least two ways.
//
// Every secret of a device is sealed under its data key; the data key itself is
// never on disk in clear. It is wrapped by several [Way]s, each of which opens it
// alone:
//
//	key, id, err := vault.Create(dir, vault.Passphrase{Phrase: words}, vault.KeyFile{Path: path})
//	key, id, err := vault.Open(dir, vault.KeyFile{Path: path})
//
// What each way is worth, plainly:
//
//   - [Passphrase]: an age scrypt file, opened by the stock age program as well.
//     Worth as much as the phrase: whoever copies the folder can guess at leisure,
//     at about a second per guess. It is the recovery and must exist.
//   - [Keyring]: the key-wrapping key lives in the keyring of the desktop session.
//     Whoever can act as that user while the session is unlocked has it. It is
//     absent on a server and may vanish, so it is never the only way.
//   - [Credential]: the same, handed over by systemd at start; with
//     systemd-creds it is sealed to the machine or its TPM, and a copy of the disk
//     alone does not open it.
//   - [KeyFile]: a file with mode 0600. It keeps out other users of the machine
//     and whoever copies the store without it. It does not keep out root, nor
//     whoever copies the whole disk: put it on another disk than the store.
//   - [Attended]: the passphrase of the officer who carries the device, and no other
//     way beside it: the machine alone never opens the store.
package vault

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"schakel/crypto/identity"
)

// Decisions a caller can take on a refusal.
var (
	ErrNoWay      = errors.New("no way opened the data key")
	ErrTooFewWays = errors.New("a store needs its recovery passphrase and at least one other way to its data key")
	ErrWrapped    = errors.New("damaged or foreign wrapped key")
	ErrExists     = errors.New("this way exists already")
)

// Key is the data key of one store. It prints as nothing.
type Key [32]byte

// Format keeps the key out of logs and messages, whatever the verb.
func (Key) Format(s fmt.State, _ rune) { io.WriteString(s, "[key]") }

// LogValue keeps the key out of structured logs.
func (Key) LogValue() slog.Value { return slog.StringValue("[key]") }

// ID names a store; random, not secret. Every seal is bound to it.
type ID [16]byte

func (id ID) String() string { return identity.FormatUUID(id) }

// Way is one way to wrap and unwrap a data key.
type Way interface {
	// File is the constant name of the file that holds the wrapped key.
	File() string
	// Wrap returns the bytes of that file. It may create the secret it wraps with.
	Wrap(id ID, plain []byte) ([]byte, error)
	// Unwrap returns what Wrap was given, or an error that says what to do.
	Unwrap(wrapped []byte) ([]byte, error)
}

const (
	folder     = "keys"
	maxWrapped = 8 << 10
	header     = "schakel-store-key-v1 "
)

// Create makes a data key and an ID and wraps the key in every way given. dir
// must exist. It refuses with ErrTooFewWays, ErrAttended and ErrExists, and leaves nothing in
// dir when it fails.
func Create(dir string, ways ...Way) (Key, ID, error) {
	var k Key
	var id ID
	if err := enough(names(ways)); err != nil {
		return k, id, err
	}
	rand.Read(k[:])
	rand.Read(id[:])
	keys := filepath.Join(dir, folder)
	if err := os.Mkdir(keys, 0o700); errors.Is(err, fs.ErrExist) {
		return k, id, fmt.Errorf("%w: folder %s", ErrExists, folder)
	} else if err != nil {
		return k, id, fmt.Errorf("failed to make the folder of wrapped keys: %w", err)
	}
	for _, w := range ways {
		if err := add(dir, id, k, w); err != nil {
			return Key{}, id, errors.Join(err, os.RemoveAll(keys)) // made above, so ours
		}
	}
	return k, id, nil
}

// Add wraps the data key in one more way. It refuses with ErrAttended and ErrExists.
func Add(dir string, id ID, k Key, w Way) error {
	if IsAttended(dir) || w.File() == attendedFile {
		return fmt.Errorf("failed to add %s: %w", w.File(), ErrAttended)
	}
	return add(dir, id, k, w)
}

func add(dir string, id ID, k Key, w Way) error {
	path := filepath.Join(dir, folder, w.File())
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%w: %s", ErrExists, w.File())
	}
	wrapped, err := w.Wrap(id, encode(id, k))
	if err != nil {
		return fmt.Errorf("failed to wrap the data key as %s: %w", w.File(), err)
	}
	return writeDurably(path, wrapped)
}

// Replace wraps the data key in a way anew, in the place of the file that there is: another
// recovery passphrase, or a new key file for one that was lost.
func Replace(dir string, id ID, k Key, w Way) error {
	if IsAttended(dir) || w.File() == attendedFile {
		return fmt.Errorf("failed to replace %s: %w", w.File(), ErrAttended)
	}
	wrapped, err := w.Wrap(id, encode(id, k))
	if err != nil {
		return fmt.Errorf("failed to wrap the data key as %s: %w", w.File(), err)
	}
	return writeDurably(filepath.Join(dir, folder, w.File()), wrapped)
}

// Recovery returns the recovery file of a store, which only its passphrase opens.
func Recovery(dir string) ([]byte, error) {
	return readSmall(filepath.Join(dir, folder, recoveryFile))
}

// OpenRecovery opens a recovery file that lies elsewhere, such as in a backup.
func OpenRecovery(wrapped []byte, phrase string) (Key, ID, error) {
	plain, err := Unlock(wrapped, phrase)
	if err != nil {
		return Key{}, ID{}, err
	}
	return decode(plain)
}

// Adopt makes the folder of wrapped keys in dir for a data key that there is, with the
// recovery file that opens it and the other ways given. It leaves nothing when it fails.
func Adopt(dir string, id ID, k Key, recovery []byte, others ...Way) error {
	if err := enough(append(names(others), recoveryFile)); err != nil {
		return err
	}
	keys := filepath.Join(dir, folder)
	if err := os.Mkdir(keys, 0o700); err != nil {
		return fmt.Errorf("failed to make the folder of wrapped keys: %w", err)
	}
	err := writeDurably(filepath.Join(keys, recoveryFile), recovery)
	for _, w := range others {
		if err == nil {
			err = add(dir, id, k, w)
		}
	}
	if err != nil {
		err = errors.Join(err, os.RemoveAll(keys)) // made above, so ours
	}
	return err
}

// Remove forgets a way, such as a key file that was lost. It refuses to leave
// fewer than the recovery passphrase and one other.
func Remove(dir string, w Way) error {
	entries, err := os.ReadDir(filepath.Join(dir, folder))
	if err != nil {
		return fmt.Errorf("failed to list the wrapped keys: %w", err)
	}
	var left []string
	for _, e := range entries {
		if e.Name() != w.File() {
			left = append(left, e.Name())
		}
	}
	if err := enough(left); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(dir, folder, w.File())); err != nil {
		return fmt.Errorf("failed to remove a wrapped key: %w", err)
	}
	return syncDir(filepath.Join(dir, folder))
}

// Open tries the ways in order and returns the key from the first that opens.
// When none does, the error wraps ErrNoWay and the reason of each. An attended store
// with a second way is refused with ErrAttended, whatever is given.
func Open(dir string, ways ...Way) (Key, ID, error) {
	if err := alone(dir); err != nil {
		return Key{}, ID{}, err
	}
	reasons := []error{ErrNoWay}
	for _, w := range ways {
		k, id, err := open(dir, w)
		if err == nil {
			return k, id, nil
		}
		reasons = append(reasons, fmt.Errorf("%s: %w", w.File(), err))
	}
	return Key{}, ID{}, errors.Join(reasons...)
}

func open(dir string, w Way) (Key, ID, error) {
	wrapped, err := readSmall(filepath.Join(dir, folder, w.File()))
	if err != nil {
		return Key{}, ID{}, err
	}
	plain, err := w.Unwrap(wrapped)
	if err != nil {
		return Key{}, ID{}, err
	}
	return decode(plain)
}

func names(ways []Way) (files []string) {
	for _, w := range ways {
		files = append(files, w.File())
	}
	slices.Sort(files)
	return slices.Compact(files)
}

func enough(files []string) error {
	if slices.Contains(files, attendedFile) {
		if len(files) > 1 {
			return ErrAttended
		}
		return nil
	}
	if len(files) < 2 || !slices.Contains(files, recoveryFile) {
		return ErrTooFewWays
	}
	return nil
}

// encode gives the one line that every way wraps, so that a recovery file opened
// with the stock age program shows something a person can use.
func encode(id ID, k Key) []byte {
	return []byte(header + id.String() + " " + base64.StdEncoding.EncodeToString(k[:]) + "\n")
}

func decode(plain []byte) (Key, ID, error) {
	rest, ok := strings.CutPrefix(string(plain), header)
	idText, keyText, ok2 := strings.Cut(strings.TrimSuffix(rest, "\n"), " ")
	u, err := identity.ParseUUID(idText)
	b, err2 := base64.StdEncoding.Strict().DecodeString(keyText)
	if !ok || !ok2 || err != nil || err2 != nil || len(b) != len(Key{}) {
		return Key{}, ID{}, ErrWrapped
	}
	k, id := Key(b), ID(u)
	if !bytes.Equal(encode(id, k), plain) {
		return Key{}, ID{}, fmt.Errorf("%w: another spelling", ErrWrapped)
	}
	return k, id, nil
}
