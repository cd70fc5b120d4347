package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"schakel/clients/casefile"
	"schakel/clients/desk"
	"schakel/clients/desk/web"
	"schakel/clients/desk/web/webtest"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// lacks fails where a page shows what it must not.
func lacks(t *testing.T, page webtest.Reply, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if strings.Contains(page.Body, p) {
			t.Errorf("%q stands in (%d)\n%s", p, page.Status, page.Body)
		}
	}
}

// caseOf is the case of a message.
func caseOf(t *testing.T, o *webtest.Office, hash string) string {
	t.Helper()
	r, err := o.Member.Node.Restriction(t.Context(), hash)
	if err != nil {
		t.Fatal(err)
	}
	return r.Case
}

// TestCasePages is what somebody does with a case: find it, see what waits, write a note,
// look into the playbook, and take it along.
func TestCasePages(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	hash := o.Report(nil)
	kase := caseOf(t, o, hash)
	b := o.User("P. Iket", desk.RoleCaseWorker)
	path := "/cases/" + kase
	pin := url.Values{"pin": {schakeltest.PIN}}

	list := b.Get("/cases")
	contains(t, list, `href="`+path+`"`, "1 bericht", "1 ongelezen", "Nog niemand heeft de regie", "nog ")
	contains(t, b.Get("/cases?part=us"), path)
	contains(t, b.Get("/cases?part=closed"), "Er zijn geen gesloten zaken")
	if a := b.Get("/cases?part=x"); a.Status != http.StatusNotFound {
		t.Errorf("a part that is not there: %d", a.Status)
	}

	page := b.Get(path)
	contains(t, page, "Nog niemand heeft de regie", "Wacht op ons", "Ontvangst bevestigen", "nog ", "Test arts", "/messages/"+hash, "Signaal", "Er zijn nog geen notities")
	lacks(t, page, "Leerling vertelt mentor")
	if safe, number := strings.Index(page.Body, "fietslampje"), strings.Index(page.Body, "&#43;316"); safe < 0 || number < 0 || safe > number {
		t.Errorf("a telephone number stands before what keeps the victim safe (R06): %d, %d", safe, number)
	}
	contains(t, b.Get("/messages/"+hash), `href="`+path+`"`)

	for name, form := range map[string]url.Values{
		"Schrijf iets op":        {"text": {" \r\n "}, "pin": {schakeltest.PIN}},
		"Maak de notitie korter": {"text": {"bewaar mij" + strings.Repeat("x", schakel.MaxNote)}, "pin": {schakeltest.PIN}},
		"De pincode klopt niet":  {"text": {"bewaar mij <b>"}, "pin": {"000000"}},
	} {
		a := b.Post(path+"/notes/new", form)
		contains(t, a, name, "De notitie is niet bewaard", strings.NewReplacer("\r\n", "\n", "<", "&lt;", ">", "&gt;").Replace(form.Get("text")))
		if a.Status < 400 || strings.Contains(a.Body, "000000") {
			t.Errorf("%s: %d", name, a.Status)
		}
	}
	if a := b.Post(path+"/notes/new", url.Values{"text": {"Moeder belt <i>morgen</i>\r\ntweede regel"}, "pin": pin["pin"]}); a.Header.Get("Location") != path+"/notes" {
		t.Fatalf("a note: %d\n%s", a.Status, a.Body)
	}
	for _, where := range []string{path, path + "/notes"} {
		contains(t, b.Get(where), "Moeder belt &lt;i&gt;morgen&lt;/i&gt;\ntweede regel", "P. Iket")
	}

	contains(t, b.Get(path+"/playbook"), "Acuut gevaar thuis", "stappen gezien", "Nu: ")
	contains(t, b.Get(path+"/playbook?situation=acuut-thuis"), "Nooit doen", "Alleen u weet of dit gedaan is", "fietslampje", "112")
	if a := b.Get(path + "/playbook?situation=nergens"); a.Status != http.StatusNotFound {
		t.Errorf("a situation that is not there: %d", a.Status)
	}

	if a := b.Post("/messages/"+hash+"/acknowledgement", url.Values{"pin": pin["pin"], "status": {protocol.StatusTaken}}); a.Status != http.StatusSeeOther {
		t.Fatalf("acknowledging: %d", a.Status)
	}
	done := b.Get(path)
	contains(t, done, "Bevestigd door P. Iket", "Ontvangstbevestiging", "Onze berichten:")
	o.Until("the page says how far it is", func() bool { return strings.Contains(b.Get(path).Body, "Afgeleverd") })
	exported(t, o, b, path, kase)
}

