package web_test

import (
	"bytes"
	"html"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"schakel/clients/desk"
	"schakel/clients/desk/web/webtest"
	"schakel/clients/roster"
	"schakel/clients/schakel/schakeltest"
)

// leads demands that an answer leads to a page, and asks for that.
func leads(t *testing.T, b *webtest.Browser, a webtest.Reply, path string) webtest.Reply {
	t.Helper()
	to := a.Header.Get("Location")
	if a.Status != http.StatusSeeOther || !strings.HasPrefix(to, path) {
		t.Fatalf("leads to %q (%d), want %s\n%s", to, a.Status, path, a.Body)
	}
	return b.Get(to)
}

// value is the value of the first choice in a field that contains a text.
func value(t *testing.T, page webtest.Reply, field, label string) string {
	t.Helper()
	_, in, ok := strings.Cut(page.Body, `name="`+field+`"`)
	in, _, _ = strings.Cut(in, "</select>")
	for _, m := range regexp.MustCompile(`<option value="([^"]+)"[^>]*>([^<]*)</option>`).FindAllStringSubmatch(in, -1) {
		if strings.Contains(m[2], label) {
			return html.UnescapeString(m[1])
		}
	}
	t.Fatalf("no choice %q in field %s (%t)\n%s", label, field, ok, page.Body)
	return ""
}

