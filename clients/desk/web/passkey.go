package web

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"schakel/clients/desk"
	"schakel/clients/desk/signin"
)

func passkeyRoutes() []Route {
	return []Route{
		{Method: "GET", Path: "/passkeys", Who: Users, serve: (*Site).passkeys},
		{Method: "POST", Path: "/passkeys/begin", Who: Users, serve: (*Site).beginPasskey},
		{Method: "POST", Path: "/passkeys", Who: Users, serve: (*Site).addPasskey},
		{Method: "POST", Path: "/passkeys/signing/begin", Who: Users, serve: (*Site).beginSigning},
		{Method: "POST", Path: "/passkeys/signing", Who: Users, serve: (*Site).letSign},
		{Method: "POST", Path: "/passkeys/removal", Who: Users, serve: (*Site).dropPasskeys},
		{Method: "POST", Path: "/sign-in/passkey/begin", Who: Anybody, serve: (*Site).beginPasskeySignIn},
		{Method: "POST", Path: "/sign-in/passkey", Who: Anybody, serve: (*Site).passkeySignIn},
	}
}

const maxPasskeyAnswer = 64 << 10

// passkeyList is what the page of passkeys shows. Trouble is what went wrong.
type passkeyList struct {
	Count   int
	Signs   bool // one of them signs
	MaySign bool // there is a person that one could sign as
	Trouble string
}

func (s *Site) passkeys(v *visit) (answer, error) {
	n, err := s.Door.Passkeys(v.Context(), v.user)
	return answer{page: "passkeys", title: "title.passkeys",
		shows: passkeyList{Count: n, Signs: s.Door.CanSign(v.Context(), v.user), MaySign: n > 0 && v.user.Person != ""}}, err
}

func (s *Site) beginSigning(v *visit) (answer, error) {
	return v.json(s.Door.BeginSigning(v.Context(), v.user))
}

// letSign lets a passkey sign as the user's person, who proves with the PIN to be that.
func (s *Site) letSign(v *visit) (answer, error) {
	err := s.Door.LetSign(v.Context(), v.user, v.PostFormValue("pin"), []byte(v.PostFormValue("passkey")))
	v.met(err)
	trouble := ""
	switch {
	case err == nil:
		return answer{goTo: "/passkeys"}, nil
	case errors.Is(err, signin.ErrPIN):
		trouble = v.lang.word("form.wrong-pin")
	case errors.Is(err, signin.ErrNoSecret):
		trouble = v.lang.word("passkeys.no-secret")
	case errors.Is(err, signin.ErrPasskey):
		trouble = v.lang.word("passkeys.failed")
	default:
		return answer{}, err
	}
	a, err := s.passkeys(v)
	if list, ok := a.shows.(passkeyList); ok {
		list.Trouble = trouble
		a.shows, a.status = list, http.StatusForbidden
	}
	return a, err
}

// noPIN is a PIN that is nobody's: what takes the place of one that a passkey should have
// given and did not.
const noPIN = "\x00passkey"

// confirmed puts what a passkey gave in the place of the PIN, for whatever form this is,
// and returns what ends that. A passkey that may not sign becomes a wrong PIN: the page
// then shows its form again, with what was typed.
func (s *Site) confirmed(v *visit, route Route) (end func()) {
	end = func() {}
	plain := strings.HasPrefix(v.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
	if v.Method != http.MethodPost || route.Who != Users || !plain || v.URL.Path == "/passkeys/signing" || v.PostFormValue("passkey") == "" {
		return end
	}
	pin, stop, err := s.Door.Confirm(v.Context(), v.user, []byte(v.PostFormValue("passkey")))
	if stop != nil {
		end = stop
	}
	if v.shown = err == nil; err != nil {
		pin = noPIN
	}
	v.PostForm.Set("pin", pin)
	v.Form.Set("pin", pin)
	return end
}

// json answers the script that makes and shows passkeys.
func (v *visit) json(b []byte, err error) (answer, error) {
	if err != nil {
		return answer{}, err
	}
	v.w.Header().Set("Content-Type", "application/json")
	_, _ = v.w.Write(b)
	return answer{sent: true}, nil
}

// passkeyAnswer is what the browser's authenticator said. A plain form of another page
// cannot send JSON.
func (v *visit) passkeyAnswer() ([]byte, error) {
	if v.Header.Get("Content-Type") != "application/json" {
		return nil, fmt.Errorf("%w: not JSON", desk.ErrRequest)
	}
	return io.ReadAll(http.MaxBytesReader(v.w, v.Body, maxPasskeyAnswer))
}

func (s *Site) beginPasskey(v *visit) (answer, error) {
	return v.json(s.Door.BeginPasskey(v.Context(), v.user))
}

func (s *Site) addPasskey(v *visit) (answer, error) {
	said, err := v.passkeyAnswer()
	if err == nil {
		err = s.Door.AddPasskey(v.Context(), v.user, said)
	}
	return v.json([]byte("{}"), err)
}

func (s *Site) dropPasskeys(v *visit) (answer, error) {
	return answer{goTo: "/passkeys"}, s.Door.DropPasskeys(v.Context(), v.user)
}

func (s *Site) beginPasskeySignIn(v *visit) (answer, error) {
	return v.json(s.Door.BeginPasskeySignIn())
}

func (s *Site) passkeySignIn(v *visit) (answer, error) {
	said, err := v.passkeyAnswer()
	if err != nil {
		return answer{}, err
	}
	token, err := s.Door.PasskeySignIn(v.Context(), said)
	if err != nil {
		return answer{}, err
	}
	s.Door.End(v.Context(), v.token)
	s.setToken(v, token)
	return v.json([]byte("{}"), nil)
}
