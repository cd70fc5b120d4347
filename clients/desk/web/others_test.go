package web_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"schakel/clients/desk"
	"schakel/clients/desk/web"
	"schakel/clients/desk/web/webtest"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// object is what a page is about, and so what somebody could name that is not his.
type object int

const (
	nothing object = iota // no object, or one of the whole desk that the right alone decides on
	secret                // a word that nobody can guess
	self                  // whoever is signed in, whatever the form says
	inCase                // a message or a case: perhaps restricted, perhaps of other desks
)

// objects says it of every page, by how its path begins; the longest fits. A page that
// nobody thought about fails TestObjectsOfOthers.
func objects() map[string]object {
	return map[string]object{
		"/{$}": self, "/sign-in": nothing, "/sign-out": self, "/language": nothing, "/welcome": nothing, "/enter/{link}": secret,
		"/lock": self, "/locked": self, "/unlock": self, "/hide": self, "/notes": nothing, "/alive": self, "/live": self, "/passkeys": self,
		"/inbox": inCase, "/search": inCase, "/messages/{ref}": inCase, "/messages/{ref}/attachments/{place}": inCase, "/cases": inCase, "/cases/{ref}": inCase, "/log": inCase, "/deletions": inCase,
		"/compose": nothing, "/compose/{class}": inCase, "/drafts": inCase, "/drafts/{id}": inCase, "/sheets/{id}": self,
		"/card": nothing, "/on-call": nothing, "/alarms": nothing, "/devices": nothing, "/devices/{device}": nothing, "/directory": nothing,
		"/directory/{org}/{desk}": nothing, "/history": nothing, "/people": nothing, "/settings": nothing,
	}
}

func objectOf(path string) (o object, known bool) {
	longest := ""
	for begin, of := range objects() {
		if (path == begin || strings.HasPrefix(path, begin+"/")) && len(begin) > len(longest) {
			longest, o = begin, of
		}
	}
	// A path that goes on with a name of its own has an object of its own.
	return o, longest != "" && !strings.Contains(strings.TrimPrefix(path, longest), "{")
}

// words of a case that nobody may see who is not named for it.
const closedWord = "ZEEHONDJE-7"

// strangers is an office with a restricted case, a message of other desks, and users who
// are named for neither.
type strangers struct {
	*webtest.Office
	closed, kase, foreign string
	outsiders             map[desk.Role]*webtest.Browser
}

