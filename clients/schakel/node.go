package schakel

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"schakel/clients/store"
	"schakel/crypto/identity"
)

// Config is what a Node needs. Store is required and must be enrolled (see [Join]).
type Config struct {
	Store *store.Store
	Now   func() time.Time // default time.Now
	Log   *slog.Logger     // default discards
}

// Node is one device's end of the chain.
type Node struct {
	cfg Config
}

var errNotBuilt = errors.New("not built yet")

// New returns a Node over an enrolled store. It starts nothing.
func New(cfg Config) (*Node, error) { return &Node{cfg: cfg}, nil }

// Run keeps the connection, the outbox, the statements, the keys and the alarms
// going until ctx ends. It reconnects by itself, with full jitter.
func (n *Node) Run(ctx context.Context) error { return errNotBuilt }

// Send checks, signs and seals a message and puts it on disk. It travels when the
// connection stands; use Wait to see it travel.
func (n *Node) Send(ctx context.Context, d Draft) (Sent, error) { return Sent{}, errNotBuilt }

// SendTest sends an empty test delivery to a desk: it pages nobody and enters no case.
func (n *Node) SendTest(ctx context.Context, to identity.DeskID) error { return errNotBuilt }

// List returns the messages that f selects: urgent first, then newest first.
func (n *Node) List(ctx context.Context, f Filter) ([]Summary, error) { return nil, errNotBuilt }

// Read returns one message and notes that it was opened.
func (n *Node) Read(ctx context.Context, ref string) (Letter, error) { return Letter{}, errNotBuilt }

// Acknowledge sends the ontvangstbevestiging of a named person for an inbound
// message and shows the relay that it is attended to.
func (n *Node) Acknowledge(ctx context.Context, ref string, a Acknowledgement) (Sent, error) {
	return Sent{}, errNotBuilt
}

// Trace returns an outbound message's state with each addressed desk.
func (n *Node) Trace(ctx context.Context, ref string) (Summary, error) { return Summary{}, errNotBuilt }

// Wait blocks until every addressed desk has reached at least state (or one has
// rejected), or ctx ends.
func (n *Node) Wait(ctx context.Context, ref string, state State) (Summary, error) {
	return Summary{}, errNotBuilt
}

// Status returns the state of this device.
func (n *Node) Status(ctx context.Context) (Status, error) { return Status{}, errNotBuilt }

// Alarms returns what a person must act on, oldest first.
func (n *Node) Alarms(ctx context.Context) ([]Alarm, error) { return nil, errNotBuilt }

// Directory returns the desks of the register that this desk may write to.
func (n *Node) Directory(ctx context.Context) ([]Desk, error) { return nil, errNotBuilt }

// AddPerson makes a person's key, certifies it by the organisation and publishes
// it. The organisation's key must be on this device.
func (n *Node) AddPerson(ctx context.Context, p Person, pin string) (Person, error) {
	return Person{}, errNotBuilt
}

// Persons returns the persons whose keys are on this device.
func (n *Node) Persons(ctx context.Context) ([]Person, error) { return nil, errNotBuilt }

// Subscribe returns events from now on. A subscriber that does not keep up loses
// the oldest ones: events are hints to look again. cancel ends it.
func (n *Node) Subscribe() (events <-chan Event, cancel func()) { return nil, func() {} }

// Export returns the newest delivery of an outbound message to a desk as its bare
// age file: what a device of that desk can open with the stock age program.
func (n *Node) Export(ctx context.Context, ref string, to identity.DeskID) ([]byte, error) {
	return nil, errNotBuilt
}

// InitOptions say who a new device is.
type InitOptions struct {
	Org       identity.OrgID
	OrgName   string
	OIN       string
	Desk      identity.DeskID
	Role      identity.Role
	Region    string
	Telephone string
}

// Init makes the organisation's and the device's keys in an empty store and
// returns the admission request for the root holders. Called again it returns the
// same request.
func Init(ctx context.Context, st *store.Store, o InitOptions, now time.Time) (request []byte, err error) {
	return nil, errNotBuilt
}

// Join checks the invitation against the fingerprint read out by telephone, enters
// organisation, desk and device into the register through the relay, fetches and
// verifies the whole register, and publishes the first epoch keys.
func Join(ctx context.Context, st *store.Store, invitation []byte, fingerprint string, now func() time.Time) error {
	return errNotBuilt
}

// InvitationFingerprint returns what the root holders read out for an invitation.
func InvitationFingerprint(invitation []byte) (string, error) { return "", errNotBuilt }
