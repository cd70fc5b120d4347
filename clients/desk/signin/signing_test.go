package signin_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"schakel/clients/desk"
	"schakel/clients/desk/signin"
	"schakel/clients/desk/signin/passkeytest"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/clients/store"
)

// holding is a user with a passkey that signs.
type holding struct {
	*house
	user desk.User
	key  *passkeytest.Authenticator
}

func newHolding(t *testing.T) *holding {
	t.Helper()
	h := &holding{house: newHouse(t), key: passkeytest.New(t, base)}
	var err error
	if h.user, err = h.who(h.in(desk.LinkRequest{})); err != nil {
		t.Fatal(err)
	}
	h.add(h.user, h.key)
	if err := h.LetSign(t.Context(), h.user, schakeltest.PIN, h.key.Show(h.asked(h.user))); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *holding) add(u desk.User, key *passkeytest.Authenticator) {
	h.t.Helper()
	options, err := h.BeginPasskey(h.t.Context(), u)
	if err == nil {
		err = h.AddPasskey(h.t.Context(), u, key.Create(options))
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *holding) asked(u desk.User) []byte {
	h.t.Helper()
	options, err := h.BeginSigning(h.t.Context(), u)
	if err != nil {
		h.t.Fatal(err)
	}
	return options
}

// confirms tries to sign with an answer, and reports whether the node takes it.
func (h *holding) confirms(u desk.User, answer []byte) error {
	h.t.Helper()
	pin, end, err := h.Confirm(h.t.Context(), u, answer)
	if err != nil {
		return err
	}
	defer end()
	return h.signs(pin)
}

// signs has the node open the person's key with something in place of the PIN.
func (h *holding) signs(pin string) error {
	_, err := h.member.Node.AddNote(h.t.Context(), "", "gebeld", schakel.By{Person: h.person.ID.String(), PIN: pin})
	if errors.Is(err, schakel.ErrPIN) {
		return err
	}
	return nil // past the PIN: that there is no such case is another matter
}

func TestPasskeyInPlaceOfThePIN(t *testing.T) {
	h := newHolding(t)
	if !h.CanSign(t.Context(), h.user) {
		t.Error("the passkey cannot sign")
	}
	if err := h.confirms(h.user, h.key.Show(h.asked(h.user))); err != nil {
		t.Errorf("signing: %v", err)
	}
	pin, end, err := h.Confirm(t.Context(), h.user, h.key.Show(h.asked(h.user)))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.signs(pin); err != nil {
		t.Errorf("meanwhile: %v", err)
	}
	end()
	if err := h.signs(pin); !errors.Is(err, schakel.ErrPIN) {
		t.Errorf("after its form: %v", err)
	}
	if err := h.signs(schakeltest.PIN); err != nil {
		t.Errorf("the PIN beside it: %v", err)
	}
}

// TestPasskeysThatMayNotSign: each is one thing otherwise than one that may.
func TestPasskeysThatMayNotSign(t *testing.T) {
	h := newHolding(t)
	keeper, err := h.who(h.in(desk.LinkRequest{Name: "Beheer", Roles: []desk.Role{desk.RoleKeeper}}))
	if err != nil {
		t.Fatal(err)
	}
	theirs, plain := passkeytest.New(t, base), passkeytest.New(t, base)
	h.add(keeper, theirs)
	h.add(h.user, plain)
	used := h.key.Show(h.asked(h.user))
	if err := h.confirms(h.user, used); err != nil {
		t.Fatal(err)
	}
	entering, err := h.BeginPasskeySignIn()
	if err != nil {
		t.Fatal(err)
	}
	other := *h.key
	other.Secret = []byte("another secret")
	late := h.asked(h.user)
	for name, c := range map[string]struct {
		user   desk.User
		answer func() []byte
		want   error
	}{
		"used before":                      {h.user, func() []byte { return used }, signin.ErrPasskey},
		"to come in, and not to sign":      {h.user, func() []byte { return h.key.Show(entering) }, signin.ErrPasskey},
		"the secret of another":            {h.user, func() []byte { return other.Show(h.asked(h.user)) }, signin.ErrPasskey},
		"no secret, as with no extension":  {h.user, func() []byte { n := *h.key; n.Secret = nil; return n.Show(h.asked(h.user)) }, signin.ErrNoSecret},
		"a passkey that the PIN never let": {h.user, func() []byte { return plain.Show(h.asked(h.user)) }, signin.ErrPasskey},
		"of another user":                  {h.user, func() []byte { return theirs.Show(h.asked(h.user)) }, signin.ErrPasskey},
		"asked for another user":           {h.user, func() []byte { return h.key.Show(h.asked(keeper)) }, signin.ErrPasskey},
		"another user asks":                {keeper, func() []byte { return h.key.Show(h.asked(h.user)) }, signin.ErrPasskey},
		"a changed byte": {h.user, func() []byte {
			return bytes.Replace(h.key.Show(h.asked(h.user)), []byte(`"signature":"M`), []byte(`"signature":"N`), 1)
		}, signin.ErrPasskey},
		"nothing": {h.user, func() []byte { return nil }, signin.ErrPasskey},
	} {
		if err := h.confirms(c.user, c.answer()); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.chain.Pass(6 * time.Minute)
	if err := h.confirms(h.user, h.key.Show(late)); !errors.Is(err, signin.ErrPasskey) {
		t.Errorf("after six minutes: %v", err)
	}
	if err := h.confirms(h.user, h.key.Show(h.asked(h.user))); err != nil {
		t.Errorf("control: %v", err)
	}
}

// TestCopyOfAPasskey: of two that count, the one whose number is not above the last is
// refused, to sign and to come in, also by a daemon that started again meanwhile.
func TestCopyOfAPasskey(t *testing.T) {
	h := newHolding(t)
	then, enters := *h.key.Count, func(key *passkeytest.Authenticator) error {
		t.Helper()
		options, err := h.BeginPasskeySignIn()
		if err != nil {
			t.Fatal(err)
		}
		_, err = h.PasskeySignIn(t.Context(), key.Show(options))
		return err
	}
	for range 3 {
		if err := errors.Join(h.confirms(h.user, h.key.Show(h.asked(h.user))), enters(h.key)); err != nil {
			t.Fatalf("control: %v", err)
		}
	}
	h.Door = h.door()
	twin := *h.key
	twin.Count = &then
	if err := h.confirms(h.user, twin.Show(h.asked(h.user))); !errors.Is(err, signin.ErrPasskey) {
		t.Errorf("a copy signs: %v", err)
	}
	if err := enters(&twin); !errors.Is(err, signin.ErrPasskey) {
		t.Errorf("a copy comes in: %v", err)
	}
	if err := errors.Join(h.confirms(h.user, h.key.Show(h.asked(h.user))), enters(h.key)); err != nil {
		t.Errorf("the passkey itself: %v", err)
	}
	cloud := passkeytest.New(t, base)
	cloud.Still = true
	h.add(h.user, cloud)
	for range 2 {
		if err := enters(cloud); err != nil {
			t.Errorf("one that counts nothing: %v", err)
		}
	}
}

// TestStrangersAskOften: whoever asks again and again to come in with a passkey takes no
// question away from who is in, and who asked last still comes in.
func TestStrangersAskOften(t *testing.T) {
	h := newHolding(t)
	mine := h.asked(h.user)
	var last []byte
	for range 500 {
		var err error
		if last, err = h.BeginPasskeySignIn(); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.confirms(h.user, h.key.Show(mine)); err != nil {
		t.Errorf("who is in cannot sign: %v", err)
	}
	if _, err := h.PasskeySignIn(t.Context(), h.key.Show(last)); err != nil {
		t.Errorf("who asked last: %v", err)
	}
}

// TestOnlyThePINLetsAPasskeySign: who sits at an open screen with a passkey of his own and
// no PIN gets none.
func TestOnlyThePINLetsAPasskeySign(t *testing.T) {
	h := newHolding(t)
	own := passkeytest.New(t, base)
	h.add(h.user, own)
	for _, pin := range []string{"", "000000", "passkey-x"} {
		if err := h.LetSign(t.Context(), h.user, pin, own.Show(h.asked(h.user))); !errors.Is(err, signin.ErrPIN) {
			t.Errorf("%q: %v", pin, err)
		}
	}
	if err := h.confirms(h.user, own.Show(h.asked(h.user))); !errors.Is(err, signin.ErrPasskey) {
		t.Errorf("it signs: %v", err)
	}
}

// TestNothingIsLeftOfAForgottenPasskey: no lock under it stays in the store, also when its
// user goes.
func TestNothingIsLeftOfAForgottenPasskey(t *testing.T) {
	h := newHolding(t)
	locks := func() (n int) {
		t.Helper()
		if err := h.member.Store().View(t.Context(), func(tx *store.Tx) error {
			users, err := tx.Users()
			for _, u := range users {
				for _, k := range u.Passkeys {
					n += bytes.Count(k, []byte(`"signs"`))
				}
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if locks() != 1 {
		t.Fatalf("control: %d locks", locks())
	}
	answer := h.key.Show(h.asked(h.user))
	if err := h.DropPasskeys(t.Context(), h.user); err != nil {
		t.Fatal(err)
	}
	if err := h.confirms(h.user, answer); !errors.Is(err, signin.ErrPasskey) || locks() != 0 || h.CanSign(t.Context(), h.user) {
		t.Errorf("forgotten: %v, %d locks", err, locks())
	}
	again := passkeytest.New(t, base)
	h.add(h.user, again)
	if err := h.LetSign(t.Context(), h.user, schakeltest.PIN, again.Show(h.asked(h.user))); err != nil || locks() != 1 {
		t.Fatalf("%v, %d locks", err, locks())
	}
	answer = again.Show(h.asked(h.user))
	if err := h.RemoveUser(t.Context(), "P. Iket"); err != nil {
		t.Fatal(err)
	}
	if err := h.confirms(h.user, answer); !errors.Is(err, signin.ErrPasskey) || locks() != 0 {
		t.Errorf("who left: %v, %d locks", err, locks())
	}
}
