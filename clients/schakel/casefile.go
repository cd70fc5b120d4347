package schakel

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"schakel/clients/casefile"
	"schakel/clients/store"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/trust"
)

// settingExported begins the name under which it is noted that a case left as a file.
const settingExported = "exported/"

// ExportCase writes the file of a case, given by its own identifier or by a message of it,
// with what was attached to its messages as far as that is here. See package casefile. A
// restricted case leaves only by a person named for it, who then signs; any other by one
// who signs beside the device, or by nobody: an empty By. Before the first byte it notes in
// the audit log that the case left; where it is refused nothing was written. What fails
// behind the first byte leaves a file that is none.
func (n *Node) ExportCase(ctx context.Context, ref string, by By, to io.Writer) error {
	if err := n.notLight(); err != nil {
		return err
	}
	a, err := n.accessTo(ctx, ref, by)
	if err != nil {
		return err
	}
	person := a.signs
	d := casefile.Dossier{Desk: n.dev.Desk, Device: n.dev.ID, Made: n.now(), Agreement: n.catalogue.Agreement()}
	var second trust.Signer
	if person != nil {
		d.Person, second = person.ID, edKey(person.Key)
	}
	if err := n.inside(ctx, a, false, func(tx *store.Tx) error { return n.gatherCase(tx, ref, &d) }); err != nil {
		return err
	}
	out := &leaving{to: to, note: func() error { return n.noteExport(ctx, d) }}
	_, err = casefile.Write(out, d, edKey(n.keys.Sign), second)
	return err
}

// leaving notes that something leaves before it does.
type leaving struct {
	to   io.Writer
	note func() error // nil: noted
}

func (l *leaving) Write(b []byte) (int, error) {
	if l.note != nil {
		if err := l.note(); err != nil {
			return 0, err
		}
		l.note = nil
	}
	return l.to.Write(b)
}

func (n *Node) noteExport(ctx context.Context, d casefile.Dossier) error {
	err := n.update(ctx, func(tx *store.Tx) error {
		if err := tx.SetSetting(settingExported+d.Case.String(), []byte(d.Made.UTC().Format(time.RFC3339))); err != nil {
			return err
		}
		return tx.Audit("case-exported", d.Case.String(), d.Person, d.Made)
	})
	if errors.Is(err, store.ErrReadOnly) {
		return nil // a store opened to save what can be read
	}
	return err
}

// gatherCase reads all that this desk has of a case, and the register.
func (n *Node) gatherCase(tx *store.Tx, ref string, d *casefile.Dossier) (err error) {
	if d.Case, err = caseRef(tx, ref); err != nil {
		return err
	}
	rows, err := rowsOf(tx, d.Case)
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return fmt.Errorf("%w: no message of case %s", ErrNotFound, d.Case)
	}
	if len(rows) > casefile.MaxMessages {
		return fmt.Errorf("%w: %d messages, at most %d", casefile.ErrTooLarge, len(rows), casefile.MaxMessages)
	}
	for _, row := range rows {
		if err := n.gatherMessage(tx, row, d); err != nil {
			return err
		}
	}
	if err := gatherProofs(tx, rows, d); err != nil {
		return err
	}
	pinned, err := tx.Register(func(_ uint64, entry []byte) error {
		d.Entries = append(d.Entries, slices.Clone(entry))
		return nil
	})
	d.Checkpoint = pinned.Note
	return err
}