func newStrangers(t *testing.T) *strangers {
	t.Helper()
	o := webtest.Open(t, webtest.Options{})
	ann, bob := o.Member.AddPerson("A. Nnie"), o.Member.AddPerson("B. Ob")
	s := &strangers{Office: o, outsiders: map[desk.Role]*webtest.Browser{}}
	e, err := protocol.V1().Example("signaal")
	must(t, err)
	var body map[string]any
	must(t, json.Unmarshal(e.Body, &body))
	body["beschrijving"] = "Alleen voor wie genoemd is: " + closedWord
	raw, err := json.Marshal(body)
	must(t, err)
	s.closed = o.Report(func(d *schakel.Draft) { d.Body = raw })
	reader := o.User("P. Iket", desk.RoleCaseWorker)
	contains(t, reader.Get("/messages/"+s.closed), closedWord) // control: it was open
	o.Until("the case can be restricted", func() bool {
		_, err := o.Member.Node.Restrict(t.Context(), s.closed, []string{ann.Name, bob.Name},
			schakel.By{Person: ann.Name, PIN: schakeltest.PIN, Glass: "zes woorden in de kluis van het bureau"})
		return err == nil
	})
	r, err := o.Member.Node.Restriction(t.Context(), s.closed)
	must(t, err)
	s.kase = r.Case
	other := o.Chain.Join("vt21/crisis", identity.RoleVeiligThuis)
	other.Start()
	o.Until("the other desk has keys", func() bool {
		sent, err := o.Doctor.Node.Send(t.Context(), schakel.Draft{Class: "signaal", Urgency: message.Urgent, To: []identity.DeskID{other.Desk}, Body: raw})
		s.foreign = sent.Hash
		return err == nil
	})
	s.outsiders[desk.RoleCaseWorker] = reader
	for _, role := range desk.Roles()[1:] {
		s.outsiders[role] = o.User("N. "+string(role), role)
	}
	s.outsiders[""] = webtest.NewBrowser(t, o.Base)
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestObjectsOfOthers names, on every page, as every role, what is not the user's: a case
// that is closed to him, a message that other desks sent each other, and identifiers that
// are none. The table of pages makes the test.
func TestObjectsOfOthers(t *testing.T) {
	s := newStrangers(t)
	for _, r := range web.Routes() {
		of, known := objectOf(r.Path)
		if !known {
			t.Errorf("%s %s: nobody said what it is about: see objects", r.Method, r.Path)
		}
		if of != inCase {
			continue
		}
		for role, b := range s.outsiders {
			for what, ref := range map[string]string{"a closed message": s.closed, "a closed case": s.kase, "of other desks": s.foreign, "the begin of one": s.foreign[:4],
				"none": strings.Repeat("0", 64), "a way out": "..%2f..%2finbox", "a pattern": "%25", "long": strings.Repeat("a", 3000)} {
				if strings.Contains(r.Path, "{id}") && what == "a closed case" {
					continue
				}
				path := strings.NewReplacer("{ref}", ref, "{id}", ref, "{place}", "1", "{class}", "signaal").Replace(r.Path)
				a := s.ask(b, r.Method, path, ref)
				if strings.Contains(a.Body, closedWord) {
					t.Errorf("%s %s with %s as %q shows it: %d", r.Method, r.Path, what, role, a.Status)
				}
				foreign := what != "a closed message" && what != "a closed case"
				if foreign && strings.Contains(r.Path, "{ref}") && (a.Status == http.StatusOK || strings.HasPrefix(a.Header.Get("Location"), "/messages") || strings.HasPrefix(a.Header.Get("Location"), "/cases")) {
					t.Errorf("%s %s with %s as %q: %d %s", r.Method, r.Path, what, role, a.Status, a.Header.Get("Location"))
				}
				if a.Status >= http.StatusInternalServerError {
					t.Errorf("%s %s with %s as %q: %d", r.Method, r.Path, what, role, a.Status)
				}
			}
		}
	}
}

// ask asks as somebody who also writes into the form and behind the address whatever could
// make the desk think that he is another.
func (s *strangers) ask(b *webtest.Browser, method, path, ref string) webtest.Reply {
	wrong := url.Values{"person": {"A. Nnie"}, "signer": {"A. Nnie"}, "user": {"A. Nnie"}, "pin": {schakeltest.PIN}, "status": {"in-behandeling"},
		"q": {strings.ToLower(closedWord)}, "case": {s.kase}, "ref": {ref}, "emergency": {"x"}, "to": {"P. Iket"}, "text": {"x"}}
	if method == http.MethodPost {
		return b.Post(path+"?person=A.+Nnie", wrong)
	}
	return b.Get(path + "?" + wrong.Encode())
}

// TestSelfIsWhoIsSignedIn: a form that names another still concerns its own user.
func TestSelfIsWhoIsSignedIn(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	victim := o.User("P. Iket", desk.RoleCaseWorker)
	thief := o.User("N. Iemand", desk.RoleCaseWorker)
	users, err := o.Door.Users(t.Context())
	must(t, err)
	form := url.Values{"user": {users[0].ID}, "id": {users[0].ID}, "name": {"P. Iket"}, "person": {users[0].Person}}
	for _, r := range web.Routes() {
		if of, _ := objectOf(r.Path); of == self && r.Method == http.MethodPost && !strings.Contains(r.Path, "{") {
			thief.Post(r.Path+"?"+form.Encode(), form)
			if a := victim.Get("/inbox"); a.Status != http.StatusOK {
				t.Fatalf("%s throws another out: %d", r.Path, a.Status)
			}
			thief = o.User("N. Iemand", desk.RoleCaseWorker)
		}
	}
	a := thief.Post("/passkeys/begin?"+form.Encode(), form)
	if id := []byte(users[0].ID); bytes.Contains([]byte(a.Body), id) || strings.Contains(a.Body, "P. Iket") {
		t.Errorf("a passkey for another: %s", a.Body)
	}
}
