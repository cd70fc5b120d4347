package schakel

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"schakel/clients/protocol"
	"schakel/crypto/delivery"
	"schakel/crypto/message"
	"schakel/crypto/trust"
)

// How old the register may be: the median time at which the quorum of its witnesses saw it.
const (
	freshFor   = 24 * time.Hour
	staleAfter = 72 * time.Hour
)

// Refusals of a register that cannot be relied on any more. A relay that withholds what is
// new hides revocations; nothing with content is sealed by such a register but what a named
// person answers for (see Override).
var (
	ErrStale    = errors.New("the register is too old to send by: telephone, and let this device reach the relay; what is acute a named person may send all the same")
	ErrOutlived = errors.New("the root of the register has expired: telephone the root holders, who must renew it; what is acute a named person may send all the same")
	ErrOverride = errors.New("only an acute message of a named person who also telephoned may be sent by an old register")
)

// Freshness says whether the register can be relied on to be current.
type Freshness string

// The states of freshness.
const (
	Fresh       Freshness = "fresh"       // its witnesses saw it within a day
	Ageing      Freshness = "ageing"      // within three days: somebody must look
	Stale       Freshness = "stale"       // not within three days: sending stops
	Unwitnessed Freshness = "unwitnessed" // the root names no witnesses: nobody says how old it is
)

// RegisterAge is how current the register of this device is, and until when its root rules.
type RegisterAge struct {
	State       Freshness `json:"state"`
	Vouched     time.Time `json:"vouched,omitzero"` // when the quorum of witnesses saw it
	RootExpires time.Time `json:"rootExpires"`
	RootExpired bool      `json:"rootExpired"`
	// Witnesses is what is wrong with their quorum although the relay is there; empty: nothing.
	Witnesses WitnessFault `json:"witnesses,omitempty"`
}

// WitnessFault is what is wrong with the quorum of witnesses while this device is connected.
type WitnessFault string

// The faults. Long before the register is too old to send by, somebody can telephone.
const (
	WitnessesLate    WitnessFault = "late"    // the last time that they signed again is hours ago
	WitnessesMissing WitnessFault = "missing" // what is newest in the register waits for them
)

const (
	// witnessesLate is four times as long as an honest relay waits before it asks again.
	witnessesLate = 2 * time.Hour
	// witnessesMissing is how long a growth of the register may take to get its quorum.
	witnessesMissing = 10 * time.Minute
)

// claim is how large the relay said at login that its register is, and since when it says
// more than what it shows.
type claim struct {
	size  uint64
	since time.Time
}

// claims notes what the relay said. It may lie: then somebody is told of witnesses for nothing.
func (n *Node) claims(size uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.claimed.size <= n.dir.Size() {
		n.claimed.since = n.now()
	}
	n.claimed.size = size
}

// registerAge is the age of the register, and how its witnesses do. Without a connection
// nothing is said of those: what is missing then is the relay.
func (n *Node) registerAge() RegisterAge {
	n.mu.Lock()
	dir, up, claimed := n.dir, n.conn.up, n.claimed
	n.mu.Unlock()
	now := n.now()
	a := dir.age(now)
	switch {
	case dir.Authority().Quorum == 0 || !up:
	case now.Sub(dir.vouched) > witnessesLate:
		a.Witnesses = WitnessesLate
	case claimed.size > dir.Size() && now.Sub(claimed.since) > witnessesMissing:
		a.Witnesses = WitnessesMissing
	}
	return a
}

func (d directory) age(now time.Time) RegisterAge {
	root := d.Authority()
	a := RegisterAge{State: Unwitnessed, Vouched: utc(d.vouched), RootExpires: root.Expires.UTC(), RootExpired: root.Expired(now)}
	if root.Quorum == 0 && d.vouched.IsZero() {
		return a
	}
	switch old := now.Sub(d.vouched); {
	case old > staleAfter:
		a.State = Stale
	case old > freshFor:
		a.State = Ageing
	default:
		a.State = Fresh
	}
	return a
}

// vouchedFor is when the witnesses saw what is pinned. Its time was judged when it came.
func vouchedFor(reg *trust.Register, pinned trust.Pinned) time.Time {
	at, _ := reg.CosignedAt(pinned, time.Time{})
	return at
}

// current refuses with ErrStale or ErrOutlived where nothing may be sealed by the register.
func (n *Node) current() error {
	switch a := n.directory().age(n.now()); {
	case a.State == Stale && a.Vouched.IsZero():
		return fmt.Errorf("%w (its witnesses never vouched for it here)", ErrStale)
	case a.State == Stale:
		return fmt.Errorf("%w (its witnesses saw it last on %s)", ErrStale, a.Vouched.Format(time.RFC3339))
	case a.RootExpired:
		return fmt.Errorf("%w (on %s)", ErrOutlived, a.RootExpires.Format(time.DateOnly))
	}
	return nil
}

// Override is a named person's word that an acute message must go though the register is
// too old, and whom that person called as well. Where the register is current it does
// nothing.
type Override struct {
	Called string `json:"called"` // telephone number
}

var telephone = regexp.MustCompile(`^\+[0-9]{6,15}$`)

// despite is the mark of a message that goes by an old register; nil where none is needed.
// A confirmation is never stopped: it says that a person has what the other end sent, and
// without it they go on paging somebody who is on the case already.
func (n *Node) despite(d Draft) (*message.Stale, error) {
	stopped := n.current()
	switch {
	case stopped == nil || d.Class == protocol.ClassAcknowledgement:
		return nil, nil
	case d.Override == nil:
		return nil, stopped
	case d.Urgency != message.Acute || d.Person == "" || !telephone.MatchString(d.Override.Called):
		return nil, fmt.Errorf("%w: %w", ErrOverride, stopped)
	}
	mark := &message.Stale{Called: d.Override.Called}
	if at := n.directory().vouched; !at.IsZero() {
		mark.Since = unix(at)
	}
	return mark, nil
}

