package web_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"schakel/clients/desk"
	"schakel/clients/desk/sheets"
	"schakel/clients/desk/web/formbody"
	"schakel/clients/desk/web/webtest"
	"schakel/clients/protocol"
	"schakel/clients/protocol/calendar"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// scriptorium is an office with two desks of the police that it can write to.
type scriptorium struct {
	*webtest.Office
	*webtest.Browser
	t      *testing.T
	police *schakeltest.Member
}

func newScriptorium(t *testing.T, opt webtest.Options) *scriptorium {
	t.Helper()
	o := webtest.Open(t, opt)
	s := &scriptorium{Office: o, t: t, police: o.Chain.Join("politie-mn/oc", identity.RolePolitie)}
	s.police.Start()
	o.Until("the police can be written to", func() bool {
		all, err := o.Member.Node.Directory(t.Context())
		return err == nil && slices.ContainsFunc(all, func(d schakel.Desk) bool { return d.ID == s.police.Desk && d.Reachable })
	})
	s.Browser = o.User("P. Iket", desk.RoleCaseWorker)
	return s
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)

// fields are the hidden ones of a page.
func fields(page webtest.Reply) url.Values {
	out := url.Values{}
	for _, m := range hidden.FindAllStringSubmatch(page.Body, -1) {
		if m[1] != "back" {
			out.Add(html.UnescapeString(m[1]), html.UnescapeString(m[2]))
		}
	}
	return out
}

func with(v url.Values, more url.Values) url.Values {
	out := url.Values{}
	for k, x := range v {
		out[k] = x
	}
	for k, x := range more {
		out[k] = x
	}
	return out
}

// example is what somebody types who says what the example of a class says.
func example(t testing.TB, class string) url.Values {
	t.Helper()
	e, err := protocol.V1().Example(class)
	if err != nil {
		t.Fatal(err)
	}
	form, err := protocol.V1().Form(class)
	if err != nil {
		t.Fatal(err)
	}
	v, err := protocol.ParseValues(e.Body)
	if err != nil {
		t.Fatal(err)
	}
	delete(v, "bijlagen")
	return formbody.Typed(form, v, calendar.Zone())
}

func (s *scriptorium) callBack(more url.Values) url.Values {
	return with(with(example(s.t, protocol.ClassCallBack), url.Values{"urgency": {"spoed"}, "to": {string(s.police.Desk)}}), more)
}

// inbox are the messages at the police.
func (s *scriptorium) inbox() []schakel.Summary {
	all, err := s.police.Node.List(s.t.Context(), schakel.Filter{Limit: 100})
	if err != nil {
		s.t.Fatal(err)
	}
	return all
}

func location(a webtest.Reply) string { return a.Header.Get("Location") }

