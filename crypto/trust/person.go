package trust

import (
	"fmt"
	"time"

	"schakel/crypto/identity"
)

// Person is a human at a desk, by an opaque id: the name is only ever inside
// messages. The desk never changes; key and validity may, by a further entry.
type Person struct {
	ID          identity.PersonID
	Desk        identity.DeskID
	Key         identity.Key
	From, Until time.Time // whole seconds; valid at From, no longer at Until
}

// Kind is KindPerson.
func (Person) Kind() Kind { return KindPerson }

// Subject is "person/" and the id.
func (b Person) Subject() Subject { return Subject("person/" + b.ID.String()) }

func (Person) signers() []string { return []string{asOrg, asPerson} }

// Sign makes the entry. The organisation vouches; the person's key proves that it
// is its own.
func (b Person) Sign(at Place, org, person Signer) ([]byte, error) {
	b.From, b.Until = seconds(b.From), seconds(b.Until)
	return signEntry(b, at, ByOrg(org), By{asPerson, person})
}

// ValidAt reports whether t is in the person's validity.
func (b Person) ValidAt(t time.Time) bool { return within(t, b.From, b.Until) }

func (b Person) write(w *writer) {
	w.text("desk", string(b.Desk))
	w.text("key", b.Key.String())
	w.time("from", b.From)
	w.time("until", b.Until)
}

func readPerson(s Subject, r *reader) Person {
	return Person{
		ID:    subjectID(r, s, KindPerson, identity.ParsePersonID),
		Desk:  take(r, "desk", maxName, identity.ParseDeskID),
		Key:   r.key("key"),
		From:  r.time("from"),
		Until: r.time("until"),
	}
}

func (b Person) check() error {
	if _, err := identity.ParseDeskID(string(b.Desk)); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if b.ID.IsZero() {
		return fmt.Errorf("%w: person id of zeros", ErrFormat)
	}
	if !b.From.Before(b.Until) {
		return fmt.Errorf("%w: person valid until before from", ErrFormat)
	}
	return distinct(b.Key)
}
