package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"schakel/clients/desk"
	"schakel/clients/desk/web/webtest"
	"schakel/clients/roster"
	"schakel/clients/store"
)

// TestAlarms: in words, with what to do and whom to call, in the reader's language; who
// puts one away stands in the access log.
func TestAlarms(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	b, officer := o.User("P. Iket", desk.RoleOnCall), o.User("F. Unctie", desk.RoleOfficer)
	contains(t, b.Get("/alarms"), "Er zijn geen alarmen")
	o.Until("the register is known", func() bool { return strings.Contains(b.Get("/directory").Body, "arts/praktijk") })
	hash := o.Report(nil)
	o.Rota(func(s *roster.Sheet) { s.Layers[0].Rules[0].To = "2026-01-11T08:00" })
	err := o.Member.Store().Update(t.Context(), func(tx *store.Tx) error {
		for _, a := range [][3]string{{"niet-bevestigd", hash + " arts/praktijk", "arts/praktijk"}, {"van-later", "x <b>", "y"}} {
			if _, err := tx.RaiseAlarm(a[0], a[1], a[2], o.Chain.Now()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	page := b.Get("/alarms")
	contains(t, page, "Test arts (arts/praktijk) heeft uw bericht nog niet bevestigd", "Bel &#43;31600000001", "/messages/"+hash, "heeft soms niemand piket", `href="/on-call"`, "Alarmen <span class=\"count\">3</span>", "van-later")
	lacks(t, page, "schakel oncall", "<b>", "%s", "%!")
	lacks(t, officer.Get("/alarms"), "/alarms/clearance", "/messages/")
	english := request(t, http.MethodGet, o.Base+"/alarms", "")
	english.Header.Set("Accept-Language", "en")
	contains(t, b.Send(english), "has not acknowledged your message yet", "Telephone that desk", "there sometimes is nobody on call")

	q := url.Values{"kind": {"niet-bevestigd"}, "subject": {hash + " arts/praktijk"}}
	contains(t, b.Get("/alarms/clearance?"+q.Encode()), "Is dit afgehandeld", "heeft uw bericht nog niet bevestigd")
	if a := b.Get("/alarms/clearance?kind=x&subject=y"); a.Status != http.StatusNotFound {
		t.Errorf("an alarm that there is not: %d", a.Status)
	}
	if a := officer.Post("/alarms/clearance", q); a.Status != http.StatusForbidden {
		t.Errorf("who only watches puts an alarm away: %d", a.Status)
	}
	after := leads(t, b, b.Post("/alarms/clearance", q), "/alarms")
	contains(t, after, "Het alarm is weg")
	lacks(t, after, "heeft uw bericht nog niet bevestigd")
	log, err := o.Member.Node.Log(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range log.Lines {
		if l.Action == "web-alarm-cleared" && l.Person == "P. Iket" && strings.Contains(l.Subject, "niet-bevestigd") {
			return
		}
	}
	t.Errorf("the access log does not say who put it away: %+v", log.Lines[max(0, len(log.Lines)-3):])
}

// TestAnAlarmIsNews: a page that is open hears of an alarm, whatever its user may read.
func TestAnAlarmIsNews(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	b := o.User("F. Unctie", desk.RoleOfficer)
	resp, err := b.Do(request(t, http.MethodGet, o.Base+"/live", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	news := make(chan string, 16)
	go func() {
		defer close(news)
		buf := make([]byte, 512)
		for {
			n, err := resp.Body.Read(buf)
			if err != nil {
				return
			}
			news <- string(buf[:n])
		}
	}()
	<-news
	o.Rota(func(s *roster.Sheet) { s.Layers[0].Rules[0].To = "2026-01-11T08:00" })
	end := time.After(time.Minute)
	for heard := ""; !strings.Contains(heard, "data: alarm"); {
		select {
		case s := <-news:
			heard += s
		case <-end:
			t.Fatalf("heard %q", heard)
		}
	}
	_ = resp.Body.Close()
	for range news { // until the reader is gone
	}
}
