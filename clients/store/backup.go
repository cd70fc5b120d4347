package store

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"

	"schakel/clients/store/vault"
	"schakel/crypto/canon"
	"schakel/crypto/identity"
)

// A backup is a tar file that names what is inside:
//
//	README.txt    what this is, and how it is opened
//	recovery.age  the data key, which only the recovery passphrase opens
//	store.age     an age file: one line of JSON, and then the database as it lay on disk
//
// store.age is locked with a phrase made from the data key, so a changed or missing byte
// is noticed before anything is believed. The database in it is encrypted and sealed as
// in the store, less what must not come back or be kept for long: the device's own keys,
// its epoch keys, and the numbers that it gave out. What is restored is another device.
const (
	backupReadme   = "README.txt"
	backupRecovery = "recovery.age"
	backupSealed   = "store.age"
	backupFolder   = "backup-" // begins the name of the folder in the store that it is made in
	backupFormat   = "schakel-backup/1"
	backupWork     = 10 // scrypt's work on a phrase of 256 random bits protects from nothing
	maxReadme      = 4 << 10
	maxRecovery    = 8 << 10
	maxHeader      = 1 << 10 // of the age file: one stanza
	maxBackup      = 64 << 30
)

// Backup is what stands in a backup, and what was found there.
type Backup struct {
	Format     string            `json:"format"`
	Desk       identity.DeskID   `json:"desk"`
	Device     identity.DeviceID `json:"device"` // that it was made on
	At         time.Time         `json:"at"`
	Generation uint64            `json:"generation"`
	Schema     int               `json:"schema"`
	Size       int64             `json:"size"`   // of the database
	SHA256     string            `json:"sha256"` // of the database
	Messages   int               `json:"messages"`
	Cases      int               `json:"cases"`
	Records    int               `json:"records"` // notes, drafts, assignments, rota and log lines of this desk
	Register   int               `json:"register"`
}

// origin is what a backup keeps of the device that it was made on.
type origin struct {
	_          struct{} `cbor:",toarray"`
	Device     identity.DeviceID
	Desk       identity.DeskID
	Org        []byte
	Relay      string
	At         int64
	Generation uint64
}

const settingOrigin = "\x00origin"

