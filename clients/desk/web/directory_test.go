package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"schakel/clients/desk"
	"schakel/clients/desk/web/webtest"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

// TestAddressBook: desks are found by their organisation, their role and the places they
// work for, with and without diacritics.
func TestAddressBook(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	b := o.User("F. Unctie", desk.RoleOfficer)
	police := o.Chain.Join("politie-mn/meldkamer", identity.RolePolitie)
	police.Start()
	o.Until("the register is known", func() bool { return strings.Contains(b.Get("/directory").Body, "politie-mn/meldkamer") })
	contains(t, b.Get("/directory"), "Test arts", "arts/praktijk", "Bel &#43;31600000001", "nog niet vergeleken", "/directory/politie-mn/meldkamer", "/directory/vt20/crisis")
	for q, want := range map[string]bool{"politie": true, "POLÍTIE": true, "mëldkamer": true, "Utrecht": true, "Soest": true, "arts": false, "Groningen": false, "zzz": false, "%": false} {
		page := b.Get("/directory?q=" + url.QueryEscape(q))
		if got := strings.Contains(page.Body, `href="/directory/politie-mn/meldkamer"`); got != want {
			t.Errorf("%q finds the police: %t", q, got)
		}
	}
	contains(t, b.Get("/directory?q=zzz"), "0 bureaus gevonden", "Niets gevonden")
	lacks(t, b.Get("/directory?q="+url.QueryEscape(`"><script>x</script>`)), "<script>x")
	for _, path := range []string{"/directory/nergens/nooit", "/directory/x/<b>", "/directory/arts"} {
		if a := b.Get(path); a.Status != http.StatusNotFound {
			t.Errorf("%s: %d", path, a.Status)
		}
	}
}

