package schakel

import (
	"time"

	"schakel/clients/protocol"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// Draft is a message before it is signed. A message reference is a hash, an
// identifier or a unique beginning of either, in text form.
type Draft struct {
	Class   string            `json:"class"`
	Urgency message.Urgency   `json:"urgency"`
	Case    string            `json:"case,omitempty"` // UUID; empty opens a new case
	To      []identity.DeskID `json:"to"`
	Answers string            `json:"answers,omitempty"`
	RestsOn []string          `json:"restsOn,omitempty"`
	Outcome string            `json:"outcome,omitempty"`
	Body    []byte            `json:"body"` // JSON of the class; travels byte-identical
	// Exercise begins an exercise. What is said in the case of one is marked by itself.
	Exercise bool `json:"exercise,omitempty"`
	// Attachments are files that travel beside it: identifiers that Attach gave. The body
	// describes them, or Schakel has it do so.
	Attachments []string `json:"attachments,omitempty"`
	Person      string   `json:"person,omitempty"`
	PIN         string   `json:"pin,omitempty"`
	// Override sends what is acute although the register is too old: see ErrStale.
	Override *Override `json:"override,omitempty"`
	// Saved is the version of a saved draft that this was made of: once it is sent, that
	// version is off the lists, in the same transaction.
	Saved *SavedVersion `json:"saved,omitempty"`

	encloses []message.Ref // that travel along although no rule asks for it
	unread   bool          // an acknowledgement by somebody who may not read the case
}

// Sent names a message that is signed, sealed and on disk here.
type Sent struct {
	Hash string `json:"hash"` // 64 hexadecimal digits: the identity of the message
	ID   string `json:"id"`
	Case string `json:"case"`
	// Exercise: it is part of one, asked for or not. Whoever sent it must hear that.
	Exercise bool `json:"exercise,omitempty"`
	// Confirmed: a colleague had acknowledged the message named here, and this is one
	// more signature within the desk. Nothing was sent to anybody else.
	Confirmed bool `json:"confirmed,omitempty"`
}

// State is how far a message has come with one desk. Each but the first two rests
// on a signature of that desk.
type State string

// The states, in the order in which they are reached.
const (
	StatePrepared     State = "klaargezet"      // sealed, on disk here
	StateAtRelay      State = "bij-relay"       // the relay signed that it is on its disk
	StateDelivered    State = "afgeleverd"      // a device of the desk has it on disk
	StateOpened       State = "gelezen"         // somebody opened it
	StateAcknowledged State = "bevestigd"       // a named person took it
	StateRejected     State = "geweigerd"       // refused under a named rule
	StateFailed       State = "niet-afgeleverd" // the sender stopped trying
	StateReceived     State = "ontvangen"       // inbound: on disk here
)

// Recipient is how far a message has come with one addressed desk.
type Recipient struct {
	Desk  identity.DeskID `json:"desk"`
	State State           `json:"state"`
	At    time.Time       `json:"at"`
	By    string          `json:"by,omitempty"`   // the person who acknowledged
	Rule  string          `json:"rule,omitempty"` // the rule it was refused under

	// Files is since when the desk has all files of the message, by its own word, whether the
	// relay or a courier brought them. Lists leave it out.
	Files time.Time `json:"files,omitzero"`
	// ByFile is when it left in a file that a person carries, where the desk has not
	// confirmed it since.
	ByFile time.Time `json:"byFile,omitzero"`
}

// Summary is a message as a list shows it.
type Summary struct {
	Hash         string          `json:"hash"`
	ID           string          `json:"id"`
	Case         string          `json:"case"`
	Inbound      bool            `json:"inbound"`
	Class        string          `json:"class"`
	Urgency      message.Urgency `json:"urgency"`
	From         identity.DeskID `json:"from"`
	Person       string          `json:"person,omitempty"` // opaque identifier of who signed
	Created      time.Time       `json:"created"`
	Received     time.Time       `json:"received,omitzero"`
	Opened       time.Time       `json:"opened,omitzero"`
	Acknowledged time.Time       `json:"acknowledged,omitzero"`
	AckBy        string          `json:"ackBy,omitempty"`
	Confirms     *Confirmations  `json:"confirms,omitempty"` // where the ladder asks for several persons
	AckDue       time.Time       `json:"ackDue,omitzero"`    // when a named person must have acknowledged
	Answers      string          `json:"answers,omitempty"`
	Exercise     bool            `json:"exercise,omitempty"`   // of an exercise: show protocol.ExerciseMark before all else
	Recipients   []Recipient     `json:"recipients,omitempty"` // outbound only
	Holder       string          `json:"holder,omitempty"`     // colleague who has the case: see Node.Take
	Restricted   []Reader        `json:"restricted,omitempty"` // who alone may read its case: see Node.Restrict
	Unjudged     bool            `json:"unjudged,omitempty"`   // the rules are asked when one of them opens it
	Marks        []Mark          `json:"marks,omitempty"`      // what a list must say of it
	Refused      string          `json:"refused,omitempty"`    // the rule that it was refused under when that was done
}

// slowWay is what a message may take from its signature to this desk before its reader must
// hear how old it is: a relay that delays everything passes every other check (attack B09).
const slowWay = time.Hour

// UnderWay is how long an inbound message took to come, where that is longer than its reader
// would guess, and else 0. Both moments are believed: one is the sender's, signed, the other
// is this desk's own.
func (s Summary) UnderWay() time.Duration {
	if took := s.Received.Sub(s.Created); s.Inbound && !s.Received.IsZero() && took >= slowWay {
		return took
	}
	return 0
}

// Letter is one message in full. Body is exactly what the sender signed.
type Letter struct {
	Summary
	To     []identity.DeskID `json:"to"`
	Device string            `json:"device"`
	Body   []byte            `json:"body"`
	Late   bool              `json:"late,omitempty"`  // arrived after its successor
	Flags  []protocol.Flag   `json:"flags,omitempty"` // what is wrong with it, though it was taken
	// Attachments are its files, and how far they are.
	Attachments []Attachment `json:"attachments,omitempty"`
}

// Filter selects messages for a list. The zero Filter selects the whole inbox.
type Filter struct {
	Box   string `json:"box,omitempty"` // "in" (default), "sent", "all"
	Case  string `json:"case,omitempty"`
	ToAck bool   `json:"toAck,omitempty"` // only what waits for an acknowledgement here
	// Unread: only what was received and nobody opened.
	Unread bool `json:"unread,omitempty"`
	Limit  int  `json:"limit,omitempty"`  // default 200, at most 1000
	Offset int  `json:"offset,omitempty"` // so many are passed over, in the order of the list
	// After is the hash of a message: only what follows it in the order of the list, also
	// where that one has left the list meanwhile.
	After string `json:"after,omitempty"`
}

// Acknowledgement is what a named person says on taking a message.
type Acknowledgement struct {
	Person      string    `json:"person"` // identifier, or the person's name on this device
	PIN         string    `json:"pin"`
	Status      string    `json:"status"` // default in-behandeling
	FirstAction string    `json:"firstAction,omitempty"`
	AnswerBy    time.Time `json:"answerBy,omitzero"`

	// Who should have had it, with verkeerde-ontvanger. Empty: what the rules say of
	// the message, where they can tell (R01).
	RightRole identity.Role `json:"rightRole,omitempty"`
	RightUnit string        `json:"rightUnit,omitempty"`
}

// Person is a named human of this desk. The name never leaves messages.
type Person struct {
	ID        identity.PersonID `json:"id"`
	Name      string            `json:"name"`
	Function  string            `json:"function"`
	Telephone string            `json:"telephone"`
}

// Alarm is something a person must act on.
type Alarm struct {
	Kind    AlarmKind `json:"kind"`
	Subject string    `json:"subject"`        // identifier of what it is about
	Code    string    `json:"code,omitempty"` // detail by kind: a desk, a rule, a date
	Since   time.Time `json:"since"`
	Text    string    `json:"text"`   // Dutch
	Remedy  string    `json:"remedy"` // Dutch: what to do, whom to call
}

// AlarmKind is the class of an alarm.
type AlarmKind string

// The alarms of this version.
const (
	AlarmUnacknowledged AlarmKind = "niet-bevestigd"        // sender's own timer
	AlarmOverdue        AlarmKind = "zelf-te-laat"          // this desk has not acknowledged in time
	AlarmReturned       AlarmKind = "teruggestuurd"         // a person answered, and did not take it
	AlarmUndelivered    AlarmKind = "niet-afgeleverd"       // no statement of the desk names it
	AlarmGap            AlarmKind = "bericht-ontbreekt"     // a counter never arrived
	AlarmEquivocation   AlarmKind = "dubbele-telling"       // two deliveries under one counter
	AlarmForged         AlarmKind = "valse-handtekening"    // signature of somebody else
	AlarmNotAddressed   AlarmKind = "niet-geadresseerd"     // forwarded to a desk it was not signed for
	AlarmKeySwap        AlarmKind = "sleutel-verwisseld"    // sealed to a key that is not ours
	AlarmNewKey         AlarmKind = "sleutel-nieuw"         // an organisation has another key, and nobody compared it
	AlarmNewDevice      AlarmKind = "apparaat-nieuw"        // a desk has a device that gets nothing yet
	AlarmRegister       AlarmKind = "register"              // fork, rollback or unauthorised entry
	AlarmView           AlarmKind = "register-verschilt"    // a desk signed another register than we have
	AlarmAhead          AlarmKind = "register-loopt-uiteen" // a desk is ahead of what the relay shows us, or far behind
	AlarmOwn            AlarmKind = "eigen-register"        // an entry about this organisation that was not made here
	AlarmFreshness      AlarmKind = "register-oud"          // its witnesses have not seen it for a day, or three
	AlarmWitnesses      AlarmKind = "getuigen"              // their quorum is late, or is missing at what is newest
	AlarmRoot           AlarmKind = "register-verloopt"     // its root is to be renewed, or has expired
	AlarmSilence        AlarmKind = "geen-levensteken"      // a desk with an open case stopped stating
	AlarmConflict       AlarmKind = "bericht-tegenstrijdig" // other message under a known identifier
	AlarmTampered       AlarmKind = "bericht-aangetast"     // envelope does not open
	AlarmClock          AlarmKind = "klok"                  // dated in the future: a clock is wrong, here or there
	AlarmRefused        AlarmKind = "acuut-geweigerd"       // an acute message was rejected here
	AlarmOutdated       AlarmKind = "programma-oud"         // something came in a version that this program does not know
	AlarmFlood          AlarmKind = "te-veel-berichten"     // a desk sends more than this one takes
	AlarmTranscript     AlarmKind = "gesprek-verschilt"     // another desk has a message that was for us too, and we do not
	AlarmRule           AlarmKind = "regel-geschonden"      // kept, though it breaks a rule
	AlarmEpochs         AlarmKind = "sleutels-op"           // our own published keys run out
	AlarmDestruction    AlarmKind = "zaak-wordt-vernietigd" // the date of a closed case comes
	AlarmContested      AlarmKind = "tegelijk-opgepakt"     // two persons here took one case without seeing each other
	AlarmGlass          AlarmKind = "noodslot-verbroken"    // somebody opened a restricted case with the passphrase for emergencies
	AlarmLists          AlarmKind = "beperking-tegelijk"    // two lists of who may read a case were made at the same time
	AlarmPager          AlarmKind = "niemand-opgeroepen"    // nobody of this desk could be paged
	AlarmRota           AlarmKind = "rooster"               // nobody is on call, two changed the rota at once, or the relay lacks it
	AlarmWebhook        AlarmKind = "webhook-faalt"         // a program that asked for events takes none any more
	AlarmDrill          AlarmKind = "oefening"              // the drill of this month is due
	AlarmBackup         AlarmKind = "geen-reservekopie"     // the latest backup is too old
	AlarmAttachment     AlarmKind = "bijlage-ontbreekt"     // a file of a message is not there in time, or was refused
	AlarmLog            AlarmKind = "logboek-aangetast"     // the access log of a device here does not continue what it showed
)

// Status is the state of this device and its connection.
type Status struct {
	Desk            identity.DeskID   `json:"desk"`
	Role            identity.Role     `json:"role,omitempty"` // of the desk, by the register
	Device          identity.DeviceID `json:"device"`
	Light           bool              `json:"light,omitempty"`       // an officer carries it
	Fingerprint     string            `json:"fingerprint,omitempty"` // of this organisation's key, to read out by telephone
	Relay           string            `json:"relay"`
	Connected       bool              `json:"connected"`
	ConnectedSince  time.Time         `json:"connectedSince,omitzero"`
	LastError       string            `json:"lastError,omitempty"`
	RegisterSize    uint64            `json:"registerSize"`
	RegisterSkipped int               `json:"registerSkipped"`
	RegisterAge     RegisterAge       `json:"registerAge"`
	Witnesses       string            `json:"witnesses"`               // what the quorum does not tolerate
	NewDevices      int               `json:"newDevices,omitempty"`    // at desks we write to and at our own, that get nothing yet
	OwnNewDevices   []NewDevice       `json:"ownNewDevices,omitempty"` // of this desk, that came within two weeks
	Outbox          int               `json:"outbox"`                  // deliveries not yet confirmed by their desk
	NotAtRelay      int               `json:"notAtRelay"`
	Unread          int               `json:"unread"`
	ToAcknowledge   int               `json:"toAcknowledge"`
	ToConfirm       int               `json:"toConfirm,omitempty"` // acknowledged, and more persons must sign
	KeysUntil       time.Time         `json:"keysUntil"`
	ClockAhead      time.Duration     `json:"clockAhead"`  // the relay's clock less ours at login, in nanoseconds; believed by nobody
	ClockBehind     time.Duration     `json:"clockBehind"` // how far ours is behind what witnesses of the register signed, in nanoseconds
	Alarms          int               `json:"alarms"`
	Quarantined     int               `json:"quarantined"`
	Rejected        int               `json:"rejected"`
	Rota            RotaStatus        `json:"rota"`
	DrillDue        time.Time         `json:"drillDue,omitzero"` // since when the drill of the month is, where this desk organises them
}

// Desk is a desk of the register, as a sender chooses it.
type Desk struct {
	ID        identity.DeskID `json:"id"`
	Org       string          `json:"org"` // the organisation's registered name
	Role      identity.Role   `json:"role"`
	Region    string          `json:"region,omitempty"`
	Telephone string          `json:"telephone,omitempty"`
	Devices   int             `json:"devices"`   // active ones
	Reachable bool            `json:"reachable"` // some device has a key for now, and nothing is wrong with the organisation's

	Fingerprint string    `json:"fingerprint,omitempty"` // of the organisation's key, to compare by telephone
	Key         KeyState  `json:"key,omitempty"`
	KeyBy       string    `json:"keyBy,omitempty"` // who verified or refused it
	KeyAt       time.Time `json:"keyAt,omitzero"`

	NewDevices []NewDevice `json:"newDevices,omitempty"` // that came within two weeks
}

// Event tells a subscriber that something changed; it carries identifiers only.
type Event struct {
	Kind    EventKind `json:"kind"`
	Message string    `json:"message,omitempty"` // hash
	Desk    string    `json:"desk,omitempty"`
	At      time.Time `json:"at"`
}

// EventKind is the class of an event.
type EventKind string

// The events.
const (
	EventReceived     EventKind = "received"
	EventStatus       EventKind = "status" // a recipient's state moved
	EventAcknowledged EventKind = "acknowledged"
	EventAlarm        EventKind = "alarm"
	EventConnection   EventKind = "connection"
	EventRegister     EventKind = "register"
	EventRejected     EventKind = "rejected" // something arrived and was refused
	EventDesk         EventKind = "desk"     // a colleague took, assigned, noted or drafted something
	EventGap          EventKind = "gap"      // events were lost: look at all lists
)

// Seen is one envelope as the relay sees it: what a demonstration shows.
type Seen struct {
	Envelope envelope.ID     `json:"envelope"`
	Desk     identity.DeskID `json:"desk"`
	Tier     envelope.Tier   `json:"tier"`
	Size     int             `json:"size"`
}
