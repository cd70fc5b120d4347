package signin_test

import (
	"errors"
	"testing"

	"schakel/clients/desk"
	"schakel/clients/desk/signin"
	"schakel/clients/desk/signin/passkeytest"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
)

// notes tries to sign a note of no case: past the PIN it is refused because there is none.
func (h *house) notes(person schakel.Person, pin string) error {
	h.t.Helper()
	_, err := h.member.Node.AddNote(h.t.Context(), "abcdef", "gebeld", schakel.By{Person: person.ID.String(), PIN: pin})
	return err
}

// TestRevokedInTheMiddle revokes a person elsewhere while everything is open that could sign:
// a question to a passkey, the key that a passkey opened, a locked screen and the PIN. None
// signs any more, and those of a colleague do.
func TestRevokedInTheMiddle(t *testing.T) {
	h := newHolding(t)
	colleague := h.member.AddPerson("N. Acht")
	other, err := h.who(h.in(desk.LinkRequest{Person: colleague.Name, Roles: desk.Roles()}))
	if err != nil {
		t.Fatal(err)
	}
	key := passkeytest.New(t, base)
	h.add(other, key)
	if err := h.LetSign(t.Context(), other, schakeltest.PIN, key.Show(h.asked(other))); err != nil {
		t.Fatal(err)
	}
	open := func(u desk.User, k *passkeytest.Authenticator) (pin string) {
		pin, end, err := h.Confirm(t.Context(), u, k.Show(h.asked(u)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(end)
		return pin
	}
	pins := map[schakel.Person][]string{h.person: {open(h.user, h.key), schakeltest.PIN}, colleague: {open(other, key), schakeltest.PIN}}
	signs := func(person schakel.Person, want error) {
		t.Helper()
		for i, pin := range pins[person] {
			if err := h.notes(person, pin); !errors.Is(err, want) {
				t.Errorf("%s, by %s: %v, want %v", person.Name, [...]string{"passkey", "PIN"}[i], err, want)
			}
		}
	}
	asked, asks, locked := h.asked(h.user), h.asked(other), h.in(desk.LinkRequest{Person: "P. Iket"})
	enters, err := h.BeginPasskeySignIn()
	if err != nil {
		t.Fatal(err)
	}
	h.Lock(locked)
	signs(h.person, schakel.ErrNotFound)

	h.chain.RevokePerson(h.person.ID)
	h.until("it is known here", func() bool {
		all, err := h.member.Node.Persons(t.Context())
		return err == nil && len(all) == 1
	})
	signs(h.person, schakel.ErrUnknownPerson)
	if _, _, err := h.Confirm(t.Context(), h.user, h.key.Show(asked)); !errors.Is(err, signin.ErrPasskey) {
		t.Errorf("a question from before: %v", err)
	}
	if _, err := h.BeginSigning(t.Context(), h.user); !errors.Is(err, signin.ErrPasskey) {
		t.Errorf("a question from after: %v", err)
	}
	if h.CanSign(t.Context(), h.user) {
		t.Error("the passkey says that it can sign")
	}
	if _, err := h.PasskeySignIn(t.Context(), h.key.Show(enters)); !errors.Is(err, signin.ErrNoSession) {
		t.Errorf("coming in with it: %v", err)
	}
	if _, err := h.Unlock(t.Context(), locked, schakeltest.PIN); !errors.Is(err, signin.ErrNoSession) {
		t.Errorf("unlocking: %v", err)
	}
	signs(colleague, schakel.ErrNotFound)
	if err := h.confirms(other, key.Show(asks)); err != nil {
		t.Errorf("control: the passkey of a colleague: %v", err)
	}
}
