package schakel

import (
	"errors"

	"schakel/clients/protocol"
	"schakel/clients/store"
	"schakel/crypto/message"
)

const (
	reasonOtherFile    = "attachment-other-file"
	reasonIdentityUsed = "attachment-key-reused"
)

// errIdentityUsed means that an attachment has the key or the file of another one.
var errIdentityUsed = errors.New("one-time identity or blob of another message")

// freshAttachments refuses a message whose attachment has the one-time identity, or is the
// file, of one that came before (attacks E09 and E10): who may open the one could open the
// other, and a file is sealed anew for every message. Its sender's program is broken, which
// both ends hear.
func (in *intake) freshAttachments(a *arrival) error {
	for i := range a.signed.Message.Attachments {
		row := rowOf(a.signed, i, in.now)
		used, err := in.tx.AttachmentUsed(row.Blob, row.Once, row.Message)
		if err != nil {
			return err
		}
		if used {
			a.fault = &fault{reason: reasonIdentityUsed, rule: protocol.RuleAttachments, alarm: AlarmAttachment, quarantine: true, err: errIdentityUsed}
			return nil
		}
	}
	return nil
}

// expectAttachments notes the files of a message that came: they are fetched from now on. Of
// what another device of this desk sent, a copy is fetched too: should that device be lost
// before every recipient has them, this one uploads them again.
func (in *intake) expectAttachments(signed message.Signed, direction store.Direction) error {
	for i := range signed.Message.Attachments {
		row := rowOf(signed, i, in.now)
		if direction == store.Out {
			row.Desks = signed.Message.Addressed
		}
		if err := in.tx.AddAttachment(row); err != nil {
			return err
		}
	}
	if len(signed.Message.Attachments) > 0 {
		in.n.moves.poke() // at the latest at the next tick: this transaction is not through yet
	}
	return nil
}