// Backup writes a backup of the store while it is in use. Transactions wait while its file
// is copied, as encrypted as it lies there; the rest is done beside them. What is below w
// is for the caller to make durable.
func (s *Store) Backup(ctx context.Context, w io.Writer, at time.Time) (b Backup, err error) {
	if s.attended {
		return b, fmt.Errorf("failed to make a backup: %w", vault.ErrAttended)
	}
	dir, err := os.MkdirTemp(s.dir, backupFolder)
	if err != nil {
		return b, fmt.Errorf("failed to make room for a backup: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := s.copyInto(ctx, dir); err != nil {
		return b, err
	}
	phrase, err := s.backupPhrase()
	if err != nil {
		return b, err
	}
	if b, err = s.strip(ctx, dir, at); err != nil {
		return b, err
	}
	if err := sealInto(filepath.Join(dir, backupSealed), filepath.Join(dir, databaseFile), phrase, &b); err != nil {
		return b, err
	}
	recovery, err := vault.Recovery(s.dir)
	if err != nil {
		return b, err
	}
	return b, writeArchive(w, filepath.Join(dir, backupSealed), recovery, at)
}

// copyInto copies the database in one piece: whoever has the turn is alone, and the log is
// empty after a checkpoint.
func (s *Store) copyInto(ctx context.Context, dir string) error {
	select {
	case <-s.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { s.turn <- struct{}{} }()
	if err := s.usable(false); err != nil {
		return err
	}
	busy := true
	err := s.conn.run(`PRAGMA wal_checkpoint(TRUNCATE)`, nil, func(r row1) error {
		busy = r.bool(0)
		return nil
	})
	if err != nil || busy {
		return errors.Join(err, fmt.Errorf("failed to fold the log for a backup: busy is %t", busy))
	}
	from, err := os.Open(s.database())
	if err != nil {
		return fmt.Errorf("failed to read the store for a backup: %w", err)
	}
	defer from.Close()
	to, err := os.OpenFile(filepath.Join(dir, databaseFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("failed to copy the store: %w", err)
	}
	defer to.Close()
	if _, err := io.Copy(to, from); err != nil {
		return fmt.Errorf("failed to copy the store: %w", err)
	}
	return to.Close()
}

// strip takes out of the copy what a backup must not hold, as a store of its own.
func (s *Store) strip(ctx context.Context, dir string, at time.Time) (b Backup, err error) {
	c := &Store{dir: dir, keys: s.keys, dataKey: s.dataKey, turn: make(chan struct{}, 1)}
	c.turn <- struct{}{}
	if c.side, err = createSide(filepath.Join(dir, generationFile), c.keys); err != nil {
		return b, err
	}
	if c.conn, err = connect(c.database(), pageVFS, c.keys, false); err != nil {
		return b, errors.Join(err, c.side.close())
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if c.last, err = c.stateInside(); err != nil {
		return b, err
	}
	err = c.Update(ctx, func(tx *Tx) error {
		d, err := tx.Device()
		if err != nil {
			return err
		}
		b = Backup{Format: backupFormat, Desk: d.Desk, Device: d.ID, At: at.UTC().Truncate(time.Second), Generation: tx.generation - 1, Schema: schemaVersion}
		if err := tx.forgetDevice(d, b); err != nil {
			return err
		}
		return tx.countFor(&b)
	})
	return b, err
}

// forgetDevice takes away what makes a device that device.
func (tx *Tx) forgetDevice(d Device, b Backup) error {
	raw, err := encodeOrigin(Origin{Device: d.ID, Desk: d.Desk, Org: d.Org, Relay: d.Relay, At: b.At, Generation: b.Generation})
	if err != nil {
		return err
	}
	if err := tx.setSetting(settingOrigin, raw); err != nil {
		return err
	}
	if err := tx.DeleteSetting(settingDevice); err != nil {
		return err
	}
	if _, err := tx.DestroyEpochKeys(time.UnixMilli(maxCounter)); err != nil {
		return err
	}
	return errors.Join(tx.forgetNumbers(b.At), tx.forgetFiles(b.At))
}

func encodeOrigin(o Origin) ([]byte, error) {
	row := origin{Device: o.Device, Desk: o.Desk, Relay: o.Relay, At: o.At.Unix(), Generation: o.Generation}
	if len(o.Org) > 0 {
		row.Org = o.Org.Seed()
	}
	raw, err := canon.Marshal(row)
	if err != nil {
		return nil, fmt.Errorf("failed to write where the backup is from: %w", err)
	}
	return raw, nil
}

// forgetNumbers forgets the numbers that the old device gave out. Its deliveries that
// wait stay by their names, so that those made in their place name them.
func (tx *Tx) forgetNumbers(at time.Time) error {
	var desks []string
	err := tx.each(`SELECT desk FROM counters`, nil, func(r row1) error {
		desks = append(desks, r.text(0))
		return nil
	})
	for _, desk := range desks {
		if err == nil {
			err = tx.drop(kindCounters, []byte(desk))
		}
	}
	for _, sql := range []string{`DELETE FROM counters`, `UPDATE status SET carried=0, carried_change=0`, `UPDATE peer SET stated_out=0`} {
		if err == nil {
			err = tx.exec(sql)
		}
	}
	if err != nil {
		return err
	}
	return tx.exec(`UPDATE outbox SET expires=min(expires,?)`, at)
}

func (tx *Tx) countFor(b *Backup) error {
	for sql, n := range map[string]*int{
		`SELECT count(*) FROM message WHERE destroyed=0`: &b.Messages, `SELECT count(*) FROM kase`: &b.Cases,
		`SELECT count(*) FROM record`: &b.Records, `SELECT count(*) FROM register`: &b.Register,
	} {
		if err := tx.one(sql, nil, func(r row1) error { *n = r.int(0); return nil }); err != nil {
			return err
		}
	}
	return nil
}

// sealInto writes store.age from the stripped database.
func sealInto(path, database, phrase string, b *Backup) error {
	from, err := os.Open(database)
	if err != nil {
		return fmt.Errorf("failed to read the copy of the store: %w", err)
	}
	defer from.Close()
	sum := sha256.New()
	if b.Size, err = io.Copy(sum, from); err != nil {
		return fmt.Errorf("failed to read the copy of the store: %w", err)
	}
	b.SHA256 = hex.EncodeToString(sum.Sum(nil))
	if _, err := from.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("failed to read the copy of the store: %w", err)
	}
	line, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("failed to describe the backup: %w", err)
	}
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("failed to write the backup: %w", err)
	}
	defer to.Close()
	r, err := age.NewScryptRecipient(phrase)
	if err != nil {
		return fmt.Errorf("failed to lock the backup: %w", err)
	}
	r.SetWorkFactor(backupWork)
	sealed, err := age.Encrypt(to, r)
	if err != nil {
		return fmt.Errorf("failed to lock the backup: %w", err)
	}
	if _, err := io.Copy(sealed, io.MultiReader(strings.NewReader(string(line)+"\n"), from)); err != nil {
		return fmt.Errorf("failed to write the backup: %w", err)
	}
	return errors.Join(sealed.Close(), to.Close())
}

func writeArchive(w io.Writer, sealed string, recovery []byte, at time.Time) error {
	from, err := os.Open(sealed)
	if err != nil {
		return fmt.Errorf("failed to write the backup: %w", err)
	}
	defer from.Close()
	st, err := from.Stat()
	if err != nil {
		return fmt.Errorf("failed to write the backup: %w", err)
	}
	readme := readmeOf(at)
	out := tar.NewWriter(w)
	for _, m := range []struct {
		name string
		size int64
		from io.Reader
	}{{backupReadme, int64(len(readme)), strings.NewReader(readme)}, {backupRecovery, int64(len(recovery)), strings.NewReader(string(recovery))}, {backupSealed, st.Size(), from}} {
		if err := out.WriteHeader(&tar.Header{Name: m.name, Size: m.size, Mode: 0o600, ModTime: at.Truncate(time.Second), Format: tar.FormatPAX}); err != nil {
			return fmt.Errorf("failed to write the backup: %w", err)
		}
		if _, err := io.Copy(out, m.from); err != nil {
			return fmt.Errorf("failed to write the backup: %w", err)
		}
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("failed to write the backup: %w", err)
	}
	return nil
}

func readmeOf(at time.Time) string {
	return "A backup of a desk of Schakel, made at " + at.UTC().Format(time.RFC3339) + ".\n\n" +
		"README.txt    this\n" +
		"recovery.age  the key of the store: an age file that the recovery passphrase opens\n" +
		"store.age     messages, notes, drafts, persons, register and access log, sealed under that key;\n" +
		"              no device keys and no epoch keys: what is restored is another device\n\n" +
		"Check it with `schakel restore --verify FILE`, restore it with `schakel restore FILE`.\n"
}
