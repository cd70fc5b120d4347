package browser_test

import (
	"net/url"
	"strings"
	"testing"

	"schakel/clients/desk"
	"schakel/clients/desk/web/webtest"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
)

// fromLinkToAcknowledgement is what somebody does who is called at night: in by the link,
// to the message, and take it.
func fromLinkToAcknowledgement(link, hash string) []step {
	form := "/messages/" + hash + "/acknowledgement"
	return []step{
		{Go: link, Visible: "main form button"},
		{Use: "main form button", Path: "/inbox"},
		{Use: `main a[href="/messages/` + hash + `"]`, Path: "/messages/" + hash, Visible: ".safe"},
		{Use: `main a[href="` + form + `"]`, Path: form},
		{Type: []string{"#first-action", "Meldkamer gebeld"}},
		{Type: []string{"#pin", schakeltest.PIN}},
		{Use: "main form button", Path: "/messages/" + hash + "/acknowledged"},
		{Use: `main a[href="/inbox"]`, Path: "/inbox", Visible: ".empty"},
	}
}

// TestFromLinkToAcknowledgement walks by mouse, by keyboard alone, without scripts, in a
// window of 320 px, at 400 % and in English; the sender hears of each.
func TestFromLinkToAcknowledgement(t *testing.T) {
	chromium(t)
	o := webtest.Open(t, webtest.Options{})
	for name, j := range map[string]job{
		"mouse":           {Hand: "mouse"},
		"keyboard":        {Hand: "keyboard"},
		"without scripts": {Hand: "mouse", Options: map[string]any{"javaScriptEnabled": false}},
		"narrow":          {Hand: "mouse", Options: map[string]any{"viewport": map[string]int{"width": 320, "height": 640}, "locale": "en-GB"}},
		"zoomed":          {Hand: "keyboard", Options: map[string]any{"viewport": map[string]int{"width": 320, "height": 256}}},
	} {
		hash := o.Report(nil)
		l, err := o.Door.Link(t.Context(), desk.LinkRequest{Person: "P. Iket"})
		ok(t, err)
		j.Name, j.Base, j.Steps = name, o.Base, fromLinkToAcknowledgement(strings.TrimPrefix(l.URL, o.Base), hash)
		t.Run(name, func(t *testing.T) {
			report(t, run(t, j, nil))
			o.Until("the sender hears it", func() bool {
				s, err := o.Doctor.Node.Trace(t.Context(), hash)
				return err == nil && s.Recipients[0].State == schakel.StateAcknowledged
			})
		})
	}
}

// TestHiding: one key, and neither the page nor the back button shows anything; the PIN
// leads back.
func TestHiding(t *testing.T) {
	chromium(t)
	o := webtest.Open(t, webtest.Options{})
	hash := o.Report(nil)
	report(t, run(t, job{Name: "hiding", Base: o.Base, Hand: "keyboard", Cookies: cookies(t, o.User("P. Iket", desk.RoleCaseWorker), o.Base), Steps: []step{
		{Go: "/inbox"}, {Use: `main a[href="/messages/` + hash + `"]`, Path: "/messages/" + hash},
		{Press: "Escape", Path: "/notes", Hides: "Schakel"},
		{Back: true, Hides: "fietslampje"},
		{Go: "/messages/" + hash, Path: "/locked", Hides: "fietslampje"},
		{Type: []string{"#pin", schakeltest.PIN}}, {Use: "main form button", Path: "/inbox"},
	}}, nil))
}

// TestNewsLeavesTheFocus: a message that comes in while somebody is at a link is said, and
// neither the focus nor the page moves; locking elsewhere takes the page away.
func TestNewsLeavesTheFocus(t *testing.T) {
	chromium(t)
	o := webtest.Open(t, webtest.Options{})
	hash := o.Report(nil)
	b := o.User("P. Iket", desk.RoleCaseWorker)
	link := `main a[href="/messages/` + hash + `"]`
	report(t, run(t, job{Name: "news", Base: o.Base, Hand: "mouse", Cookies: cookies(t, b, o.Base), Steps: []step{
		{Go: "/inbox"}, {Focus: link, Still: link}, {Say: "here"}, {Visible: "#news"}, {Focused: link, Still: link}, {Say: "seen"}, {Path: "/locked"},
	}}, func(what string) {
		if what == "here" {
			o.Report(nil)
		} else {
			b.Post("/lock", url.Values{})
		}
	}))
}

// TestPasskey: made while signed in, it opens the desk again after signing out, and not
// after it was forgotten.
func TestPasskey(t *testing.T) {
	chromium(t)
	o := webtest.Open(t, webtest.Options{})
	b := o.User("P. Iket", desk.RoleCaseWorker)
	add, enter := "[data-passkey=add]", "[data-passkey=enter]"
	report(t, run(t, job{Name: "passkey", Base: o.Base, Hand: "mouse", Authenticator: true, Cookies: cookies(t, b, o.Base), Steps: []step{
		{Go: "/passkeys", Shows: "U heeft 0 passkeys"}, {Use: add}, {Shows: "U heeft 1 passkey"},
		{Use: `form[action="/sign-out"] button`, Path: "/sign-in"},
		{Use: enter, Path: "/inbox"},
		{Use: `form[action="/lock"] button`, Path: "/locked"},
		{Use: enter, Path: "/inbox"},
		{Go: "/passkeys"}, {Use: `form[action="/passkeys/removal"] button`}, {Shows: "U heeft 0 passkeys"},
		{Use: `form[action="/sign-out"] button`, Path: "/sign-in", Status: 403},
		{Click: enter}, {Shows: "Dat lukte niet"},
	}}, nil))
}

// TestWalkingFindsWhatIsWrong is the control: steps that cannot be done are found.
func TestWalkingFindsWhatIsWrong(t *testing.T) {
	chromium(t)
	base := crookedSite(t)
	for name, s := range map[string]step{
		"a link without focus": {Use: `a[tabindex="-1"]`},
		"the focus elsewhere":  {Focused: "a"},
		"what must not show":   {Hides: "pale"},
	} {
		found := run(t, job{Name: name, Base: base, Hand: "keyboard", Steps: []step{{Go: "/"}, s}}, nil)
		wrong := false
		for _, f := range found {
			wrong = wrong || f.What == "step 2"
		}
		if !wrong {
			t.Errorf("%s: walking does not find it: %v", name, found)
		}
	}
}
