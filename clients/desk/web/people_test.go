package web_test

import (
	"html"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"schakel/clients/desk"
	"schakel/clients/desk/web/webtest"
	"schakel/clients/schakel"
	"schakel/clients/store"
	"schakel/clients/store/vault"
)

// TestPeople: who signs is added under a PIN typed twice, let in by a link that does not
// let the keeper be that person, given other roles, and removed for good.
func TestPeople(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	b := o.User("Beheer", desk.RoleKeeper)
	for _, path := range []string{"/people", "/people/new", "/people/link"} {
		if a := o.User("B. Ehandel", desk.RoleCaseWorker, desk.RoleOnCall, desk.RoleOfficer).Get(path); a.Status != http.StatusForbidden {
			t.Errorf("%s for who is no keeper: %d", path, a.Status)
		}
	}
	contains(t, b.Get("/people"), "P. Iket", "Beheer", "(u)")
	who := url.Values{"name": {"A. Nnie <b>"}, "telephone": {"+31600000021"}, "new-pin": {"445566"}, "new-pin-again": {"445567"}}
	wrong := b.Post("/people/new", who)
	contains(t, wrong, "niet gelijk", "A. Nnie &lt;b&gt;", "&#43;31600000021")
	lacks(t, wrong, "445566", "445567")
	contains(t, b.Post("/people/new", url.Values{"name": {"p. iket"}, "new-pin": {"12"}}), "Deze naam is er al", "Vul het telefoonnummer in", "minstens zes cijfers")
	who.Set("new-pin-again", "445566")
	contains(t, leads(t, b, b.Post("/people/new", who), "/people"), "kan nu tekenen", "A. Nnie &lt;b&gt;")

	form := b.Get("/people/link")
	person := value(t, form, "person", "A. Nnie")
	contains(t, b.Post("/people/link", url.Values{"role": {"piket"}}), "Kies een collega, of schrijf een naam")
	contains(t, b.Post("/people/link", url.Values{"person": {person}}), "Kies minstens één rol")
	contains(t, b.Post("/people/link", url.Values{"name": {"beheer"}, "role": {"behandelaar"}}), "Deze naam is er al")
	made := leads(t, b, b.Post("/people/link", url.Values{"person": {person}, "role": {"piket"}}), "/people")
	contains(t, made, "Link voor A. Nnie", "werkt één keer")
	link := regexp.MustCompile(regexp.QuoteMeta(o.Base) + `(/enter/[A-Za-z0-9_-]+)`).FindStringSubmatch(html.UnescapeString(made.Body))
	if link == nil {
		t.Fatal("no link")
	}
	ann := webtest.NewBrowser(t, o.Base)
	ann.Post(link[1], nil)
	if a := ann.Get("/inbox"); a.Header.Get("Location") != "/locked" {
		t.Fatalf("the link of a keeper opens the inbox: %d", a.Status)
	}
	ann.Post("/unlock", url.Values{"pin": {"445566"}})
	if a := ann.Get("/inbox"); a.Status != http.StatusOK {
		t.Errorf("with the PIN: %d", a.Status)
	}

	users, err := o.Door.Users(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for _, u := range users {
		ids[u.Name] = u.ID
	}
	for _, path := range []string{"/people/roles", "/people/removal"} {
		a := b.Post(path, url.Values{"user": {ids["Beheer"]}, "role": {"behandelaar"}})
		if a.Status != http.StatusForbidden {
			t.Errorf("%s about oneself: %d", path, a.Status)
		}
		contains(t, a, "Over uzelf beslist een ander")
	}
	q := url.Values{"user": {ids["A. Nnie <b>"]}, "role": {"functionaris"}}
	contains(t, b.Get("/people/roles?"+url.Values{"user": q["user"]}.Encode()), `value="piket" checked`)
	leads(t, b, b.Post("/people/roles", q), "/people")
	if a := ann.Get("/inbox"); a.Status != http.StatusForbidden {
		t.Errorf("with another role: %d", a.Status)
	}
	contains(t, b.Get("/people/removal?"+url.Values{"user": q["user"]}.Encode()), "vervalt voorgoed", "niet ongedaan maken")
	o.Until("the register has the person", func() bool { return b.Post("/people/removal", q).Status == http.StatusSeeOther })
	if a := ann.Get("/on-call"); a.Header.Get("Location") != "/sign-in" {
		t.Errorf("who was removed is in: %d", a.Status)
	}
	o.Until("the person signs no more", func() bool {
		all, err := o.Member.Node.Persons(t.Context())
		return err == nil && len(all) == 1
	})
	log, err := o.Member.Node.Log(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	var acts []string
	for _, l := range log.Lines {
		acts = append(acts, l.Action)
	}
	for _, want := range []string{"web-person-added", "web-invited", "web-roles", "web-removed"} {
		if !strings.Contains(strings.Join(acts, " "), want) {
			t.Errorf("the access log has no %s: %q", want, acts)
		}
	}
}

// TestDevices: a request is let in only with the digits that its holder reads out; what
// is revoked is gone.
func TestDevices(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	b, officer := o.User("Beheer", desk.RoleKeeper), o.User("F. Unctie", desk.RoleOfficer)
	contains(t, b.Get("/devices"), "(dit apparaat)", "Trek in")
	lacks(t, officer.Get("/devices"), "Trek in", "/devices/new")
	dir := filepath.Join(t.TempDir(), "new")
	fresh, err := store.Create(t.Context(), dir, store.CreateOptions{Keys: []vault.Way{vault.KeyFile{Path: dir + ".key"}, vault.Passphrase{Phrase: "test passphrase, worthless", WorkFactor: 4}}})
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	request, err := schakel.RequestDevice(t.Context(), fresh, o.Member.Desk, o.Chain.Now())
	if err != nil {
		t.Fatal(err)
	}
	fingerprint, err := schakel.DeviceFingerprint(request)
	if err != nil {
		t.Fatal(err)
	}
	const path = "/devices/new"
	contains(t, upload(t, b, o.Base, path, nil, "geen aanvraag"), "Kies het bestand van een aanvraag", "Typ de cijfers die u hoort")
	wrong := upload(t, b, o.Base, path, url.Values{"heard": {"11111 22222 33333 44444 55555 66666 77777 88888"}}, string(request))
	contains(t, wrong, "Dit zijn andere cijfers")
	lacks(t, wrong, strings.Fields(fingerprint)[0]) // who can copy it here compares nothing
	check := upload(t, b, o.Base, path, url.Values{"heard": {fingerprint}}, string(request))
	contains(t, check, "leest hierna alles", "Laat dit apparaat toe")
	before, err := o.Member.Node.Devices(t.Context())
	if err != nil || len(before) != 1 {
		t.Fatalf("%d devices before, %v", len(before), err)
	}
	contains(t, leads(t, b, upload(t, b, o.Base, path, url.Values{"heard": {fingerprint}, "request": {string(request)}, "step": {"sign"}}, ""), "/devices"), "Het apparaat is toegelaten")
	var other string
	o.Until("it is in the register", func() bool {
		all, err := o.Member.Node.Devices(t.Context())
		for _, d := range all {
			if !d.Here {
				other = d.ID.String()
			}
		}
		return err == nil && other != ""
	})
	revoke := "/devices/" + other + "/revocation"
	contains(t, b.Get(revoke+"?step=check"), "Kies een reden")
	contains(t, b.Get(revoke+"?step=check&reason=lost"), "Dit apparaat intrekken", "niet ongedaan maken")
	contains(t, leads(t, b, b.Post(revoke, url.Values{"step": {"check"}, "reason": {"lost"}}), "/devices"), "Het apparaat is ingetrokken")
	o.Until("it is gone", func() bool { return !strings.Contains(b.Get("/devices").Body, other) })
	if a := b.Get(revoke); a.Status != http.StatusNotFound {
		t.Errorf("a device that there is not: %d", a.Status)
	}
}

// TestSettings: what this desk is set up to, for who looks after it; others see no paths.
func TestSettings(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	b, worker := o.User("Beheer", desk.RoleKeeper), o.User("P. Iket", desk.RoleCaseWorker)
	contains(t, b.Get("/settings"), "vt20/crisis", "Verbonden sinds", "web-names", "/etc/schakel/client.toml", "1.2.3", "3 MB", "English", "Nog nooit gemaakt")
	page := worker.Get("/settings")
	contains(t, page, "vt20/crisis", "/static/desk.css")
	lacks(t, page, "/etc/schakel/client.toml", "reservekopie")

	// Backups that stopped are seen here too, and one that was made ends it.
	made := o.Chain.Now().AddDate(0, 0, -10)
	must(t, o.Member.Node.NoteBackup(t.Context(), store.Backup{At: made}))
	contains(t, b.Get("/settings"), "Dat is te lang geleden")
	must(t, o.Member.Node.NoteBackup(t.Context(), store.Backup{At: o.Chain.Now()}))
	fresh := b.Get("/settings")
	contains(t, fresh, "Laatste reservekopie")
	lacks(t, fresh, "Nog nooit gemaakt", "Dat is te lang geleden")
}