func TestFromFormToSent(t *testing.T) {
	s := newScriptorium(t, webtest.Options{})
	contains(t, s.Get("/compose"), "Een zorg of gevaar melden", "/compose/contactverzoek", "Bel eerst 112")
	if page := s.Get("/compose"); strings.Contains(page.Body, "/compose/reisdocumentverzoek") || strings.Contains(page.Body, "/compose/overdracht") {
		t.Error("a class that this desk may not begin, or only in a case, is offered")
	}
	const form = "/compose/contactverzoek"
	page := s.Get(form)
	contains(t, page, "Hoe dringend is het?", "politie-mn/oc", "geverifieerd in het register", `value="P. Iket"`, "data-keep")
	base := fields(page)
	empty := s.Post(form, with(base, url.Values{"do": {"check"}, "v.aanleiding": {"Wie regelt <b>opvang</b>?"}}))
	if empty.Status != http.StatusUnprocessableEntity {
		t.Errorf("an empty form: %d", empty.Status)
	}
	contains(t, empty, "Dit kan nog niet weg", "Kies hoe dringend het is", "Kies aan wie dit gaat", "Wie regelt &lt;b&gt;opvang&lt;/b&gt;?", "vul dit in", `role="alert"`)
	kept := s.Post(form, with(base, s.callBack(url.Values{"do": {"check"}})))
	if kept.Status != http.StatusSeeOther || !strings.HasPrefix(location(kept), form+"/check?sheet=") {
		t.Fatalf("a whole form: %d %s\n%s", kept.Status, location(kept), kept.Body)
	}
	check := s.Get(location(kept))
	contains(t, check, "U verstuurt aan 1 organisatie", "Test politie-mn", "Politie", "Dit past bij de afspraken", "Zo leest de ander het", "Pincode van P. Iket", "Dit begint een nieuwe zaak")
	send := with(fields(check), url.Values{"do": {"send"}, "pin": {"918273"}})
	wrong := s.Post(form+"/check", send)
	if wrong.Status != http.StatusForbidden || strings.Contains(wrong.Body, "918273") {
		t.Errorf("a wrong PIN: %d", wrong.Status)
	}
	contains(t, wrong, "De pincode klopt niet")
	send.Set("pin", schakeltest.PIN)
	places := make([]string, 4)
	var all sync.WaitGroup
	for i := range places { // somebody who presses four times
		all.Go(func() { places[i] = location(s.Post(form+"/check", send)) })
	}
	all.Wait()
	for _, p := range places {
		if p != places[0] || !strings.HasPrefix(p, "/messages/") || !strings.HasSuffix(p, "/sent") {
			t.Errorf("pressing again leads to %q and %q", places[0], p)
		}
	}
	contains(t, s.Get(places[0]), "Klaargezet", "Test politie-mn", "staat veilig op dit apparaat")
	s.Until("the police has it", func() bool { return len(s.inbox()) > 0 })
	sent, err := s.Member.Node.List(t.Context(), schakel.Filter{Box: "sent"})
	if err != nil || len(sent) != 1 || len(s.inbox()) != 1 {
		t.Errorf("sent %d times: %v", len(sent), err)
	}
	if again := s.Post(form, with(base, s.callBack(url.Values{"do": {"keep"}}))); location(s.Get(location(again))) != places[0] {
		t.Error("a page that was left open brings back what was sent")
	}
	contains(t, s.Get("/drafts"), "U bent met niets bezig", "Er zijn geen concepten")
	letter, err := s.police.Node.Read(t.Context(), s.inbox()[0].Hash)
	if err != nil || letter.Person == "" {
		t.Errorf("nobody signed: %v", err)
	}
}

// TestNothingTypedIsLost: a lock, a session that ends, a daemon that starts again, another
// browser: what was typed is there.
func TestNothingTypedIsLost(t *testing.T) {
	s := newScriptorium(t, webtest.Options{})
	const form = "/compose/contactverzoek"
	base := fields(s.Get(form))
	typed := func(text string) url.Values { return with(base, url.Values{"do": {"check"}, "v.aanleiding": {text}}) }
	path := form + "?sheet=" + strings.Split(base.Get("sheet"), ".")[1]
	first := s.Post(form, with(typed("Zoë Ñandú"), url.Values{"do": {"keep"}}))
	if location(first) != path {
		t.Fatalf("keeping: %d %s", first.Status, location(first))
	}
	contains(t, s.Get(path), "Zoë Ñandú", "Alleen u ziet het")
	s.Browser.Post("/lock", nil)
	if a := s.Post(form, typed("getypt tijdens het slot")); location(a) != "/locked?kept=1" || strings.Contains(a.Body, "getypt") {
		t.Fatalf("locked: %d %s", a.Status, location(a))
	}
	contains(t, s.Get("/locked?kept=1"), "is bewaard")
	s.Post("/unlock", url.Values{"pin": {schakeltest.PIN}})
	contains(t, s.Get(path), "getypt tijdens het slot")
	s.Post("/sign-out", nil)
	if a := s.Post(form, typed("getypt na het afmelden")); location(a) != "/sign-in?kept=1" {
		t.Fatalf("signed out: %d %s", a.Status, location(a))
	}
	forged := typed("van een ander")
	forged.Set("sheet", forged.Get("sheet")+"x")
	if a := s.Post(form, forged); a.Status == http.StatusSeeOther && location(a) == "/sign-in?kept=1" {
		t.Error("a form that is not from here is kept")
	}
	b := s.User("P. Iket", desk.RoleCaseWorker)
	contains(t, b.Get("/drafts"), path)
	contains(t, b.Get(path), "getypt na het afmelden")
	if other := s.User("N. Ander", desk.RoleCaseWorker).Get(path); other.Status == http.StatusOK || strings.Contains(other.Body, "getypt") {
		t.Errorf("another user sees it: %d", other.Status)
	}
	contains(t, b.Get("/sheets/"+strings.Split(base.Get("sheet"), ".")[1]+"/removal"), "getypt na het afmelden", "is daarna weg")
	b.Post("/sheets/"+strings.Split(base.Get("sheet"), ".")[1]+"/removal", nil)
	contains(t, b.Get("/drafts"), "U bent met niets bezig")
}