// exported takes the case along, which must verify, and looks who is told of it.
func exported(t *testing.T, o *webtest.Office, b *webtest.Browser, path, kase string) {
	t.Helper()
	contains(t, b.Get(path+"/export"), "Wie dit bestand heeft, kan alles lezen", "2 berichten", "schakel verify zaak-"+kase+".zip")
	for _, pin := range []string{"", "000000"} {
		a := b.Post(path+"/export", url.Values{"pin": {pin}})
		contains(t, a, "Er is geen bestand gemaakt", "De pincode klopt niet")
		if a.Status != http.StatusForbidden || a.Header.Get("Content-Disposition") != "" {
			t.Errorf("with PIN %q: %d", pin, a.Status)
		}
	}
	file := b.Post(path+"/export", url.Values{"pin": {schakeltest.PIN}})
	if file.Header.Get("Content-Disposition") != `attachment; filename="zaak-`+kase+`.zip"` || file.Header.Get("Content-Type") != "application/zip" ||
		!strings.Contains(file.Header.Get("Content-Security-Policy"), "sandbox") || file.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%d %v", file.Status, file.Header)
	}
	if r := casefile.Verify([]byte(file.Body), casefile.Options{}); !r.Sound || r.Case != kase || r.Person == nil || len(r.Messages) != 2 {
		t.Errorf("the file does not verify: %+v", r)
	}
	officer := o.User("F. Unctionaris", desk.RoleOfficer)
	log := officer.Get(path + "/log")
	contains(t, log, "Zaak meegenomen als bestand", "Bekeken in de browser", "Zaak geopend", "P. Iket", "Het logboek klopt.")
	lacks(t, log, "fietslampje", "Moeder belt")
	contains(t, officer.Get("/log"), path+"/log", "Aangemeld")
	contains(t, officer.Get("/deletions"), "Hier is nog niets vernietigd")
	for _, closed := range []string{"/cases", path, path + "/notes", path + "/export", path + "/playbook"} {
		if a := officer.Get(closed); a.Status != http.StatusForbidden {
			t.Errorf("%s for who reads no case: %d", closed, a.Status)
		}
	}
	card := b.Get("/card")
	contains(t, card, "Noodkaart", "112", "&#43;31600000001", "Bel nooit een slachtoffer")
	lacks(t, card, kase[:8])
}