// upload sends a form with a file.
func upload(t *testing.T, b *webtest.Browser, base, path string, form url.Values, file string) webtest.Reply {
	t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for k, vs := range form {
		for _, v := range vs {
			if err := w.WriteField(k, v); err != nil {
				t.Fatal(err)
			}
		}
	}
	if file != "" {
		part, err := w.CreateFormFile("file", "bestand")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(part, file); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r := request(t, http.MethodPost, base+path, body.String())
	r.Header.Set("Content-Type", w.FormDataContentType())
	r.Header.Set("Origin", base)
	return b.Send(r)
}

func pin(more ...string) url.Values {
	v := url.Values{"pin": {schakeltest.PIN}}
	for i := 0; i+1 < len(more); i += 2 {
		v.Add(more[i], more[i+1])
	}
	return v
}

// TestOnCall: without a rota it says what that means; with one who is on call, when, how
// they are reached, and what is open. Taking over needs the PIN, and is done at once.
func TestOnCall(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	b, officer := o.User("P. Iket", desk.RoleOnCall), o.User("F. Unctie", desk.RoleOfficer)
	contains(t, b.Get("/on-call"), "Dit bureau heeft nog geen rooster")
	other := o.Rota(nil)
	page := b.Get("/on-call")
	contains(t, page, "P. Iket", "W. Acht", "Bel &#43;316000000", "achterwacht", "telefoon van het piket", "Mijn diensten", "Ik neem nu over", "De komende 14 dagen: Eerste")
	lacks(t, page, "Er is niemand", "Het rooster beheren", "ntfy.example")
	watching := officer.Get("/on-call")
	contains(t, watching, "achterwacht")
	lacks(t, watching, "Ik neem nu over", "De komende 14 dagen")

	if a := b.Post("/on-call/take", url.Values{"pin": {"998877"}, "level": {"1"}}); a.Status != http.StatusForbidden {
		t.Errorf("taken over with a wrong PIN: %d", a.Status)
	} else {
		contains(t, a, "De pincode klopt niet", `value="1" checked`)
		lacks(t, a, "998877")
	}
	contains(t, b.Post("/on-call/take", pin("until", "2020-01-01T00:00")), "Kies een tijd die nog moet komen", `value="2020-01-01T00:00"`)
	contains(t, b.Post("/on-call/take", pin("level", "9")), "Er is niets veranderd")
	done := leads(t, b, b.Post("/on-call/take", pin("level", "1")), "/on-call")
	contains(t, done, "U heeft nu piket")
	lacks(t, b.Get("/on-call"), "U heeft nu piket")
	now, err := o.Member.Node.OnCall(t.Context(), time.Time{})
	if err != nil || now.Levels[1].Name != "P. Iket" {
		t.Errorf("%+v, %v", now, err)
	}
	stranger := o.User("B. Uiten", desk.RoleOnCall)
	if a := stranger.Post("/on-call/take", pin()); a.Status == http.StatusSeeOther {
		t.Error("who signs as nobody takes over")
	}
	_ = other
}

// TestGapsAreOnThePage: what is open stands above all, and in the table.
func TestGapsAreOnThePage(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	o.Rota(func(s *roster.Sheet) { s.Layers[0].Rules[0].To = "2026-01-11T08:00" })
	page := o.User("P. Iket", desk.RoleOnCall).Get("/on-call")
	contains(t, page, "keer niemand in de komende 14 dagen", "grid__bad", "Niemand")
	lacks(t, o.User("P. Iket", desk.RoleOnCall).Get("/on-call/calendar"), "P. Iket") // a calendar that leaks names nobody
}

// TestSwap: two pages, no dragging; the second says who gets what.
func TestSwap(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	o.Rota(nil)
	b := o.User("P. Iket", desk.RoleCaseWorker)
	form := b.Get("/on-call/swap")
	mine, theirs := value(t, form, "mine", "Eerste"), value(t, form, "theirs", "W. Acht")
	contains(t, b.Get("/on-call/swap?step=check&mine="+url.QueryEscape(mine)), "Kies de dienst van de ander", "selected")
	q := url.Values{"step": {"check"}, "mine": {mine}, "theirs": {theirs}}
	check := b.Get("/on-call/swap?" + q.Encode())
	contains(t, check, "Klopt deze ruil", "aan W. Acht", "van W. Acht", `name="pin"`, html.EscapeString(mine))
	wrong := b.Post("/on-call/swap", url.Values{"step": {"check"}, "mine": {mine}, "theirs": {theirs}, "pin": {"998877"}})
	contains(t, wrong, "De pincode klopt niet", "aan W. Acht")
	contains(t, leads(t, b, b.Post("/on-call/swap", pin("step", "check", "mine", mine, "theirs", theirs)), "/on-call"), "De diensten zijn geruild")
	r, err := o.Member.Node.Rota(t.Context())
	if err != nil || len(r.Roster.Changes) != 2 {
		t.Errorf("%d changes, %v", len(r.Roster.Changes), err)
	}
	again := b.Post("/on-call/swap", pin("step", "check", "mine", mine, "theirs", theirs)) // the shifts are another's now
	if again.Status == http.StatusSeeOther {
		t.Error("the same swap was done twice")
	}
	contains(t, b.Get("/on-call/calendar?of=me"), "BEGIN:VCALENDAR")
}

// TestKeeperOfTheRota: putting somebody on call and letting somebody leave show what they
// come to before they are signed; who is no keeper does neither.
func TestKeeperOfTheRota(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	o.Rota(nil)
	worker, b := o.User("P. Iket", desk.RoleCaseWorker), (*webtest.Browser)(nil)
	for _, path := range []string{"/on-call/override", "/on-call/leave", "/on-call/rota", "/on-call/rota/sheet", "/on-call/rota/calendar", "/on-call/rota/file"} {
		if a := worker.Get(path); a.Status != http.StatusForbidden {
			t.Errorf("%s: %d", path, a.Status)
		}
	}
	b = o.User("P. Iket", desk.RoleKeeper)
	contains(t, b.Get("/on-call/rota"), "elke week", "Om de beurt P. Iket, W. Acht", "Meteen: Eerste", "Na 5 minuten: Achterwacht", "geen manier om op te roepen", "De relay kan")
	from, to := o.Chain.Now().AddDate(0, 0, 2).Format("2006-01-02T15:04"), o.Chain.Now().AddDate(0, 0, 3).Format("2006-01-02T15:04")
	q := url.Values{"step": {"check"}, "who": {"p-3"}, "level": {"0"}, "from": {to}, "to": {from}}
	contains(t, b.Get("/on-call/override?"+q.Encode()), "Het einde ligt niet na het begin")
	q.Set("from", from)
	q.Set("to", to)
	contains(t, b.Get("/on-call/override?"+q.Encode()), "achterwacht krijgt deze tijd", "steeds iemand")
	leads(t, b, b.Post("/on-call/override", pin("step", "check", "who", "p-3", "level", "0", "from", from, "to", to)), "/on-call")
	contains(t, b.Get("/on-call/leave?step=check&who=p-2"), "W. Acht gaat uit het rooster", "keer niemand")
	contains(t, b.Get("/on-call/leave?step=check&who=p-9"), "Deze naam staat niet in het rooster")
	contains(t, leads(t, b, b.Post("/on-call/leave", pin("step", "check", "who", "p-2")), "/on-call"), "Deze collega gaat uit het rooster", "keer niemand")
}

// TestSheet: the rota as a text. What is wrong with it is said, what was typed stays, and
// one that a colleague changed meanwhile is refused.
func TestSheet(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	o.Rota(nil)
	b := o.User("P. Iket", desk.RoleKeeper)
	text := b.Get("/on-call/rota/file").Body
	contains(t, webtest.Reply{Body: text}, "revision", "p-1")
	changed := strings.ReplaceAll(text, "telefoon van het piket", "piketfoon <b>")
	const path = "/on-call/rota/sheet"
	contains(t, upload(t, b, o.Base, path, url.Values{"text": {"people = 3\nmijn werk"}}, ""), "Er is niets veranderd", "mijn werk")
	contains(t, upload(t, b, o.Base, path, url.Values{"text": {changed}}, "\xff\xfe"), "Dit bestand is geen tekst")
	check := upload(t, b, o.Base, path, nil, changed)
	contains(t, check, "Klopt dit rooster", "4 mensen", "2 diensten", "piketfoon &lt;b&gt;")
	wrong := upload(t, b, o.Base, path, url.Values{"step": {"sign"}, "text": {changed}, "pin": {"998877"}}, "")
	contains(t, wrong, "De pincode klopt niet", "piketfoon")
	leads(t, b, upload(t, b, o.Base, path, pin("step", "sign", "text", changed), ""), "/on-call")
	contains(t, b.Get("/on-call/rota"), "piketfoon &lt;b&gt;")
	late := upload(t, b, o.Base, path, pin("step", "sign", "text", text), "")
	if late.Status != http.StatusConflict {
		t.Errorf("an old text: %d", late.Status)
	}
	contains(t, late, "intussen veranderd", "telefoon van het piket")
}

// TestCalendarComesIn: what of a calendar is not understood is said before it is signed,
// and after.
func TestCalendarComesIn(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	o.Rota(nil)
	b := o.User("P. Iket", desk.RoleKeeper)
	const path = "/on-call/rota/calendar"
	day := o.Chain.Now().AddDate(0, 0, 3).UTC().Format("20060102")
	event := func(uid, who string) string {
		return "BEGIN:VEVENT\r\nUID:" + uid + "\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:" + day + "T080000Z\r\nDTEND:" + day + "T180000Z\r\nSUMMARY:" + who + "\r\nEND:VEVENT\r\n"
	}
	file := "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//nl\r\n" + event("a", "W. Acht") + event("b", "uitje <b>") + "END:VCALENDAR\r\n"
	contains(t, upload(t, b, o.Base, path, nil, ""), "Kies een bestand")
	contains(t, upload(t, b, o.Base, path, nil, "geen agenda"), "Er is niets veranderd")
	contains(t, upload(t, b, o.Base, path, nil, file), "Er komen 1 diensten en 0 regels bij", "uitje &lt;b&gt;")
	done := leads(t, b, upload(t, b, o.Base, path, pin("step", "sign", "text", file), ""), "/on-call")
	contains(t, done, "De agenda is ingelezen", "uitje &lt;b&gt;")
}
