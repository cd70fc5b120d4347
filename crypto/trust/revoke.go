package trust

import (
	"fmt"
	"strings"
	"time"

	"schakel/crypto/identity"
)

// Reason says why something was revoked.
type Reason string

// The reasons.
const (
	ReasonCompromised Reason = "compromised" // somebody else may have the key
	ReasonLost        Reason = "lost"
	ReasonRetired     Reason = "retired" // no longer in use, nothing wrong with it
	ReasonMistake     Reason = "mistake" // should not have been registered
)

// Revoke ends a relay, an organisation, a desk, a device, a person or a release for good,
// and with it everything below. It stands in the chain of what it revokes, and
// counts from its place in the log on, whatever Effective says.
type Revoke struct {
	Of        Subject
	Reason    Reason
	Effective time.Time // since when nothing signed by it should be believed
}

// Kind is KindRevoke.
func (Revoke) Kind() Kind { return KindRevoke }

// Subject is what is revoked.
func (b Revoke) Subject() Subject { return b.Of }

func (Revoke) signers() []string { return []string{asRoot, asOrg} }

// Sign makes the entry: ByOrg for what belongs to the organisation, or k ByRoot
// for anything.
func (b Revoke) Sign(at Place, by ...By) ([]byte, error) {
	b.Effective = seconds(b.Effective)
	return signEntry(b, at, by...)
}

func (b Revoke) write(w *writer) {
	w.text("reason", string(b.Reason))
	w.time("effective", b.Effective)
}

func readRevoke(s Subject, r *reader) Revoke {
	return Revoke{Of: s, Reason: Reason(r.text("reason", 16)), Effective: r.time("effective")}
}

func (b Revoke) check() error {
	switch b.Reason {
	case ReasonCompromised, ReasonLost, ReasonRetired, ReasonMistake:
	default:
		return fmt.Errorf("%w: reason %q", ErrFormat, clip(string(b.Reason)))
	}
	kind, id, _ := strings.Cut(string(b.Of), "/")
	var err error
	switch Kind(kind) {
	case KindRelay, KindOrg:
		_, err = identity.ParseOrgID(id)
	case KindDesk:
		_, err = identity.ParseDeskID(id)
	case KindDevice:
		_, err = identity.ParseDeviceID(id)
	case KindPerson:
		_, err = identity.ParsePersonID(id)
	case KindRelease:
		err = Release{Version: id}.check()
	default:
		return fmt.Errorf("%w: %q cannot be revoked", ErrFormat, clip(string(b.Of)))
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return nil
}
