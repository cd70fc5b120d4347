package browser_test

import (
	"bytes"
	"testing"
	"time"

	"schakel/clients/desk"
	"schakel/clients/desk/web/webtest"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// TestFilesMove: a page that is open shows how far the file of its message is, while the
// relay is killed and comes back, somebody pauses the file and has it go on: at the desk that
// fetches it, and at the one that sends it. It is never asked for again, and the focus stays.
func TestFilesMove(t *testing.T) {
	chromium(t)
	o := webtest.Open(t, webtest.Options{Idle: 8 * time.Hour})
	ferry := o.Chain.Ferry(1)
	b := o.User("P. Iket", desk.RoleCaseWorker)
	f, err := o.Doctor.Node.Attach(t.Context(), "verklaring.pdf", "", bytes.NewReader(aFile(9<<20)))
	ok(t, err)
	hash := o.Report(func(d *schakel.Draft) {
		d.Class, d.Attachments, d.Body = "melding", []string{f.ID}, withoutFiles(t, "melding")
	})
	move := func(act schakel.MoveAct) { ok(t, o.Member.Node.MoveAttachment(t.Context(), hash, 1, act)) }
	const bar, pause, resume, save = `[data-place="1"] progress`, `button[value="pause"]`, `button[value="resume"]`, `main form[action$="/attachments/1"] button`
	report(t, run(t, job{Name: "files that come", Base: o.Base, Cookies: cookies(t, b, o.Base), Steps: []step{
		{Go: "/messages/" + hash, Shows: "Wacht tot het komt"}, {Focus: pause}, {Say: "waiting"},
		{Visible: bar, Shows: "van 9,7 MB", Hides: "Gepauzeerd"}, {Say: "coming"},
		{Shows: "geen verbinding", Visible: bar}, {Say: "cut"},
		{Shows: "Gepauzeerd", Visible: resume, Focused: pause}, {Say: "paused"},
		{Visible: `[data-state]:text-is("Hier")`}, {Visible: save, Focused: pause, Hides: "Komt binnen"},
		{Press: "Shift+Tab", Focused: save},
	}}, func(said string) {
		switch said {
		case "waiting":
			ferry.Let(2 + 3 + 1) // the rest of three parts to the relay, which reads them back, and one of them here
		case "coming":
			o.Chain.StopRelay()
		case "cut":
			move(schakel.MovePause)
		case "paused":
			o.Chain.StartRelay()
			ferry.Open()
			move(schakel.MoveResume)
		}
	}))
	sent := sendsFile(t, o)
	ferry = o.Chain.Ferry(1)
	move = func(act schakel.MoveAct) { ok(t, o.Member.Node.MoveAttachment(t.Context(), sent, 1, act)) }
	move(schakel.MoveResume)
	report(t, run(t, job{Name: "files that go", Base: o.Base, Cookies: cookies(t, b, o.Base), Steps: []step{
		{Go: "/messages/" + sent, Shows: "Gaat weg", Visible: bar}, {Shows: "per seconde"}, {Say: "going"},
		{Shows: "geen verbinding", Visible: bar}, {Say: "cut"},
		{Visible: `[data-state]:text-is("Bij de relay")`}, {Hides: "Gaat weg"},
	}}, func(said string) {
		if said == "going" {
			o.Chain.StopRelay()
			return
		}
		ferry.Open()
		o.Chain.StartRelay()
	}))
}

// sendsFile has the office send a file to the police, which is paused before it leaves.
func sendsFile(t *testing.T, o *webtest.Office) string {
	t.Helper()
	f, err := o.Member.Node.Attach(t.Context(), "verklaring.pdf", "", bytes.NewReader(aFile(9<<20)))
	ok(t, err)
	to := police(t, o, "politie-mn/oc").Desk
	o.Chain.StopRelay()
	sent, err := o.Member.Node.Send(t.Context(), schakel.Draft{Class: "melding", Urgency: message.Urgent, To: []identity.DeskID{to}, Attachments: []string{f.ID}, Body: withoutFiles(t, "melding")})
	ok(t, err)
	ok(t, o.Member.Node.MoveAttachment(t.Context(), sent.Hash, 1, schakel.MovePause))
	return sent.Hash
}
