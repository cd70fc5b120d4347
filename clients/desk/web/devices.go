package web

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"schakel/clients/desk/signin"
	"schakel/clients/harmless"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
)

func deviceRoutes() []Route {
	return []Route{
		{Method: "GET", Path: "/devices", Operation: "Devices", Who: Users, serve: (*Site).devices},
		{Method: "GET", Path: "/devices/new", Operation: "Vouch", Who: Users, serve: (*Site).vouchForm},
		{Method: "POST", Path: "/devices/new", Operation: "Vouch", Who: Users, serve: (*Site).vouch},
		{Method: "GET", Path: "/devices/{device}/revocation", Operation: "Revoke", Who: Users, serve: (*Site).revokeForm},
		{Method: "POST", Path: "/devices/{device}/revocation", Operation: "Revoke", Who: Users, serve: (*Site).revoke},
	}
}

// machines are the devices of this organisation.
type machines struct {
	Rows []machine
	Done *done
}

// machine is a device, as the register has it.
type machine struct {
	ID, Short, Desk     string
	Light, Active, Here bool
	Until               time.Time
}

func (s *Site) devices(v *visit) (answer, error) {
	rows, err := s.machines(v)
	return answer{page: "devices", title: "title.devices", shows: machines{rows, s.done(v)}}, err
}

func (s *Site) machines(v *visit) (out []machine, err error) {
	all, err := v.node.Devices(v.Context())
	for _, d := range all {
		id := d.ID.String()
		out = append(out, machine{ID: id, Short: deviceNumber(id), Desk: harmless.Line(string(d.Desk)), Light: d.Light, Active: d.Active, Here: d.Here, Until: d.Until})
	}
	return out, err
}

// vouching is the request of a new device, and what its holder reads out.
type vouching struct {
	*form
	Request string
	Check   *newDevice
}

// newDevice is what a request asks for.
type newDevice struct {
	Light  bool
	Groups []string
}

// maxDeviceRequest bounds the file of a further device: one register entry.
const maxDeviceRequest = 16 << 10

func (s *Site) vouchForm(v *visit) (answer, error) {
	return answer{page: "newdevice", title: "title.new-device", shows: vouching{form: v.form()}}, nil
}

// vouch lets a device in whose holder read out the right fingerprint. The check page says
// what that means; nothing is entered into the register before.
func (s *Site) vouch(v *visit) (answer, error) {
	f := v.form()
	out := vouching{form: f, Request: f.values.Get("request")}
	page := answer{page: "newdevice", title: "title.new-device-again", status: http.StatusUnprocessableEntity}
	file, err := v.uploaded("file")
	if file != "" {
		out.Request = file
	}
	out.Request = strings.ReplaceAll(out.Request, "\r\n", "\n")
	if err != nil || out.Request == "" || len(out.Request) > maxDeviceRequest {
		f.fault("file", "device.no-request")
	}
	f.need("heard")
	var fingerprint string
	if f.Wrong("file") == "" {
		if fingerprint, err = schakel.DeviceFingerprint([]byte(out.Request)); err != nil {
			f.fault("file", "device.no-request")
		}
	}
	if f.good() && !identity.SameFingerprint(fingerprint, f.Get("heard")) {
		f.fault("heard", "device.mismatch")
	}
	if f.good() {
		out.Check = &newDevice{schakel.RequestsLight([]byte(out.Request)), strings.Fields(fingerprint)}
	}
	if out.Check != nil && f.Is("step", "sign") {
		if err := s.Door.Did(v.Context(), v.user, signin.ActVouched, fingerprint); err != nil {
			return answer{}, err
		}
		err := v.node.Vouch(v.Context(), []byte(out.Request))
		if err == nil {
			return s.after(v, "/devices", done{What: "vouched"}), nil
		}
		if page.status, err = f.refuse(err); err != nil {
			return answer{}, err
		}
	} else if out.Check != nil {
		page.title, page.status = "title.new-device-check", http.StatusOK
	}
	page.shows = out
	return page, nil
}

// revoking is a device that ends, and why.
type revoking struct {
	*form
	machine
	Reasons []choice
	Check   bool
}

func revocationReasons() []trust.Reason {
	return []trust.Reason{trust.ReasonLost, trust.ReasonCompromised, trust.ReasonRetired, trust.ReasonMistake}
}

func (s *Site) revokeForm(v *visit) (answer, error) {
	out, err := s.revoking(v)
	title := "title.revoke"
	if out.Check {
		title = "title.revoke-check"
	}
	return answer{page: "revoke", title: title, shows: out}, err
}

func (s *Site) revoking(v *visit) (revoking, error) {
	out := revoking{form: v.form()}
	all, err := s.machines(v)
	if err != nil {
		return out, err
	}
	for _, m := range all {
		if m.ID == v.PathValue("device") {
			out.machine = m
		}
	}
	if out.ID == "" {
		return out, schakel.ErrUnknownSubject
	}
	found := false
	for _, r := range revocationReasons() {
		out.Reasons = append(out.Reasons, choice{string(r), v.lang.word("device.reason-" + string(r)), out.Is("reason", string(r))})
		found = found || out.Is("reason", string(r))
	}
	if out.Is("step", "check") && !found {
		out.fault("reason", "device.choose")
	}
	out.Check = out.Is("step", "check") && found
	return out, nil
}

func (s *Site) revoke(v *visit) (answer, error) {
	out, err := s.revoking(v)
	if err != nil {
		return answer{}, err
	}
	page := answer{page: "revoke", title: "title.revoke-again", status: http.StatusUnprocessableEntity, shows: out}
	if !out.Check {
		return page, nil
	}
	if err := s.Door.Did(v.Context(), v.user, signin.ActRevoked, out.ID); err != nil {
		return answer{}, err
	}
	err = v.node.Revoke(v.Context(), trust.Subject("device/"+out.ID), trust.Reason(out.Get("reason")))
	if err == nil {
		return s.after(v, "/devices", done{What: "revoked"}), nil
	}
	if errors.Is(err, schakel.ErrUnreachable) {
		out.fault("reason", "device.offline")
		out.Check = false // the reason is asked again, and can be followed to
		page.shows = out
		return page, nil
	}
	if page.status, err = out.refuse(err); err != nil {
		return answer{}, err
	}
	return page, nil
}