// gatherProofs adds what others signed of the delivery of these messages, each once: a
// statement speaks of many. One that no longer opens is counted and keeps nothing else
// out.
func gatherProofs(tx *store.Tx, rows []store.Message, d *casefile.Dossier) error {
	seen := map[[sha256.Size]byte]bool{}
	for _, row := range rows {
		proofs, err := tx.Proofs(row.Hash)
		if err != nil {
			return err
		}
		for _, p := range proofs {
			if seen[p.Hash] {
				continue
			}
			seen[p.Hash] = true
			raw, err := tx.Proven(p.Hash)
			switch {
			case errors.Is(err, store.ErrTampered), errors.Is(err, store.ErrNotFound):
				d.Record.LeftOut++
			case err != nil:
				return err
			case p.State == store.Anchored:
				d.Anchors = append(d.Anchors, raw)
			case p.State == store.AtRelay:
				d.Promises = append(d.Promises, raw)
			default:
				d.Statements = append(d.Statements, raw)
			}
		}
	}
	return nil
}

// rowsOf are the messages of a case, oldest first, without their content.
func rowsOf(tx *store.Tx, ref message.CaseRef) (all []store.Message, err error) {
	for after := uint64(0); ; {
		rows, err := tx.Messages(store.Query{Case: ref, Order: store.Oldest, After: after, Limit: 1000})
		if err != nil || len(rows) == 0 {
			return all, err
		}
		all = append(all, rows...)
		after = rows[len(rows)-1].Seq
	}
}

// gatherMessage adds a message and what was noted of it. One that no longer opens is
// named: it must not keep the rest in.
func (n *Node) gatherMessage(tx *store.Tx, row store.Message, d *casefile.Dossier) error {
	full, err := tx.Message(row.Hash)
	signed, parseErr := message.Parse(full.Raw)
	if err != nil || parseErr != nil {
		d.Record.Unreadable = append(d.Record.Unreadable, row.Hash)
		return nil
	}
	d.Messages = append(d.Messages, full.Raw)
	if err := n.gatherAttachments(tx, signed, d); err != nil {
		return err
	}
	if row.Direction == store.In {
		d.Record.Received = append(d.Record.Received, casefile.Received{Message: row.Hash, Received: utc(row.Received), Opened: utc(row.Opened),
			Acknowledged: utc(row.Acknowledged), By: row.AcknowledgedBy})
		return nil
	}
	rs, err := tx.Recipients(row.Hash)
	for _, r := range rs {
		d.Record.Sent = append(d.Record.Sent, casefile.Sent{Message: row.Hash, Desk: r.Desk, AtRelay: utc(r.AtRelay), Delivered: utc(r.Delivered),
			Opened: utc(r.Opened), Acknowledged: utc(r.Acknowledged), By: r.AcknowledgedBy, Rejected: utc(r.Rejected), Failed: utc(r.Failed), Rule: r.Rule})
	}
	return err
}

// Deletion is a case whose key was destroyed here, with the signed statement of it.
type Deletion struct {
	Case      string          `json:"case"`
	At        time.Time       `json:"at"`
	Due       time.Time       `json:"due"`
	Closing   string          `json:"closing"` // hash of the closing message
	ClosedBy  identity.DeskID `json:"closedBy"`
	Messages  int             `json:"messages"`
	Statement []byte          `json:"statement"`
}

// Deletions returns the statements of what was destroyed on this device, oldest first.
func (n *Node) Deletions(ctx context.Context) (out []Deletion, err error) {
	err = n.store.View(ctx, func(tx *store.Tx) error {
		raws, err := deletions(tx)
		for _, raw := range raws {
			d, err := casefile.ParseDeletion(raw)
			if err != nil {
				return err
			}
			out = append(out, Deletion{Case: d.Case.String(), At: d.At, Due: d.Due, Closing: d.Closing.String(), ClosedBy: d.ClosedBy,
				Messages: len(d.Messages), Statement: raw})
		}
		return err
	})
	return out, err
}

// settingDeletion begins the names of the statements: deletion/1, deletion/2, ...
const settingDeletion = "deletion/"

func deletions(tx *store.Tx) (out [][]byte, err error) {
	for {
		raw, err := tx.Setting(fmt.Sprint(settingDeletion, len(out)+1))
		if errors.Is(err, store.ErrNotFound) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		out = append(out, raw)
	}
}