// TestHostileForms: each is said beside its field, and what was typed stays.
func TestHostileForms(t *testing.T) {
	s := newScriptorium(t, webtest.Options{})
	const form = "/compose/contactverzoek"
	base := fields(s.Get(form))
	many := make([]string, 9000)
	for i := range many {
		many[i] = "x"
	}
	for name, c := range map[string]struct {
		typed []string
		field string
		says  string
		stays string
	}{
		"a megabyte":    {[]string{strings.Repeat("é", 1<<19)}, "v.aanleiding", "schrijf hoogstens", "éééé"},
		"bidi":          {[]string{"jan\u202enap"}, "v.aanleiding", "leesrichting", "jan\u202enap"},
		"an escape":     {[]string{"a\x1b[31m"}, "v.aanleiding", "stuurtekens", "a\x1b[31m"},
		"no UTF-8":      {[]string{"kop\xffie"}, "v.aanleiding", "geen tekst", "kop\ufffdie"},
		"markup":        {[]string{`"><script>alert(1)</script>`}, "v.terugbelnummer", "schrijf een nummer", "&lt;script&gt;"},
		"many times":    {many, "v.aanleiding", "9000 keer", "x"},
		"a strange one": {[]string{"x"}, "v.bestaatniet", "horen niet in dit formulier", "Hoe dringend"},
	} {
		page := s.Post(form, with(base, url.Values{"do": {"check"}, c.field: c.typed}))
		if page.Status < 400 || page.Status >= 500 {
			t.Errorf("%s: %d", name, page.Status)
		}
		for _, want := range []string{c.says, c.stays} {
			if !strings.Contains(page.Body, want) {
				t.Errorf("%s: no %q in %d bytes", name, want, len(page.Body))
			}
		}
		if strings.Contains(page.Body, "<script>alert") || !strings.Contains(page.Body, "Hoe dringend") {
			t.Errorf("%s: not the form, or with a script", name)
		}
	}
	formula := s.Post(form, with(base, s.callBack(url.Values{"do": {"check"}, "v.aanleiding": {`=HYPERLINK("x")`}})))
	contains(t, s.Get(location(formula)), "=HYPERLINK(&#34;x&#34;)")
	if huge := s.Post(form, url.Values{"v.aanleiding": {strings.Repeat("x", 5<<20)}}); huge.Status != http.StatusRequestEntityTooLarge {
		t.Errorf("five megabytes: %d", huge.Status)
	}
}

