package register

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"schakel/crypto/identity"
)

// Entries returns entries from index from on: at most most of them, and not much
// more than fits a frame, but at least one where there is one. Ask again from
// where it ended.
func (l *Log) Entries(from, most uint64) ([][]byte, error) {
	var list [][]byte
	size := l.Size()
	err := l.view(func(tx *bolt.Tx) error {
		c, total := tx.Bucket(bucketEntries).Cursor(), 0
		k, v := c.Seek(binary.BigEndian.AppendUint64(nil, from))
		for ; k != nil && uint64(len(list)) < most && total < maxPiece; k, v = c.Next() {
			if index := from + uint64(len(list)); index >= size || binary.BigEndian.Uint64(k) != index || len(v) < 8 {
				break
			}
			list = append(list, bytes.Clone(v[8:]))
			total += len(v)
		}
		return nil
	})
	return list, err
}

// Recipient returns the string that others seal to for an epoch of a device. What
// is not there, ended, or does not fit its hash in the register answers false: a
// damaged file must not become a key that nobody has.
func (l *Log) Recipient(device identity.DeviceID, epoch uint64) (string, bool, error) {
	reg := l.Register()
	if reg == nil {
		return "", false, ErrNoGenesis
	}
	hash, ok := reg.EpochHash(device, epoch)
	if !ok {
		return "", false, nil
	}
	var s string
	err := l.view(func(tx *bolt.Tx) error {
		name := newKeyName(device, epoch)
		s = string(tx.Bucket(bucketKeys).Get(name[:]))
		return nil
	})
	if err != nil || s == "" {
		return "", false, err
	}
	if sha256.Sum256([]byte(s)) != hash {
		return "", false, fmt.Errorf("%w: recipient of device %s, epoch %d", ErrCorrupt, device, epoch)
	}
	return s, true, nil
}

// Copy writes the file as the latest commit left it, while commits go on.
func (l *Log) Copy(w io.Writer) error {
	return l.view(func(tx *bolt.Tx) error {
		_, err := tx.WriteTo(w)
		return err
	})
}

func (l *Log) view(f func(*bolt.Tx) error) error {
	err := guard(func() error { return l.db.View(f) })
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return ErrClosed
	}
	return err
}