// TestRestrictingACase: two pages, whoever is named opens each page with the PIN, and who
// is not hears whom to call.
func TestRestrictingACase(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	ann := o.Member.AddPerson("A. Nnie")
	hash := o.Report(nil)
	kase := caseOf(t, o, hash)
	path := "/cases/" + kase
	b, other := o.User("P. Iket", desk.RoleCaseWorker), o.User("K. Ijker", desk.RoleOnCall)
	both := []string{o.Person.ID.String(), ann.ID.String()}
	const glass = "zes woorden in de kluis van het bureau"

	contains(t, b.Get(path+"/restrict"), "Nu mag het hele bureau haar lezen", "A. Nnie", `value="`+both[1]+`"`)
	one := b.Post(path+"/restrict", url.Values{"to": both[:1]})
	contains(t, one, "Kies minstens twee mensen", `value="`+both[0]+`" checked`)
	check := b.Post(path+"/restrict", url.Values{"to": both})
	contains(t, check, "Straks mogen alleen zij lezen", "nooit meer open voor iedereen", `name="glass"`, `name="pin"`, `<input type="hidden" name="to" value="`+both[1]+`">`)
	sign := func(pin, one, two string) webtest.Reply {
		return b.Post(path+"/restrict/signed", url.Values{"to": both, "pin": {pin}, "glass": {one}, "glass-again": {two}})
	}
	for words, a := range map[string]webtest.Reply{
		"De wachtzin is te kort":               sign(schakeltest.PIN, "kort", "kort"),
		"De twee wachtzinnen zijn niet gelijk": sign(schakeltest.PIN, glass, glass+"!"),
		"De pincode klopt niet":                sign("000000", glass, glass),
		"Kies minstens twee mensen":            b.Post(path+"/restrict/signed", url.Values{"to": both[:1], "pin": {schakeltest.PIN}, "glass": {glass}, "glass-again": {glass}}),
	} {
		contains(t, a, words)
		lacks(t, a, glass, `"000000"`)
		if a.Status < 400 {
			t.Errorf("%s: %d", words, a.Status)
		}
	}
	o.Until("the case can be restricted", func() bool { return sign(schakeltest.PIN, glass, glass).Header.Get("Location") == path })

	closed := func(what string, a webtest.Reply, status int) {
		t.Helper()
		contains(t, a, "Alleen deze mensen mogen deze zaak lezen", "A. Nnie", "&#43;31600000007")
		lacks(t, a, "fietslampje", "Leerling vertelt mentor")
		if a.Status != status {
			t.Errorf("%s: %d", what, a.Status)
		}
	}
	for _, page := range []string{path, path + "/playbook", path + "/playbook?situation=acuut-thuis", path + "/notes"} {
		closed("outside, "+page, other.Get(page), http.StatusOK)
		lacks(t, other.Get(page), `name="pin"`)
		closed("inside without a PIN, "+page, b.Get(page), http.StatusOK)
		closed("with a wrong PIN, "+page, b.Post(page, url.Values{"pin": {"000000"}}), http.StatusForbidden)
	}
	b = o.User("P. Iket", desk.RoleCaseWorker) // five wrong PINs locked that screen
	contains(t, b.Get("/cases"), "Alleen voor", "A. Nnie")
	pin := url.Values{"pin": {schakeltest.PIN}}
	contains(t, b.Post(path, pin), "fietslampje", "Deze zaak is alleen voor")
	contains(t, b.Post(path+"/playbook?situation=acuut-thuis", pin), "fietslampje", "Nooit doen")
	contains(t, b.Post(path+"/notes", pin), "Er zijn nog geen notities")
	closed("afterwards", b.Get(path), http.StatusOK)
	emergency(t, o, path, glass)

	contains(t, b.Get(path+"/restrict"), "Nu mogen deze mensen haar lezen. P. Iket koos hen.", `value="`+both[1]+`" checked`)
	k := o.Member.AddPerson("K. Ees")
	wider := b.Post(path+"/restrict", url.Values{"to": append(both, k.ID.String())})
	contains(t, wider, "Komt erbij", "leest ook wat er eerder stond")
	lacks(t, wider, `name="glass"`)
	narrower := b.Post(path+"/restrict", url.Values{"to": {both[1], k.ID.String()}})
	contains(t, narrower, "Gaat eraf", "U staat er zelf niet op", `name="glass"`)
	o.Until("the case can be widened", func() bool {
		return b.Post(path+"/restrict/signed", url.Values{"to": append(both, k.ID.String()), "pin": {schakeltest.PIN}}).Status == http.StatusSeeOther
	})
	contains(t, other.Get(path), "K. Ees")
}

// emergency opens a restricted case as somebody who is not named for it, with the
// passphrase from the safe; those who are named hear it.
func emergency(t *testing.T, o *webtest.Office, path, glass string) {
	t.Helper()
	z := o.Member.AddPerson("Z. Aalwacht")
	link, err := o.Door.Link(t.Context(), desk.LinkRequest{Person: z.Name, Roles: []desk.Role{desk.RoleOnCall}})
	if err != nil {
		t.Fatal(err)
	}
	b := webtest.NewBrowser(t, o.Base)
	b.Post(strings.TrimPrefix(link.URL, o.Base), nil)
	contains(t, b.Get(path), path+"/emergency")
	contains(t, b.Get(path+"/emergency"), "Bel eerst deze mensen", "A. Nnie", "alarm met uw naam")
	try := func(pin, glass string) webtest.Reply {
		return b.Post(path+"/emergency", url.Values{"pin": {pin}, "glass": {glass}})
	}
	for words, a := range map[string]webtest.Reply{"De wachtzin klopt niet": try(schakeltest.PIN, glass+"?"), "De pincode klopt niet": try("000000", glass)} {
		contains(t, a, words, "De zaak is niet geopend")
		lacks(t, a, "fietslampje", glass, `"000000"`)
		if a.Status != http.StatusForbidden {
			t.Errorf("%s: %d", words, a.Status)
		}
	}
	contains(t, try(schakeltest.PIN, glass), "fietslampje", "Deze zaak is alleen voor")
	lacks(t, b.Get(path), "fietslampje")
	alarms, err := o.Member.Node.Alarms(t.Context())
	if err != nil || !slices.ContainsFunc(alarms, func(a schakel.Alarm) bool { return a.Kind == schakel.AlarmGlass }) {
		t.Errorf("no alarm: %v, %v", alarms, err)
	}
}

// stated is a node whose case is what a test says, in all that a case can have.
type stated struct {
	desk.Node
	kase string
	says string
	now  time.Time
}

