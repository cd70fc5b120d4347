// Package desk is the daemon's local service: a device's whole SDK over a unix
// socket, and the client that speaks to it.
//
// One daemon owns a device's store. Every other program on the machine (the
// command line, later the web desk and a partner's own system) goes through this
// service. [Service] serves any [Node]; [Client] is itself a Node, with the same
// sentinel errors, so that a caller cannot tell whether it speaks to a daemon or
// holds the store itself:
//
//	ln, err := desk.Listen(path)
//	...
//	err = desk.New(desk.Config{Node: node}).Serve(ctx, ln)
//
//	client, err := desk.Dial(ctx, path)
//	...
//	list, err := client.List(ctx, schakel.Filter{})
//
// Trusted: whoever may open the socket. It lies in a folder that only its owner
// may enter, has mode 0600, and both ends ask the kernel who is at the other:
// another user, even of the same group, is refused. What root or the owner runs
// can read every message, as it could read the memory of the daemon.
package desk

import (
	"context"
	"io"

	"schakel/clients/schakel"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
)

// Sender puts messages on their way. Each returns when the message is on disk.
type Sender interface {
	Send(ctx context.Context, d schakel.Draft) (schakel.Sent, error)
	SendTest(ctx context.Context, to identity.DeskID) error
	Acknowledge(ctx context.Context, ref string, a schakel.Acknowledgement) (schakel.Sent, error)
	Forward(ctx context.Context, ref string, f schakel.Forwarding) (schakel.Sent, error)
	// Prepare only says what a draft becomes.
	Prepare(ctx context.Context, d schakel.Draft) (schakel.Prepared, error)
}

// Lister lists messages.
type Lister interface {
	List(ctx context.Context, f schakel.Filter) ([]schakel.Summary, error)
}

// Reader shows messages.
type Reader interface {
	Lister
	Read(ctx context.Context, ref string) (schakel.Letter, error)
	ReadAs(ctx context.Context, ref string, by schakel.By) (schakel.Letter, error)
	Export(ctx context.Context, ref string, to identity.DeskID) ([]byte, error)
}

// Follower tells how far a message has come.
type Follower interface {
	Trace(ctx context.Context, ref string) (schakel.Summary, error)
	Wait(ctx context.Context, ref string, state schakel.State) (schakel.Summary, error)
	Subscribe() (events <-chan schakel.Event, cancel func())
}

// Watch tells how this device is and what a person must act on.
type Watch interface {
	Status(ctx context.Context) (schakel.Status, error)
	Alarms(ctx context.Context) ([]schakel.Alarm, error)
	ClearAlarm(ctx context.Context, kind schakel.AlarmKind, subject string) error
}

// People knows who there is: the desks of the register, the persons of this desk.
type People interface {
	Directory(ctx context.Context) ([]schakel.Desk, error)
	Persons(ctx context.Context) ([]schakel.Person, error)
	AddPerson(ctx context.Context, p schakel.Person, pin string) (schakel.Person, error)
	// VerifyDesk notes that somebody heard the fingerprint of a desk's organisation by
	// telephone; RefuseDesk that it is not theirs.
	VerifyDesk(ctx context.Context, desk identity.DeskID, heard string, by schakel.By) error
	RefuseDesk(ctx context.Context, desk identity.DeskID, by schakel.By) error
	// ConfirmDevice notes that somebody heard by telephone that a new device is a desk's own.
	ConfirmDevice(ctx context.Context, desk identity.DeskID, device identity.DeviceID, called string, by schakel.By) error
}

// Authority decides which devices and persons of the organisation belong to the
// chain, and shows what the register says.
type Authority interface {
	Devices(ctx context.Context) ([]schakel.Device, error)
	Vouch(ctx context.Context, request []byte) error
	Revoke(ctx context.Context, subject trust.Subject, reason trust.Reason) error
	RegisterEntries(ctx context.Context) ([][]byte, error)
	// RenewOrganisationKey returns the request for another key of the organisation.
	RenewOrganisationKey(ctx context.Context) (request []byte, err error)
	// Evidence lists what is kept of wrongs; EvidenceFile makes one a file for others.
	Evidence(ctx context.Context) ([]schakel.Evidence, error)
	EvidenceFile(ctx context.Context, id string) ([]byte, error)
}

// Archivist writes the file of a case, and hands out the statements of what was destroyed.
type Archivist interface {
	ExportCase(ctx context.Context, ref string, by schakel.By, to io.Writer) error
	Deletions(ctx context.Context) ([]schakel.Deletion, error)
}

// Colleagues is what the devices of one desk keep among themselves.
type Colleagues interface {
	Assign(ctx context.Context, ref, to string, by schakel.By) (schakel.Assignment, error)
	AddNote(ctx context.Context, ref, text string, by schakel.By) (schakel.Note, error)
	Worksheet(ctx context.Context, ref string, by ...schakel.By) (schakel.Worksheet, error)
	Drafts(ctx context.Context, ref string, by ...schakel.By) ([]schakel.SavedDraft, error)
	SaveDraft(ctx context.Context, id, version string, d schakel.Draft, by schakel.By) (schakel.SavedDraft, error)
	DropDraft(ctx context.Context, id, version string, by schakel.By) error
	Restrict(ctx context.Context, ref string, to []string, by schakel.By) (schakel.Restriction, error)
	Restriction(ctx context.Context, ref string) (schakel.Restriction, error)
	Log(ctx context.Context, ref string) (schakel.AccessLog, error)
}

// Node is all of it: what a device of the chain can do.
type Node interface {
	Sender
	Reader
	Searcher
	Files
	Cases
	Follower
	Watch
	People
	Authority
	Archivist
	Courier
	Historian
	Absentee
	Safekeeper
	Colleagues
	Rotas
	Pages
}

var (
	_ Node = (*schakel.Node)(nil)
	_ Node = (*Client)(nil)
)