// mayGo reports whether a delivery may be sealed now. Statements and tests of the connection
// go on: they hold no word about a person. What waits is looked at again by itself.
func (n *Node) mayGo(kind delivery.Kind, m message.Message) bool {
	if kind == delivery.KindStatement || n.current() == nil {
		return true
	}
	return kind == delivery.KindMessage && (m.Heading.Stale != nil || m.Heading.Class == protocol.ClassAcknowledgement)
}

// ruleStale is what the warning about a message names: client rule 4 of the register.
const ruleStale = "register"

// staleFlags warn whoever reads a message that its sender sent by an old register.
func staleFlags(m message.Message) []protocol.Flag {
	mark := m.Heading.Stale
	if mark == nil {
		return nil
	}
	since, sinds := "never", "nooit"
	if mark.Since > 0 {
		since = time.Unix(int64(mark.Since), 0).UTC().Format(time.RFC3339)
		sinds = since
	}
	return []protocol.Flag{{Rule: ruleStale, Certainty: protocol.Unproved,
		Reason: protocol.Text{
			NL: "Acuut verstuurd door een persoon, terwijl het register van de afzender te oud was (laatst bevestigd: " + sinds + ")",
			EN: "sent as acute by a person while the sender's register was too old (last vouched for: " + since + ")"},
		Remedy: protocol.Text{
			NL: "De afzender belde " + mark.Called + ". Bel de afzender terug op een nummer dat u al had. Iemand van wie de sleutel is ingetrokken kan meelezen.",
			EN: "the sender called " + mark.Called + "; telephone the sender back on a number that you already had: somebody whose key was revoked may read along"},
	}}
}

// Subjects of the alarms about the register's age, which is one for each thing to do.
const (
	ageingRegister = "ageing"
	staleRegister  = "stale"
	expiringRoot   = "expiring"
	expiredRoot    = "expired"
	clockBehind    = "achter" // of an AlarmClock
)

// watchRegister raises and ends what people must know of the register's age (attacks C05
// and C12).
func (in *intake) watchRegister() error {
	dir := in.n.directory()
	a := in.n.registerAge()
	expiring := dir.Authority().Expiring(in.now) && !a.RootExpired
	for _, w := range []struct {
		holds   bool
		kind    AlarmKind
		subject string
		code    string
	}{
		{a.State == Ageing, AlarmFreshness, ageingRegister, a.Vouched.Format(time.RFC3339)},
		{a.State == Stale, AlarmFreshness, staleRegister, a.Vouched.Format(time.RFC3339)},
		{in.n.floor.behind() > clockSlack, AlarmClock, clockBehind, clockBehind},
		{expiring, AlarmRoot, expiringRoot, a.RootExpires.Format(time.DateOnly)},
		{a.RootExpired, AlarmRoot, expiredRoot, a.RootExpires.Format(time.DateOnly)},
	} {
		err := error(nil)
		if w.holds {
			err = in.raise(w.kind, w.subject, w.code)
		} else {
			err = in.clear(w.kind, w.subject)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// watchWitnesses raises what is wrong with the quorum, and ends it once a connection shows
// that it is right again.
func (in *intake) watchWitnesses() error {
	if !in.n.isConnected() {
		return nil
	}
	fault := in.n.registerAge().Witnesses
	for _, f := range []WitnessFault{WitnessesLate, WitnessesMissing} {
		err := error(nil)
		if f == fault {
			err = in.raise(AlarmWitnesses, string(f), string(f))
		} else {
			err = in.clear(AlarmWitnesses, string(f))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) isConnected() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.conn.up
}

// explainWitnesses says what it means that the quorum is late or missing, and whom to call.
func explainWitnesses(subject string) (text, remedy string) {
	const call = "Bel de houders van het register: zij weten wie de getuigen zijn. Bel ook de beheerder van de relay. Blijft dit drie dagen zo, dan stopt het versturen."
	if subject == string(WitnessesLate) {
		return "De getuigen van het register tekenen al meer dan twee uur niet meer. Een intrekking kan ons ontgaan.", call
	}
	return "Het nieuwste deel van het register heeft de handtekeningen van zijn getuigen niet. Wij gaan door met wat wij kennen.", call
}

// explainAge says what an old register or root means, and what to do.
func explainAge(subject, code string) (text, remedy string) {
	switch subject {
	case string(WitnessesLate), string(WitnessesMissing):
		return explainWitnesses(subject)
	case ageingRegister:
		return "Het register is meer dan een dag oud. Nieuwe intrekkingen kunnen ontbreken.",
			"Controleer de verbinding met de relay. Blijft dit zo: bel de houders van het register. Na drie dagen stopt het versturen."
	case staleRegister:
		return "Het register is meer dan drie dagen oud. Wij versturen niets meer.",
			"Bel. Controleer de verbinding met de relay, en bel de houders van het register. Iets acuuts kan iemand op eigen naam versturen: `schakel send --called`."
	case expiringRoot:
		return "De wortel van het register verloopt op " + code + ".", "Bel de houders van het register: zij moeten hem vernieuwen. Daarna stopt het versturen."
	}
	return "De wortel van het register is verlopen op " + code + ". Wij versturen niets meer.",
		"Bel. De houders van het register moeten hem vernieuwen. Iets acuuts kan iemand op eigen naam versturen: `schakel send --called`."
}