// Overview implements desk.Node.
func (n *stated) Overview(ctx context.Context, ref string, by ...schakel.By) (schakel.Overview, error) {
	o, err := n.Node.Overview(ctx, ref, by...)
	if err != nil || len(o.Messages) == 0 {
		return o, err
	}
	first := o.Messages[0].Ref
	gone := message.Ref{Hash: message.Hash{9}}
	evil := identity.DeskID(n.says)
	o.Terms = []protocol.LeadTerm{{Number: 1, Holder: o.Desk, Begins: first, Since: n.now}, {Holder: evil, Begins: gone}}
	o.Offers = []protocol.Offer{{Message: first, By: o.Desk, To: evil, State: protocol.OfferReturned, Closed: gone}, {Message: gone, To: evil, State: protocol.OfferState(n.says)}}
	o.Obligations = []protocol.Obligation{
		{Rule: n.says, Duty: protocol.DutyAnswer, Owes: o.Desk, To: evil, Since: first, Due: n.now.Add(-time.Hour * 3)},
		{Rule: "R20", Duty: protocol.Duty(n.says), Owes: evil, To: o.Desk, Since: gone, Due: n.now.Add(49 * time.Hour)},
		{Rule: "R23", Duty: protocol.DutyPolice, Owes: evil, Since: first, Due: n.now.Add(time.Minute)},
	}
	o.Owed, o.Awaited = o.Obligations[:1], o.Obligations[1:2]
	o.Rests = []protocol.Rest{{Message: first, On: gone, Outcome: n.says}}
	o.Replaced = []protocol.Replacement{{Message: first, By: gone}, {Message: gone, By: first, Withdrawn: true}}
	o.Closing = &protocol.Closing{Message: first, By: evil, At: n.now, RetainUntil: n.now.Add(time.Hour), DestroyOn: n.now.Add(time.Hour)}
	o.Missing = []protocol.Missing{{Message: gone, NamedBy: []message.Ref{first}}}
	o.Voids = []protocol.Void{{Rule: n.says, Message: first, Against: gone}}
	o.Unsaid = []message.Ref{first}
	o.Safe = append(o.Safe, schakel.SafeContact{Message: first, From: evil, Says: hostileJSON(n.says)}, schakel.SafeContact{Message: gone, Says: json.RawMessage(`{"a":` + strings.Repeat("[", 99))})
	o.Participants = append(o.Participants, protocol.Party{Desk: evil, Role: identity.Role(n.says), Region: n.says})
	o.Messages = append(o.Messages, schakel.Moment{Ref: gone, Class: n.says, Urgency: "spoed", From: protocol.Party{Desk: evil}, To: []protocol.Party{{Desk: evil}},
		Created: n.now, Answers: []message.Ref{first}, By: n.says, Status: n.says, Enclosed: true, Unsaid: true,
		Flags: []protocol.Flag{{Rule: n.says, Certainty: protocol.Broken, Reason: protocol.Text{NL: n.says, EN: n.says}, Remedy: protocol.Text{NL: n.says, EN: n.says}}}})
	o.KnownAt, o.Exercise = gone, true
	return o, nil
}

// Log implements desk.Node.
func (n *stated) Log(context.Context, string) (schakel.AccessLog, error) {
	return schakel.AccessLog{Lines: []schakel.LogLine{{Device: n.says, At: n.now, Action: n.says, Subject: n.says, Case: n.kase, Person: n.says},
		{Device: "1", At: n.now, Action: "glass-broken", Subject: n.kase, Case: n.kase}}, Devices: []schakel.LogState{{Device: n.says, Fault: n.says, Missing: 3}}}, nil
}

// Deletions implements desk.Node.
func (n *stated) Deletions(context.Context) ([]schakel.Deletion, error) {
	return []schakel.Deletion{{Case: n.says, At: n.now, Due: n.now, Closing: n.says, ClosedBy: identity.DeskID(n.says), Messages: 2, Statement: []byte(n.says + "\n")}}, nil
}

func hostileJSON(s string) json.RawMessage {
	raw, err := json.Marshal(map[string]string{"veiligeNummer": s, s: s})
	if err != nil {
		panic(err)
	}
	return raw
}

const hostile = "<script>alert(1)</script>\u202e\x1b[31m\"><img src=x onerror=alert(2)>{{.Page}}' onload='x"

