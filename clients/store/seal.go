package store

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"

	"schakel/clients/store/vault"
)

// kind says what a sealed row is. It is part of what a seal is bound to, so the
// numbers never change meaning.
type kind uint8

const (
	kindMeta       kind = 1
	kindSetting    kind = 2
	kindEpoch      kind = 3
	kindCounters   kind = 4
	kindCase       kind = 5
	kindMessage    kind = 6
	kindQuarantine kind = 7
	kindDelivery   kind = 8
	kindPerson     kind = 9
	kindAudit      kind = 10
	kindSide       kind = 11
	kindRecord     kind = 12
	kindWitnessed  kind = 13
	kindProof      kind = 14
	kindUnsent     kind = 15
	kindUser       kind = 16
	kindKept       kind = 20
)

// secrets are the keys derived from the data key, one per purpose.
type secrets struct {
	id    vault.ID
	pages []byte // of the page cipher
	rows  cipher.AEAD
	sums  []byte // of the keyed sum over all seals
	audit []byte // of the hash chain
}

func derive(k vault.Key, id vault.ID) (*secrets, error) {
	key := func(purpose string) []byte {
		b, err := hkdf.Key(sha256.New, k[:], id[:], "schakel/store/v1/"+purpose, 32)
		if err != nil {
			panic(err) // constant lengths
		}
		return b
	}
	rows, err := chacha20poly1305.NewX(key("rows"))
	if err != nil {
		return nil, fmt.Errorf("failed to use the data key: %w", err)
	}
	return &secrets{id: id, pages: key("pages"), rows: rows, sums: key("sums"), audit: key("audit")}, nil
}

// backupPhrase is what the sealed part of a backup is locked with: as good as the data key.
func (s *Store) backupPhrase() (string, error) { return backupPhrase(s.dataKey, s.keys.id) }

func backupPhrase(k vault.Key, id vault.ID) (string, error) {
	b, err := hkdf.Key(sha256.New, k[:], id[:], "schakel/store/v1/backup", 32)
	return hex.EncodeToString(b), err
}

// boundTo is the associated data of a box: it opens only as the row it was sealed
// as, at the version it was sealed for (attack G01). The keys are those of one
// store, so another store's box does not open either.
func boundTo(k kind, row []byte, version uint64) []byte {
	b := make([]byte, 0, 64)
	b = append(b, "schakel/row/v1\x00"...)
	b = append(b, byte(k))
	b = binary.BigEndian.AppendUint64(b, version)
	return append(b, row...)
}

// seal gives nonce 24 | ciphertext | tag 16. Nonces are random: 192 bits make a
// repetition impossible in practice, whatever was rolled back.
func (s *secrets) seal(a cipher.AEAD, k kind, row []byte, version uint64, plain []byte) []byte {
	const n = chacha20poly1305.NonceSizeX
	out := make([]byte, n, n+len(plain)+chacha20poly1305.Overhead)
	rand.Read(out)
	return a.Seal(out, out[:n], plain, boundTo(k, row, version))
}

func (s *secrets) open(a cipher.AEAD, k kind, row []byte, version uint64, box []byte) ([]byte, error) {
	const n = chacha20poly1305.NonceSizeX
	if len(box) < n+chacha20poly1305.Overhead {
		return nil, ErrTampered
	}
	plain, err := a.Open(nil, box[:n], box[n:], boundTo(k, row, version))
	if err != nil {
		return nil, ErrTampered
	}
	return plain, nil
}

// put seals plain as a row and returns the box to store. The version, the
// generation of this transaction, goes into a table of its own: a box that is
// rolled back on disk no longer fits it.
func (tx *Tx) put(a cipher.AEAD, k kind, row, plain []byte) ([]byte, error) {
	old, had, err := tx.version(k, row)
	if err != nil {
		return nil, err
	}
	if !had || old != tx.generation {
		if err := tx.exec(`INSERT INTO seal(kind,row,version) VALUES(?,?,?)
			ON CONFLICT DO UPDATE SET version=excluded.version`, k, row, tx.generation); err != nil {
			return nil, err
		}
		if had {
			tx.sum.remove(tx.s.keys.term(k, row, old))
		}
		tx.sum.add(tx.s.keys.term(k, row, tx.generation))
	}
	return tx.s.keys.seal(a, k, row, tx.generation, plain), nil
}

// get opens a box as a row at its stored version. A row whose seal is gone is
// refused like a changed one.
func (tx *Tx) get(a cipher.AEAD, k kind, row, box []byte) ([]byte, error) {
	version, had, err := tx.version(k, row)
	if err != nil {
		return nil, err
	}
	if !had {
		return nil, fmt.Errorf("%w: row without a seal", ErrTampered)
	}
	return tx.s.keys.open(a, k, row, version, box)
}

// drop forgets the seal of a row that its caller deletes.
func (tx *Tx) drop(k kind, row []byte) error {
	old, had, err := tx.version(k, row)
	if err != nil || !had {
		return err
	}
	tx.sum.remove(tx.s.keys.term(k, row, old))
	return tx.exec(`DELETE FROM seal WHERE kind=? AND row=?`, k, row)
}

func (tx *Tx) version(k kind, row []byte) (v uint64, had bool, err error) {
	err = tx.each(`SELECT version FROM seal WHERE kind=? AND row=?`, args{k, row}, func(r row1) error {
		v, had = r.num(0), true
		return nil
	})
	return v, had, err
}
