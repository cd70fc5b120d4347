package api

import (
	"schakel/clients/desk"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
)

func deskActs() map[string]act {
	return map[string]act{
		"getStatus":  get(desk.Node.Status),
		"listAlarms": listed(of(desk.Node.Alarms), func(a schakel.Alarm) string { return string(a.Kind) + " " + a.Subject }),
		"clearAlarm": do(func(c *call, in clearance) error { return c.node.ClearAlarm(c.Context(), in.Kind, in.Subject) }),
		"listDesks":  listed(of(desk.Node.Directory), func(d schakel.Desk) string { return string(d.ID) }),
		"verifyDesk": do(func(c *call, in verification) error {
			return c.node.VerifyDesk(c.Context(), in.Desk, in.Fingerprint, in.By)
		}),
		"confirmDevice": do(func(c *call, in confirmation) error {
			return c.node.ConfirmDevice(c.Context(), in.Desk, in.Device, in.Called, in.By)
		}),
		"refuseDesk":  do(func(c *call, in refusal) error { return c.node.RefuseDesk(c.Context(), in.Desk, in.By) }),
		"getSafety":   get(desk.Node.Safety),
		"listPersons": listed(of(desk.Node.Persons), func(p schakel.Person) string { return p.ID.String() }),
		"addPerson": take(func(c *call, in newPerson) (schakel.Person, error) {
			return c.node.AddPerson(c.Context(), schakel.Person{Name: in.Name, Function: in.Function, Telephone: in.Telephone}, in.PIN)
		}),
		"listDevices":         listed(of(desk.Node.Devices), func(d schakel.Device) string { return itself(d.ID) }),
		"vouchForDevice":      do(func(c *call, in newDevice) error { return c.node.Vouch(c.Context(), in.Request) }),
		"revoke":              do(func(c *call, in revocation) error { return c.node.Revoke(c.Context(), in.Subject, in.Reason) }),
		"listRegisterEntries": listed(of(desk.Node.RegisterEntries), short),
		"sendTestDelivery":    do(func(c *call, in newTest) error { return c.node.SendTest(c.Context(), in.To) }),
		"listAccessLog":       accessLog,
		"listDeletions":       listed(of(desk.Node.Deletions), itself[schakel.Deletion]),
	}
}

// clearance names the alarm that somebody has dealt with.
type clearance struct {
	Kind    schakel.AlarmKind `json:"kind"`
	Subject string            `json:"subject"`
}

// verification is the fingerprint of a desk's organisation, as somebody heard it.
type verification struct {
	Desk        identity.DeskID `json:"desk"`
	Fingerprint string          `json:"fingerprint"`
	By          schakel.By      `json:"by"`
}

// confirmation is that somebody telephoned about a new device of a desk.
type confirmation struct {
	Desk   identity.DeskID   `json:"desk"`
	Device identity.DeviceID `json:"device"`
	Called string            `json:"called"`
	By     schakel.By        `json:"by"`
}

// refusal stops writing to a desk whose organisation has another key.
type refusal struct {
	Desk identity.DeskID `json:"desk"`
	By   schakel.By      `json:"by"`
}

// newPerson is a person with the PIN that will unlock the key.
type newPerson struct {
	Name      string `json:"name"`
	Function  string `json:"function"`
	Telephone string `json:"telephone"`
	PIN       string `json:"pin"`
}

// newDevice is the request of a further device.
type newDevice struct {
	Request []byte `json:"request"`
}

// revocation ends a device or a person.
type revocation struct {
	Subject trust.Subject `json:"subject"`
	Reason  trust.Reason  `json:"reason"`
}

// newTest names the desk that a test delivery goes to.
type newTest struct {
	To identity.DeskID `json:"to"`
}

// logPage is a page of the access log, with whether the whole log checks out.
type logPage struct {
	pageOf[schakel.LogLine]
	Devices []schakel.LogState `json:"devices"`
}

func accessLog(s *Site, c *call) (answer, error) {
	log, err := c.node.Log(c.Context(), c.URL.Query().Get("case"))
	if err != nil {
		return answer{}, err
	}
	a, err := pageAll(s, c, log.Lines, itself[schakel.LogLine])
	if page, ok := a.value.(pageOf[schakel.LogLine]); ok {
		a.value = logPage{page, append([]schakel.LogState{}, log.Devices...)}
	}
	return a, err
}