// TestHostileCaseStaysInert: whatever partners and devices wrote in whichever place of a
// case, its pages hold no mark of theirs.
func TestHostileCaseStaysInert(t *testing.T) {
	n := &stated{says: hostile}
	o := webtest.Open(t, webtest.Options{Node: func(real desk.Node) desk.Node { n.Node = real; return n }})
	n.now = o.Chain.Now()
	hash := o.Report(nil)
	n.kase = caseOf(t, o, hash)
	b := o.User("P. Iket", desk.Roles()...)
	path := "/cases/" + n.kase
	for where, shows := range map[string][]string{
		path: {"Deze zaak is gesloten", "3 uur te laat", "nog 2 dagen", "nog minder dan 2 minuten", "Ontbreekt hier", "Waarschuwingen", "Zonder gevolg", "Door elk bureau geweigerd", "Aanbod van de regie",
			"Gecorrigeerd of ingetrokken", "Wat op wat steunt", "zegt ook de regie te hebben", "OEFENING", "Anderen wachten op elkaar"},
		path + "/playbook?situation=acuut-thuis": {"OEFENING"},
		path + "/log":                            {"Het logboek van een apparaat klopt niet", "Beperkte zaak in nood geopend"}, "/log": {"Nog niet gekregen: 3"}, "/deletions": {"Vernietigd op"},
	} {
		page := b.Get(where)
		contains(t, page, append(shows, "&lt;script&gt;")...)
		lacks(t, page, "<script>alert", "<img", "\u202e", "\x1b", "onload='x")
		wellFormed(t, where, page)
	}
	file := b.Get("/deletions/statements")
	if file.Header.Get("Content-Disposition") != `attachment; filename="vernietigd.txt"` || file.Header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("%v", file.Header)
	}
}

var (
	headings = regexp.MustCompile(`<h1[ >]`)
	titles   = regexp.MustCompile(`(?s)<title>(.*?)</title>`)
)

// wellFormed looks at what every page has.
func wellFormed(t *testing.T, what string, a webtest.Reply) {
	t.Helper()
	for _, w := range illFormed(a.Body) {
		t.Errorf("%s: %s\n%s", what, w, a.Body)
	}
}

// acting are the elements and attributes of a page that do or dress something by themselves;
// what stands within a value is a text like any other.
func acting(body string) (wrong []string) {
	for z := html.NewTokenizer(strings.NewReader(body)); z.Next() != html.ErrorToken; {
		tag := z.Token()
		if tag.Type != html.StartTagToken && tag.Type != html.SelfClosingTagToken {
			continue
		}
		if tag.Data == "style" {
			wrong = append(wrong, "a style inside")
		}
		for _, a := range tag.Attr {
			value := strings.ToLower(strings.TrimSpace(a.Val))
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" || strings.HasPrefix(value, "javascript:") {
				wrong = append(wrong, fmt.Sprintf("inside the page: %s of %s: %q", a.Key, tag.Data, a.Val))
			}
		}
	}
	return wrong
}

func illFormed(body string) (wrong []string) {
	if n := len(headings.FindAllString(body, -1)); n != 1 {
		wrong = append(wrong, fmt.Sprintf("%d headings of the first rank", n))
	}
	title := titles.FindStringSubmatch(body)
	if title == nil || strings.TrimSpace(strings.TrimSuffix(title[1], "- Schakel")) == "" || strings.Contains(title[1], "title.") {
		wrong = append(wrong, "no title")
	}
	if strings.Contains(body, "<script>") || regexp.MustCompile(`(?s)<script[^>]*>[^<]`).MatchString(body) {
		wrong = append(wrong, "a script inside")
	}
	return append(wrong, acting(body)...)
}

// TestEveryPageIsWellFormed asks for every page of the table: each has one heading of the
// first rank and a title, and none has a script or a style inside.
func TestEveryPageIsWellFormed(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	hash := o.Report(nil)
	b := o.User("P. Iket", desk.Roles()...)
	pages := 0
	for _, r := range web.Routes() {
		if r.Method != http.MethodGet || r.Path == "/live" { // a stream has no end
			continue
		}
		a := b.Get(strings.NewReplacer("{ref}", hash, "{link}", "x", "{$}", "").Replace(r.Path))
		if strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") && a.Status != http.StatusSeeOther {
			wellFormed(t, r.Path, a)
			pages++
		}
	}
	if pages < 12 {
		t.Errorf("%d pages were looked at", pages)
	}
	for _, wrong := range []string{"<title>x</title>", "<h1>a</h1><h1>b</h1><title>x</title>", "<h1>a</h1><title> - Schakel</title>", `<h1 style="a">a</h1><title>x</title>`,
		"<h1>a</h1><title>x</title><script>1</script>", `<h1>a</h1><title>x</title><a href="javascript:1">`, `<h1>a</h1><title>x</title><p onclick="1">`, "<style>a</style><h1>a</h1><title>x</title>"} {
		if len(illFormed(wrong)) == 0 {
			t.Errorf("control: %s passes", wrong)
		}
	}
}
