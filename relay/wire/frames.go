package wire

import (
	"errors"

	"schakel/crypto/custody"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
)

// ErrFrame is wrapped by every refusal to parse or to build a frame.
var ErrFrame = errors.New("malformed frame")

// Type is the first byte of a frame. The highest bit tells who may send it.
type Type uint8

// The frames.
const (
	TypeLogin     Type = 0x01
	TypePut       Type = 0x02
	TypeAck       Type = 0x03
	TypeCredit    Type = 0x04
	TypeAttended  Type = 0x05
	TypeFetch     Type = 0x06
	TypeAppend    Type = 0x07
	TypeWantKeys  Type = 0x08
	TypePlan      Type = 0x09
	TypeTestPage  Type = 0x0a
	TypeWantPages Type = 0x0b
	TypeCosigned  Type = 0x0c

	TypeChallenge  Type = 0x81
	TypeReady      Type = 0x82
	TypeStored     Type = 0x83
	TypeRefused    Type = 0x84
	TypeDeliver    Type = 0x85
	TypeNotice     Type = 0x86
	TypeRegister   Type = 0x87
	TypeAppended   Type = 0x88
	TypeKeysAre    Type = 0x89
	TypeAdvanced   Type = 0x8a
	TypeGoAway     Type = 0x8b
	TypeAttendedIs Type = 0x8c
	TypePlanIs     Type = 0x8d
	TypeTestPageIs Type = 0x8e
	TypePagesAre   Type = 0x8f
	TypeCosign     Type = 0x90
)

// FromRelay reports whether only a relay may send the frame.
func (t Type) FromRelay() bool { return t&0x80 != 0 }

// Frame is one of the types below, by value.
type Frame interface {
	Type() Type
	appendPayload(b []byte) ([]byte, error)
}

// Frames that a device sends.
type (
	// Login is the first frame of a device: the token of [SignLogin].
	Login struct {
		_     struct{} `cbor:",toarray"`
		Token []byte
	}

	// Put offers one envelope. The relay answers with a leaf in a Stored frame, or
	// with Refused. Putting the same bytes again is harmless.
	Put struct{ Envelope []byte }

	// Ack says that everything up to Position is on the device's own disk. It is
	// cumulative, and lets the relay forget.
	Ack struct{ Position uint64 }

	// Credit adds to what the relay may send before the device says more.
	Credit struct {
		_        struct{} `cbor:",toarray"`
		Messages uint32
		Bytes    uint32
	}

	// Attended shows the token of a delivery, so that the relay stops paging for it.
	Attended struct {
		_     struct{} `cbor:",toarray"`
		ID    envelope.ID
		Token [32]byte
	}

	// Fetch asks for the register's entries from index From on, which is also the
	// size that the device has proven so far.
	Fetch struct {
		_    struct{} `cbor:",toarray"`
		From uint64
	}

	// Append offers one signed register entry. Recipients go with epoch entries
	// only, whose log holds their hashes.
	Append struct {
		_          struct{} `cbor:",toarray"`
		Tag        uint64
		Entry      []byte
		Recipients []string
	}

	// KeyWanted names the epoch key of a device.
	KeyWanted struct {
		_      struct{} `cbor:",toarray"`
		Device identity.DeviceID
		Epoch  uint64
	}

	// WantKeys asks for the recipients of epoch keys.
	WantKeys struct {
		_    struct{} `cbor:",toarray"`
		Tag  uint64
		Keys []KeyWanted
	}

	// Plan publishes who is on call at the device's own desk: the encoding of a
	// rota plan. It takes the place of the one before, if its serial is higher.
	Plan struct{ Plan []byte }

	// TestPage asks for a page that says it is a test, to a contact in the plan of
	// the device's own desk.
	TestPage struct {
		_       struct{} `cbor:",toarray"`
		Tag     uint64
		Contact string
	}

	// WantPages asks for the log of pages of the device's own desk, beyond number Since.
	WantPages struct {
		_     struct{} `cbor:",toarray"`
		Tag   uint64
		Since uint64
	}

	// Cosigned is a witness's word: its name in the root, the size that it signed
	// last, and its cosignature line over the checkpoint of that size. Without a line
	// it announces the witness, or says that it did not sign what it was asked.
	Cosigned struct {
		_       struct{} `cbor:",toarray"`
		Witness string
		Size    uint64
		Line    []byte
	}
)