// TestUnusualRecipients: a desk elsewhere needs a tick that names it, on the server.
func TestUnusualRecipients(t *testing.T) {
	s := newScriptorium(t, webtest.Options{})
	const form = "/compose/melding"
	base := fields(s.Get(form))
	typed := with(example(t, "melding"), url.Values{"urgency": {"spoed"}, "to": {string(s.police.Desk)}, "do": {"check"},
		"v.slachtoffers.0.gemeentecode": {"Amsterdam"}})
	kept := s.Post(form, with(base, typed))
	check := s.Get(location(kept))
	contains(t, check, "hoort niet bij de gemeente", "Ja, politie-mn/oc moet dit krijgen", "alleen sms")
	send := with(fields(check), url.Values{"do": {"send"}, "pin": {schakeltest.PIN}})
	refused := s.Post(form+"/check", send)
	if refused.Status != http.StatusUnprocessableEntity {
		t.Fatalf("without the tick: %d %s", refused.Status, location(refused))
	}
	contains(t, refused, "Zet een vinkje")
	if a := s.Post(form+"/check", with(send, url.Values{"sure": {"arts/praktijk"}})); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("a tick for another desk: %d", a.Status)
	}
	if a := s.Post(form+"/check", with(send, url.Values{"sure": {string(s.police.Desk)}})); !strings.HasSuffix(location(a), "/sent") {
		t.Errorf("with the tick: %d %s\n%s", a.Status, location(a), a.Body)
	}
	near := s.Post(form, with(base, with(typed, url.Values{"sheet": fields(s.Get(form))["sheet"], "v.slachtoffers.0.gemeentecode": {"Utrecht"}})))
	if page := s.Get(location(near)); page.Status != http.StatusOK || strings.Contains(page.Body, "hoort niet bij de gemeente") {
		t.Errorf("control: the right region is doubted: %d", page.Status)
	}
}

// TestAnswering: a message leads to what may answer it, in its case, to who asked.
func TestAnswering(t *testing.T) {
	s := newScriptorium(t, webtest.Options{})
	hash := s.Report(nil)
	contains(t, s.Get("/messages/"+hash), "/messages/"+hash+"/answer", "/acknowledgement?status=verkeerde-ontvanger", "/compose?case=", "/assignment")
	answer := s.Get("/messages/" + hash + "/answer")
	if location(answer) != "/compose/terugkoppeling?answers="+hash {
		t.Fatalf("one class answers a signaal: %d %s", answer.Status, location(answer))
	}
	form := s.Get(location(answer))
	contains(t, form, "U antwoordt op", "vroeg dit", `name="to" value="arts/praktijk" checked`)
	base := fields(form)
	letter, err := s.Member.Node.Read(t.Context(), hash)
	if err != nil || base.Get("case") != letter.Case {
		t.Errorf("the case is not carried: %v", err)
	}
	typed := with(example(t, "terugkoppeling"), url.Values{"urgency": {"spoed"}, "to": {"arts/praktijk"}, "do": {"check"}})
	check := s.Get(location(s.Post("/compose/terugkoppeling", with(base, typed))))
	contains(t, check, "Antwoordt op", "Signaal")
	sent := s.Post("/compose/terugkoppeling/check", with(fields(check), url.Values{"do": {"send"}, "pin": {schakeltest.PIN}}))
	if !strings.HasSuffix(location(sent), "/sent") {
		t.Fatalf("sending: %d\n%s", sent.Status, sent.Body)
	}
	trace, err := s.Member.Node.Trace(t.Context(), strings.Split(location(sent), "/")[2])
	if err != nil || trace.Case != letter.Case || trace.Answers != hash {
		t.Errorf("the answer: %v %+v", err, trace)
	}
	contains(t, s.Get("/messages/"+trace.Hash), "/compose/correctie?rests-on="+trace.Hash, "/compose/intrekking?rests-on=", "/forwarding")
	contains(t, s.Get("/compose/correctie?rests-on="+trace.Hash), `name="to" value="arts/praktijk" checked`, "selected>Terugkoppeling")
}

