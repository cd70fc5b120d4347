package web

import (
	"fmt"
	"io"
	"net/http"

	"schakel/clients/desk"
)

func passkeyRoutes() []Route {
	return []Route{
		{Method: "GET", Path: "/passkeys", Who: Users, serve: (*Site).passkeys},
		{Method: "POST", Path: "/passkeys/begin", Who: Users, serve: (*Site).beginPasskey},
		{Method: "POST", Path: "/passkeys", Who: Users, serve: (*Site).addPasskey},
		{Method: "POST", Path: "/passkeys/removal", Who: Users, serve: (*Site).dropPasskeys},
		{Method: "POST", Path: "/sign-in/passkey/begin", Who: Anybody, serve: (*Site).beginPasskeySignIn},
		{Method: "POST", Path: "/sign-in/passkey", Who: Anybody, serve: (*Site).passkeySignIn},
	}
}

const maxPasskeyAnswer = 64 << 10

func (s *Site) passkeys(v *visit) (answer, error) {
	n, err := s.Door.Passkeys(v.Context(), v.user)
	return answer{page: "passkeys", title: "title.passkeys", shows: n}, err
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