// Frames that a relay sends.
type (
	// Challenge opens a connection.
	Challenge struct {
		_       struct{} `cbor:",toarray"`
		Nonce   [32]byte
		Relay   string
		Version uint64
	}

	// Ready ends the login. Times are seconds since 1970. StoreEpoch names the life
	// of the relay's store: when it changes, everything without a receipt from its
	// recipient has to be offered again.
	Ready struct {
		_            struct{} `cbor:",toarray"`
		StoreEpoch   [16]byte
		Ends         uint64 // when the session ends at the latest
		Now          uint64 // the relay's clock
		RegisterSize uint64
	}

	// Stored promises that envelopes are stored: one signature for a batch, and a
	// path for each envelope of this session in it.
	Stored struct {
		Batch  custody.Batch
		Leaves []custody.Leaf
	}

	// Refused answers a Put. The ID is that of the header, or zeros where none could
	// be read.
	Refused struct {
		_    struct{} `cbor:",toarray"`
		ID   envelope.ID
		Code Code
	}

	// Deliver hands over one envelope. Positions rise.
	Deliver struct {
		Position uint64
		Envelope []byte
	}

	// Notice tells what became of an envelope: to its sender, with Position 0, or at
	// a place in the device's own mailbox.
	Notice struct {
		_        struct{} `cbor:",toarray"`
		Position uint64
		Kind     NoticeKind
		ID       envelope.ID
	}

	// Register answers Fetch. Proof shows that the tree of size From is a prefix of
	// the checkpoint's. More says that entries up to the checkpoint's size remain.
	Register struct {
		_          struct{} `cbor:",toarray"`
		Checkpoint []byte
		From       uint64
		Entries    [][]byte
		Proof      [][32]byte
		More       bool
	}

	// Appended answers Append, with the entry's index where Code is CodeOK.
	Appended struct {
		_     struct{} `cbor:",toarray"`
		Tag   uint64
		Index uint64
		Code  Code
	}

	// KeysAre answers WantKeys: the recipients in the order asked, empty where the
	// relay has none. The device checks each against the hash in the register.
	KeysAre struct {
		_          struct{} `cbor:",toarray"`
		Tag        uint64
		Recipients []string
	}

	// Advanced says that the register has grown.
	Advanced struct {
		_            struct{} `cbor:",toarray"`
		RegisterSize uint64
	}

	// GoAway asks the device to come back after this long.
	GoAway struct {
		_           struct{} `cbor:",toarray"`
		AfterMillis uint32
	}

	// AttendedIs answers Attended.
	AttendedIs struct {
		_    struct{} `cbor:",toarray"`
		ID   envelope.ID
		Code Code
	}

	// PlanIs answers Plan, with the serial of the plan that counts now.
	PlanIs struct {
		_      struct{} `cbor:",toarray"`
		Serial uint64
		Code   Code
	}

	// TestPageIs answers TestPage once the channels have answered: CodeOK when at
	// least one took it. What each did stands in the log of pages.
	TestPageIs struct {
		_    struct{} `cbor:",toarray"`
		Tag  uint64
		Code Code
	}

	// Paged is one row of a desk's log of pages: one page on one channel.
	Paged struct {
		_         struct{} `cbor:",toarray"`
		Number    uint64
		ID        envelope.ID // zero for a test; one of several when Waiting is above 1
		Tier      envelope.Tier
		Reference string // as the page had it
		Waiting   uint64 // how many envelopes it was for
		Step      uint64 // of the ladder, from 0
		Level     uint64 // of the rota; 255 everyone
		Contact   string
		Channel   string
		At        uint64 // seconds since 1970
		Outcome   string // sent, or why not: see relay/page
	}

	// PagesAre answers WantPages, oldest first. More says that there are further rows:
	// ask again from the last Number. Old rows are gone without a word.
	PagesAre struct {
		_     struct{} `cbor:",toarray"`
		Tag   uint64
		Pages []Paged
		More  bool
	}

	// Cosign asks a witness that announced itself for its cosignature over a
	// checkpoint, with the proof that leads there from the size that it signed last.
	Cosign struct {
		_          struct{} `cbor:",toarray"`
		Checkpoint []byte
		From       uint64
		Proof      [][32]byte
	}
)

// NoticeKind is what became of an envelope.
type NoticeKind uint8

// The notices. A notice is a hint, never proof: the device decides by the
// signed statements of the recipient.
const (
	NoticeExpired NoticeKind = 1 // nobody fetched it in time (niet-afgeleverd)
	NoticeDamaged NoticeKind = 2 // the store no longer has it intact; offer it again
	// NoticeUnattended: nobody has shown the attended token in time. Telephone.
	NoticeUnattended NoticeKind = 3
)

// Type gives the first byte of the frame.
func (Login) Type() Type      { return TypeLogin }
func (Put) Type() Type        { return TypePut }
func (Ack) Type() Type        { return TypeAck }
func (Credit) Type() Type     { return TypeCredit }
func (Attended) Type() Type   { return TypeAttended }
func (Fetch) Type() Type      { return TypeFetch }
func (Append) Type() Type     { return TypeAppend }
func (WantKeys) Type() Type   { return TypeWantKeys }
func (Challenge) Type() Type  { return TypeChallenge }
func (Ready) Type() Type      { return TypeReady }
func (Stored) Type() Type     { return TypeStored }
func (Refused) Type() Type    { return TypeRefused }
func (Deliver) Type() Type    { return TypeDeliver }
func (Notice) Type() Type     { return TypeNotice }
func (Register) Type() Type   { return TypeRegister }
func (Appended) Type() Type   { return TypeAppended }
func (KeysAre) Type() Type    { return TypeKeysAre }
func (Advanced) Type() Type   { return TypeAdvanced }
func (GoAway) Type() Type     { return TypeGoAway }
func (AttendedIs) Type() Type { return TypeAttendedIs }
func (Plan) Type() Type       { return TypePlan }
func (TestPage) Type() Type   { return TypeTestPage }
func (WantPages) Type() Type  { return TypeWantPages }
func (PlanIs) Type() Type     { return TypePlanIs }
func (TestPageIs) Type() Type { return TypeTestPageIs }
func (PagesAre) Type() Type   { return TypePagesAre }
func (Cosigned) Type() Type   { return TypeCosigned }
func (Cosign) Type() Type     { return TypeCosign }
