package api_test

import (
	"net/http"
	"testing"
	"time"

	"schakel/clients/desk"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
)

// TestConfirmOwnNewDevice: a device that came to the own desk is named in the status, and is
// confirmed by who telephoned its holder, with the PIN and the number: as on its page. What is
// refused there is refused here, and changes nothing.
func TestConfirmOwnNewDevice(t *testing.T) {
	o := openCooling(t, 24*time.Hour)
	p := o.worker()
	status := func() (st schakel.Status) {
		t.Helper()
		p.want(http.StatusOK, "GET", "/v1/status", nil).into(t, &st)
		return st
	}
	o.until("the register is known", func() bool { return status().RegisterSize > 0 })
	if st := status(); len(st.OwnNewDevices) != 0 {
		t.Errorf("before there is any: %+v", st.OwnNewDevices)
	}
	id := o.member.Intruder().Node.Device().String()
	o.until("the new device is named", func() bool { return len(status().OwnNewDevices) == 1 })
	if d := status().OwnNewDevices[0]; d.ID.String() != id || d.Waits.IsZero() || d.Fingerprint == "" || !d.Confirmed.IsZero() {
		t.Errorf("it says %+v", d)
	}
	form := func(change func(map[string]any)) map[string]any {
		f := map[string]any{"desk": "vt20/crisis", "device": id, "called": "+31600000001", "by": schakel.By{Person: o.person.ID.String(), PIN: schakeltest.PIN}}
		change(f)
		return f
	}
	for what, c := range map[string]struct {
		change func(map[string]any)
		status int
	}{
		"another PIN":           {func(f map[string]any) { f["by"] = schakel.By{Person: o.person.ID.String(), PIN: "998877"} }, http.StatusForbidden},
		"nobody's name":         {func(f map[string]any) { f["by"] = schakel.By{} }, http.StatusForbidden},
		"no number":             {func(f map[string]any) { f["called"] = "" }, http.StatusBadRequest},
		"no telephone number":   {func(f map[string]any) { f["called"] = "bel maar" }, http.StatusBadRequest},
		"a device that is not":  {func(f map[string]any) { f["device"] = "00000000-0000-7000-8000-000000000001" }, http.StatusNotFound},
		"a device of elsewhere": {func(f map[string]any) { f["desk"] = "arts/praktijk" }, http.StatusNotFound},
	} {
		if r := p.ask("POST", "/v1/device-confirmations", form(c.change)); r.status != c.status {
			t.Errorf("%s: %d %s, want %d", what, r.status, r.body, c.status)
		}
	}
	reader := o.program("lezer", desk.TokenRequest{Roles: desk.Roles(), Scopes: []string{"desk:read"}, Person: o.person.Name})
	whole := form(func(map[string]any) {})
	if r := reader.ask("POST", "/v1/device-confirmations", whole); r.status != http.StatusForbidden {
		t.Errorf("a token that may only read: %d", r.status)
	}
	if d := status().OwnNewDevices[0]; !d.Confirmed.IsZero() {
		t.Fatalf("confirmed by what was refused: %+v", d)
	}
	p.want(http.StatusNoContent, "POST", "/v1/device-confirmations", whole)
	if st := status(); st.NewDevices != 0 || len(st.OwnNewDevices) != 1 || st.OwnNewDevices[0].Confirmed.IsZero() || st.OwnNewDevices[0].By != "P. Iket" || st.OwnNewDevices[0].Called != "+31600000001" {
		t.Errorf("the status says %+v", st.OwnNewDevices)
	}
}
