package browser_test

import (
	"net/http"
	"testing"

	"schakel/clients/desk"
	"schakel/clients/desk/web/webtest"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
)

// TestSigningWithAPasskey: once the PIN let it, a passkey takes the place of the PIN, and
// what is signed is signed by the person; after it was forgotten only the PIN is left.
func TestSigningWithAPasskey(t *testing.T) {
	chromium(t)
	o := webtest.Open(t, webtest.Options{})
	first, second := o.Report(nil), o.Report(nil)
	b := o.User("P. Iket", desk.RoleCaseWorker)
	let, sign := "form[data-signing] button", "form #pin ~ p button"
	form := func(hash string) string { return "/messages/" + hash + "/acknowledgement" }
	report(t, run(t, job{Name: "signing", Base: o.Base, Hand: "mouse", Authenticator: true, Derives: true, Cookies: cookies(t, b, o.Base), Steps: []step{
		{Go: "/passkeys", Shows: "U heeft 0 passkeys"}, {Use: "[data-passkey=add]"}, {Shows: "U tekent nu met uw pincode"},
		{Type: []string{"#pin", "000000"}, Status: http.StatusForbidden}, {Use: let, Shows: "De pincode klopt niet"},
		{Type: []string{"#pin", schakeltest.PIN}}, {Use: let, Shows: "U kunt nu tekenen met uw passkey"},
		{Go: form(first), Visible: sign}, {Type: []string{"#first-action", "Meldkamer gebeld"}},
		{Use: sign, Path: "/messages/" + first + "/acknowledged"},
		{Go: "/passkeys"}, {Use: `form[action="/passkeys/removal"] button`, Shows: "U heeft 0 passkeys"},
		{Go: form(second), Visible: "#pin", Hides: "Of teken met uw passkey"},
		{Type: []string{"#pin", schakeltest.PIN}}, {Use: "main form button", Path: "/messages/" + second + "/acknowledged"},
	}}, nil))
	o.Until("the sender hears it", func() bool {
		s, err := o.Doctor.Node.Trace(t.Context(), first)
		return err == nil && s.Recipients[0].State == schakel.StateAcknowledged
	})
}

// TestPasskeyThatOnlyOpens: one that derives nothing is told so, and opens the desk as ever.
func TestPasskeyThatOnlyOpens(t *testing.T) {
	chromium(t)
	o := webtest.Open(t, webtest.Options{})
	b := o.User("P. Iket", desk.RoleCaseWorker)
	report(t, run(t, job{Name: "no secret", Base: o.Base, Hand: "mouse", Authenticator: true, Cookies: cookies(t, b, o.Base), Steps: []step{
		{Go: "/passkeys"}, {Use: "[data-passkey=add]", Shows: "U heeft 1 passkey"},
		{Type: []string{"#pin", schakeltest.PIN}, Status: http.StatusForbidden}, {Use: "form[data-signing] button", Shows: "Deze passkey kan niet tekenen"},
		{Use: `form[action="/sign-out"] button`, Path: "/sign-in"}, {Use: "[data-passkey=enter]", Path: "/inbox"},
	}}, nil))
}