// TestDraftsOfTheDesk: a colleague goes on with what somebody began; who comes too late sees
// both texts, and nothing is lost or sent.
func TestDraftsOfTheDesk(t *testing.T) {
	s := newScriptorium(t, webtest.Options{})
	const form = "/compose/contactverzoek"
	base := fields(s.Get(form))
	save := with(base, s.callBack(url.Values{"do": {"save"}, "v.aanleiding": {"eerste versie"}, "pin": {"918273"}}))
	wrong := s.Post(form, save)
	contains(t, wrong, "De pincode klopt niet", "eerste versie")
	save.Set("pin", schakeltest.PIN)
	if a := s.Post(form, save); location(a) != "/drafts" {
		t.Fatalf("saving: %d\n%s", a.Status, a.Body)
	}
	page := s.Get("/drafts")
	contains(t, page, "U bent met niets bezig", "Contactverzoek", "door P. Iket", "politie-mn/oc")
	saved, err := s.Member.Node.Drafts(t.Context(), "")
	if err != nil || len(saved) != 1 {
		t.Fatal(err, len(saved))
	}
	draft := "/drafts/" + saved[0].ID
	contains(t, s.Get(draft), "eerste versie", "Ga verder met deze")
	mine := s.Post(draft, url.Values{"version": {saved[0].Version}})
	other := s.Post(draft, url.Values{"version": {saved[0].Version}})
	contains(t, s.Get(location(mine)), "eerste versie")
	theirs := with(fields(s.Get(location(other))), s.callBack(url.Values{"do": {"save"}, "v.aanleiding": {"tweede versie"}, "pin": {schakeltest.PIN}}))
	if a := s.Post(form, theirs); location(a) != "/drafts" {
		t.Fatalf("the second version: %d\n%s", a.Status, a.Body)
	}
	late := with(fields(s.Get(location(mine))), s.callBack(url.Values{"do": {"save"}, "v.aanleiding": {"derde versie"}, "pin": {schakeltest.PIN}}))
	conflict := s.Post(form, late)
	if conflict.Status != http.StatusConflict {
		t.Fatalf("too late: %d\n%s", conflict.Status, conflict.Body)
	}
	contains(t, conflict, "andere versie", "tweede versie", "derde versie", "Er is niets verstuurd")
	if again := s.Post(form, late); again.Status != http.StatusConflict {
		t.Errorf("the same again: %d %s", again.Status, location(again))
	}
	own := s.Post(form, url.Values{"sheet": fields(conflict)["sheet"], "do": {"afresh"}})
	contains(t, s.Get(location(own)), "derde versie")
	now, err := s.Member.Node.Drafts(t.Context(), "")
	if err != nil || len(now) != 1 {
		t.Fatal(err, len(now))
	}
	removal := draft + "/removal"
	contains(t, s.Get(removal+"?version="+now[0].Version), "bij iedereen van dit bureau", "tweede versie")
	contains(t, s.Post(removal, url.Values{"version": {now[0].Version}, "pin": {"918273"}}), "De pincode klopt niet")
	if a := s.Post(removal, url.Values{"version": {now[0].Version}, "pin": {schakeltest.PIN}}); location(a) != "/drafts" {
		t.Errorf("throwing away: %d\n%s", a.Status, a.Body)
	}
	contains(t, s.Get("/drafts"), "Er zijn geen concepten")
}

