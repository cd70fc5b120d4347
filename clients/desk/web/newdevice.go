package web

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"schakel/clients/harmless"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

// newcomer is a device that came to another desk within two weeks.
type newcomer struct {
	ID               string
	Groups           []string // of its fingerprint, to let read out
	Since, Waits, At time.Time
	By, Called       string // who confirmed it, and the number
}

func newcomers(all []schakel.NewDevice) (out []newcomer) {
	for _, x := range all {
		out = append(out, newcomer{x.ID.String(), strings.Fields(x.Fingerprint), x.Since, x.Waits, x.Confirmed, harmless.Line(x.By), harmless.Line(x.Called)})
	}
	return out
}

// Waiting are those that get nothing yet.
func (e entry) Waiting() (out []newcomer) {
	for _, x := range e.New {
		if !x.Waits.IsZero() {
			out = append(out, x)
		}
	}
	return out
}

// confirming is the form in which a person notes that they telephoned about a new device.
// It shows the fingerprint, which the other side reads out of its own list of devices.
func (s *Site) confirmForm(v *visit) (answer, error) {
	out, err := s.confirming(v)
	return answer{page: "confirmdevice", title: "title.confirm-device", shows: out}, err
}

func (s *Site) confirming(v *visit) (comparing, error) {
	out, err := s.comparing(v)
	if err == nil && len(out.Waiting()) == 0 {
		err = schakel.ErrNotNew
	}
	return out, err
}

func (s *Site) confirmDevice(v *visit) (answer, error) {
	c, err := s.confirming(v)
	if err != nil {
		return answer{}, err
	}
	c.need("device")
	c.need("called")
	id, wrong := identity.ParseDeviceID(c.Get("device"))
	if c.good() && (wrong != nil || !slices.ContainsFunc(c.Waiting(), func(x newcomer) bool { return x.ID == id.String() })) {
		return answer{}, schakel.ErrNotNew
	}
	again := answer{page: "confirmdevice", title: "title.confirm-device-again", status: http.StatusUnprocessableEntity, shows: c}
	if !c.good() {
		return again, nil
	}
	number, _ := protocol.Telephone(c.Get("called")) // none: the node says so
	if err := v.node.ConfirmDevice(v.Context(), c.id, id, number, v.by()); err != nil {
		if again.status, err = c.refuse(err); err != nil {
			return answer{}, err
		}
		again.shows = c
		return again, nil
	}
	return s.after(v, c.Path, done{What: "confirmed-device"}), nil
}