// TestCompareByTelephone: what is heard is typed, not read from the page; a key that was
// replaced stops sending, with two ways on.
func TestCompareByTelephone(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	b, keeper := o.User("P. Iket", desk.RoleOnCall), o.User("Beheer", desk.RoleKeeper)
	const path = "/directory/arts/praktijk"
	o.Until("the register is known", func() bool { return b.Get(path).Status == http.StatusOK })
	there, err := o.Doctor.Node.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	groups := strings.Fields(there.Fingerprint)
	page := b.Get(path)
	contains(t, page, append(groups, "<svg", "Test arts", "nog niet vergeleken")...)
	lacks(t, page, "Verstuur een proefbericht")
	form := b.Get(path + "/verification")
	contains(t, form, "Bel dit bureau op een nummer dat u al had", `name="heard"`)
	lacks(t, form, groups[0]+"<", "<svg") // who can read it here compares nothing
	contains(t, b.Post(path+"/verification", pin()), "Typ de cijfers die u hoort")
	wrong := b.Post(path+"/verification", pin("heard", "12345 67890"))
	contains(t, wrong, "Er is niets veranderd", "Laat de cijfers nog eens voorlezen", `value="12345 67890"`)
	done := leads(t, b, b.Post(path+"/verification", pin("heard", strings.Join(groups, "-"))), path)
	contains(t, done, "De cijfers kloppen", "vergeleken", "door P. Iket")
	own := b.Get("/directory/vt20/crisis")
	contains(t, own, "Dit is ons eigen bureau", "<svg")
	lacks(t, own, "/verification")
	if a := b.Get("/directory/vt20/crisis/verification"); a.Status != http.StatusNotFound {
		t.Errorf("comparing with oneself: %d", a.Status)
	}
	o.Until("a test goes out", func() bool { return keeper.Post(path+"/test", nil).Status == http.StatusSeeOther })

	o.Chain.ReplaceKey("arts")
	o.Until("the key is another", func() bool { return strings.Contains(b.Get(path).Body, "een andere sleutel dan eerst") })
	contains(t, b.Get(path), "Bel en vergelijk", "Weiger de sleutel", "Heeft iets haast? Bel.")
	contains(t, b.Get("/directory"), "Andere sleutel: vergelijk eerst")
	contains(t, keeper.Post(path+"/test", nil), "een andere sleutel", "Vergelijk de cijfers in het adresboek")
	contains(t, b.Post(path+"/verification", pin("heard", there.Fingerprint)), "Laat de cijfers nog eens voorlezen")
	contains(t, b.Post(path+"/refusal", url.Values{"pin": {"998877"}}), "De pincode klopt niet")
	contains(t, leads(t, b, b.Post(path+"/refusal", pin()), path), "Deze sleutel is geweigerd", "P. Iket weigerde deze sleutel")
	alarms, err := o.Member.Node.Alarms(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range alarms {
		if a.Kind == schakel.AlarmNewKey {
			t.Errorf("the alarm stays: %+v", a)
		}
	}
}

// TestConfirmNewDevice: a device that came to a desk is marked, and confirmed by who
// telephoned, with the number and the PIN.
func TestConfirmNewDevice(t *testing.T) {
	o := webtest.Open(t, webtest.Options{Cools: 24 * time.Hour})
	b := o.User("P. Iket", desk.RoleOnCall)
	const path = "/directory/arts/praktijk"
	o.Until("the register is known", func() bool { return b.Get(path).Status == http.StatusOK })
	if a := b.Get(path + "/confirmation"); a.Status != http.StatusNotFound {
		t.Errorf("nothing to confirm: %d", a.Status)
	}
	id := o.Doctor.Intruder().Node.Device().String()
	o.Until("the new device is marked", func() bool { return strings.Contains(b.Get("/directory").Body, "nieuw apparaat wacht") })
	contains(t, b.Get(path), "Dit bureau heeft een nieuw apparaat", "Krijgt niets tot", path+"/confirmation")
	form := b.Get(path + "/confirmation")
	contains(t, form, id, `name="called"`, "Kent niemand daar dit apparaat?")
	contains(t, b.Post(path+"/confirmation", pin()), "Kies het apparaat", "Vul het nummer in")
	contains(t, b.Post(path+"/confirmation", pin("device", id, "called", "bel maar")), "Schrijf het nummer met landcode", `value="bel maar"`)
	contains(t, b.Post(path+"/confirmation", url.Values{"pin": {"998877"}, "device": {id}, "called": {"+31600000001"}}), "De pincode klopt niet")
	if a := b.Post(path+"/confirmation", pin("device", "00000000-0000-7000-8000-000000000001", "called", "+31600000001")); a.Status != http.StatusNotFound {
		t.Errorf("a device that does not wait: %d", a.Status)
	}
	contains(t, leads(t, b, b.Post(path+"/confirmation", pin("device", id, "called", "+31 6 00000001")), path), "Dit apparaat is bevestigd", "P. Iket belde &#43;31600000001")
	lacks(t, b.Get("/directory"), "nieuw apparaat wacht")
}

// TestConfirmOwnNewDevice: the same of a device of this desk, whoever sits at the screen.
// Nobody compares or refuses the own organisation's key there.
func TestConfirmOwnNewDevice(t *testing.T) {
	o := webtest.Open(t, webtest.Options{Cools: 24 * time.Hour})
	b := o.User("P. Iket", desk.RoleOnCall)
	const path = "/directory/vt20/crisis"
	o.Until("the register is known", func() bool { return b.Get(path).Status == http.StatusOK })
	for _, no := range []string{"/confirmation", "/verification", "/refusal"} {
		if a := b.Get(path + no); a.Status != http.StatusNotFound {
			t.Errorf("%s before there is anything: %d", no, a.Status)
		}
	}
	id := o.Member.Intruder().Node.Device().String()
	o.Until("the new device is marked", func() bool { return strings.Contains(b.Get(path).Body, "Dit bureau heeft een nieuw apparaat") })
	contains(t, b.Get(path), "Krijgt niets tot", "Bel de collega die het heeft", path+"/confirmation")
	contains(t, b.Get(path+"/confirmation"), id, `name="called"`, "Kent niemand dit apparaat?")
	contains(t, b.Post(path+"/confirmation", pin()), "Kies het apparaat", "Vul het nummer in")
	contains(t, b.Post(path+"/confirmation", url.Values{"pin": {"998877"}, "device": {id}, "called": {"+31600000001"}}), "De pincode klopt niet")
	contains(t, leads(t, b, b.Post(path+"/confirmation", pin("device", id, "called", "06-00000001")), path), "Dit apparaat is bevestigd", "P. Iket belde &#43;31600000001")
	for _, no := range []string{"/verification", "/refusal"} {
		if a := b.Get(path + no); a.Status != http.StatusNotFound {
			t.Errorf("%s of the own desk: %d", no, a.Status)
		}
	}
	st, err := o.Member.Node.Status(t.Context())
	if err != nil || st.NewDevices != 0 || len(st.OwnNewDevices) != 1 || st.OwnNewDevices[0].Confirmed.IsZero() {
		t.Errorf("the device knows of %+v, %v", st.OwnNewDevices, err)
	}
}