// TestGivingAndForwarding: a case goes to a colleague with a PIN; a message that came back
// goes to another desk, after a second page.
func TestGivingAndForwarding(t *testing.T) {
	s := newScriptorium(t, webtest.Options{})
	hash := s.Report(nil)
	s.Member.AddPerson("C. Ollega")
	letter, err := s.Member.Node.Read(t.Context(), hash)
	if err != nil {
		t.Fatal(err)
	}
	path := "/cases/" + letter.Case + "/assignment"
	page := s.Get(path)
	contains(t, page, "Niemand heeft deze zaak", "C. Ollega", "(u)", "Alleen dit bureau ziet dat")
	persons, err := s.Member.Node.Persons(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(persons, func(p schakel.Person) bool { return p.Name == "C. Ollega" })
	form := url.Values{"person": {persons[i].ID.String()}, "pin": {"918273"}}
	contains(t, s.Post(path, form), "De pincode klopt niet", `value="`+persons[i].ID.String()+`" checked`)
	contains(t, s.Post(path, url.Values{"pin": {schakeltest.PIN}}), "Kies een naam")
	form.Set("pin", schakeltest.PIN)
	contains(t, s.Get(location(s.Post(path, form))), "De zaak ligt bij C. Ollega", "Gelukt")

	base := fields(s.Get("/compose/contactverzoek"))
	check := s.Get(location(s.Post("/compose/contactverzoek", with(base, s.callBack(url.Values{"do": {"check"}})))))
	sent := location(s.Post("/compose/contactverzoek/check", with(fields(check), url.Values{"do": {"send"}, "pin": {schakeltest.PIN}})))
	forward := "/messages/" + strings.Split(sent, "/")[2] + "/forwarding"
	contains(t, s.Get(forward), "Het bureau dat de ontvanger noemde", "politie-mn/oc")
	contains(t, s.Get(forward+"?to=-"), "Teken en stuur door", "Het eerste gaat mee")
	contains(t, s.Post(forward, url.Values{"to": {"-"}, "pin": {schakeltest.PIN}}), "Er is niets verstuurd", "Niemand stuurde dit bericht terug")
	contains(t, s.Post(forward, url.Values{"to": {string(s.police.Desk)}, "pin": {"918273"}}), "Er is niets verstuurd")
	first := s.Post(forward, url.Values{"to": {string(s.police.Desk)}, "pin": {schakeltest.PIN}})
	again := s.Post(forward, url.Values{"to": {string(s.police.Desk)}, "pin": {schakeltest.PIN}})
	if !strings.HasSuffix(location(first), "/sent") || location(again) != location(first) {
		t.Errorf("sending on: %d %s, and pressing again %s\n%s", first.Status, location(first), location(again), first.Body)
	}
}

// TestRestrictedWriting: in a restricted case nothing is kept on disk, and the PIN opens what
// is needed.
func TestRestrictedWriting(t *testing.T) {
	s := newScriptorium(t, webtest.Options{})
	hash := s.Report(func(d *schakel.Draft) { d.Urgency = message.Urgent })
	second := s.Member.AddPerson("C. Ollega")
	var err error
	s.Until("the case is restricted", func() bool {
		_, err = s.Member.Node.Restrict(t.Context(), hash, []string{s.Person.ID.String(), second.ID.String()}, schakel.By{Person: s.Person.ID.String(), PIN: schakeltest.PIN, Glass: "zes woorden die niemand raadt ooit"})
		return err == nil
	})
	path := "/compose/terugkoppeling?answers=" + hash
	page := s.Get(path)
	contains(t, page, "alleen voor bepaalde collega", "Pincode van P. Iket")
	typed := with(with(fields(page), example(t, "terugkoppeling")), url.Values{"urgency": {"spoed"}, "to": {"arts/praktijk"}, "do": {"check"}, "answers": {hash}})
	contains(t, s.Post("/compose/terugkoppeling", typed), "Typ uw pincode")
	contains(t, s.Post("/compose/terugkoppeling", with(typed, url.Values{"pin": {"918273"}})), "De pincode klopt niet")
	check := s.Post("/compose/terugkoppeling", with(typed, url.Values{"pin": {schakeltest.PIN}}))
	contains(t, check, "U verstuurt aan 1 organisatie")
	if kept, err := sheets.New(s.Member.Store(), s.Chain.Now).List(t.Context(), userOf(t, s.Office, "P. Iket")); err != nil || len(kept) > 0 {
		t.Errorf("on disk: %v %v", kept, err)
	}
	send := with(fields(check), url.Values{"do": {"send"}, "pin": {schakeltest.PIN}})
	first := s.Post("/compose/terugkoppeling/check", send)
	if !strings.HasSuffix(location(first), "/sent") {
		t.Fatalf("sending: %d\n%s", first.Status, first.Body)
	}
	if again := s.Post("/compose/terugkoppeling/check", send); again.Status != http.StatusConflict {
		t.Errorf("pressing again: %d %s", again.Status, location(again))
	}
}
