package schakel

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"schakel/clients/store"
	"schakel/clients/store/vault"
	"schakel/crypto/identity"
)

// Backup is what stands in a backup of this device's store.
type Backup = store.Backup

// Safety is what was done so that this desk does not lose what it has.
type Safety struct {
	Backup     time.Time `json:"backup,omitzero"`      // when the latest backup was made, and was on its disk
	Messages   int       `json:"messages,omitempty"`   // in it
	Recovery   time.Time `json:"recovery,omitzero"`    // when somebody last showed that the recovery passphrase opens the store
	Restored   time.Time `json:"restored,omitzero"`    // when this store was restored from a backup
	BackupLate bool      `json:"backupLate,omitempty"` // an alarm says so
}

const (
	settingSafety = "safety"
	// backupWithin is how old the latest backup may be where nothing else is configured.
	backupWithin = 8 * 24 * time.Hour
	// backupOfThis is the subject of the alarm that the latest is older: there is one.
	backupOfThis = "apparaat"
)

// What the access log says of these.
const (
	actionBackup   = "backup-made"
	actionRecovery = "recovery-changed"
	actionRestored = "restored" // subject: the device that this one takes the place of
)

// Backup writes a backup of this device's store, which only the recovery passphrase opens.
func (n *Node) Backup(ctx context.Context, w io.Writer) (Backup, error) {
	if err := n.notLight(); err != nil {
		return Backup{}, err
	}
	return n.store.Backup(ctx, w, n.now())
}

// NoteBackup notes that a backup is on its disk, checked and synced.
func (n *Node) NoteBackup(ctx context.Context, b Backup) error {
	in := &intake{n: n, now: n.now()}
	err := n.update(ctx, func(tx *store.Tx) error {
		in.tx, in.events = tx, nil
		s, err := safety(tx)
		if err != nil {
			return err
		}
		s.Backup, s.Messages = b.At, b.Messages
		if err := in.clear(AlarmBackup, backupOfThis); err != nil {
			return err
		}
		return errors.Join(keepSafety(tx, s), tx.Audit(actionBackup, n.dev.ID.String(), identity.PersonID{}, in.now))
	})
	n.written(in.events, err)
	return err
}

// Safety tells when the latest backup was made, and the recovery passphrase last tried.
func (n *Node) Safety(ctx context.Context) (s Safety, err error) {
	err = n.store.View(ctx, func(tx *store.Tx) error {
		s, err = safety(tx)
		return err
	})
	s.BackupLate = n.backupLate(s)
	return s, err
}

// TryRecovery checks a recovery passphrase, and notes that somebody knows it.
func (n *Node) TryRecovery(ctx context.Context, phrase string) error {
	if err := n.notLight(); err != nil {
		return err
	}
	if err := n.store.TryRecovery(phrase); err != nil {
		return err
	}
	return n.noteRecovery(ctx, false)
}

// SetRecovery gives the store another recovery passphrase. Backups from before open with
// the earlier one only.
func (n *Node) SetRecovery(ctx context.Context, phrase string) error {
	if err := n.notLight(); err != nil {
		return err
	}
	if err := n.store.SetRecovery(vault.Passphrase{Phrase: phrase}); err != nil {
		return err
	}
	return n.noteRecovery(ctx, true)
}

func (n *Node) noteRecovery(ctx context.Context, changed bool) error {
	return n.update(ctx, func(tx *store.Tx) error {
		s, err := safety(tx)
		if err != nil {
			return err
		}
		s.Recovery = n.now().UTC().Truncate(time.Second)
		if err := keepSafety(tx, s); err != nil || !changed {
			return err
		}
		return tx.Audit(actionRecovery, n.dev.ID.String(), identity.PersonID{}, n.now())
	})
}

// backupLate reports that backups are made here, and the latest is too old. Where none was
// ever made `schakel doctor` warns.
func (n *Node) backupLate(s Safety) bool {
	return !s.Backup.IsZero() && n.now().Sub(s.Backup) > n.backupWithin
}

// watchBackups raises or ends the alarm about it. A restored store can hold one of before:
// its backup was late, and made before that was noted.
func (in *intake) watchBackups() error {
	s, err := safety(in.tx)
	if err != nil {
		return err
	}
	if in.n.backupLate(s) {
		return in.raise(AlarmBackup, backupOfThis, "")
	}
	return in.clear(AlarmBackup, backupOfThis)
}

func safety(tx *store.Tx) (s Safety, err error) {
	b, err := tx.Setting(settingSafety)
	if errors.Is(err, store.ErrNotFound) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(b, &s)
}

func keepSafety(tx *store.Tx, s Safety) error {
	s.BackupLate = false
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return tx.SetSetting(settingSafety, b)
}
