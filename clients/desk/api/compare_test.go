package api_test

import (
	"testing"

	"schakel/clients/desk"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
)

// deskOf is the doctor's desk as a program sees it.
func deskOf(o *office, p *program) schakel.Desk {
	o.t.Helper()
	var list struct{ Items []schakel.Desk }
	p.want(200, "GET", "/v1/desks", nil).into(o.t, &list)
	for _, d := range list.Items {
		if d.ID == o.doctor.Desk {
			return d
		}
	}
	o.t.Fatalf("no desk %s", o.doctor.Desk)
	return schakel.Desk{}
}

// TestAKeyIsComparedByAPerson: a program notes what its person heard by telephone, with
// the PIN of that person and of nobody else; the wrong digits change nothing.
func TestAKeyIsComparedByAPerson(t *testing.T) {
	o := open(t)
	p := o.worker()
	other := o.member.AddPerson("N. Acht")
	before := deskOf(o, p)
	comparison := func(heard string, by schakel.By) map[string]any {
		c := map[string]any{"desk": o.doctor.Desk, "by": by}
		if heard != "" {
			c["heard"] = heard
		}
		return c
	}
	for name, c := range map[string]struct {
		status int
		code   string
		body   map[string]any
	}{
		"nothing heard":     {400, "bad-request", comparison("", by(o))},
		"another key":       {403, "key-mismatch", comparison("00000 11111 22222 33333 44444 55555 66666 77777", by(o))},
		"a wrong PIN":       {403, "wrong-pin", comparison(before.Fingerprint, schakel.By{Person: o.person.ID.String(), PIN: "000000"})},
		"nobody signs":      {403, "person-needed", comparison(before.Fingerprint, schakel.By{})},
		"as another person": {403, "own-person", comparison(before.Fingerprint, schakel.By{Person: other.ID.String(), PIN: schakeltest.PIN})},
		"no such desk":      {404, "unknown-desk", map[string]any{"desk": "geen/bureau", "heard": before.Fingerprint, "by": by(o)}},
		"its own desk":      {404, "unknown-desk", map[string]any{"desk": o.member.Desk, "heard": before.Fingerprint, "by": by(o)}},
	} {
		if code := p.want(c.status, "POST", "/v1/desk-verifications", c.body).code(t); code != c.code {
			t.Errorf("%s: %s, want %s", name, code, c.code)
		}
	}
	if d := deskOf(o, p); before.Fingerprint == "" || d.Key != schakel.KeyUnchecked {
		t.Fatalf("after what was refused: %+v", d)
	}
	verify := func() reply {
		return p.want(204, "POST", "/v1/desk-verifications", comparison(before.Fingerprint, by(o)), "Idempotency-Key", "verify-0001")
	}
	verify()
	if d := deskOf(o, p); d.Key != schakel.KeyVerified || d.KeyBy != o.person.Name || d.KeyAt.IsZero() {
		t.Errorf("verified: %+v", d)
	}
	if verify().header.Get("Idempotency-Replayed") != "true" {
		t.Error("it was noted twice")
	}
	refusesAKey(t, o, p)
}

// refusesAKey: what was refused can be written to no more, and the problem says what to do.
func refusesAKey(t *testing.T, o *office, p *program) {
	t.Helper()
	none := o.program("geen", desk.TokenRequest{Roles: desk.Roles()})
	if code := none.want(403, "POST", "/v1/desk-refusals", map[string]any{"desk": o.doctor.Desk, "by": by(o)}).code(t); code != "own-person" {
		t.Errorf("a program of nobody: %s", code)
	}
	test := map[string]string{"to": string(o.doctor.Desk)}
	p.want(204, "POST", "/v1/test-deliveries", test) // control: before it was refused
	p.want(204, "POST", "/v1/desk-refusals", map[string]any{"desk": o.doctor.Desk, "by": by(o)})
	if d := deskOf(o, p); d.Key != schakel.KeyRefused || d.Reachable {
		t.Errorf("refused: %+v", d)
	}
	var refused struct{ Code, Remedy string }
	p.want(409, "POST", "/v1/test-deliveries", test).into(t, &refused)
	if refused.Code != "key-refused" || refused.Remedy == "" {
		t.Errorf("%+v", refused)
	}
}

// TestSafety: what the owner of the device did is seen by a program that watches over it,
// which can do none of it.
func TestSafety(t *testing.T) {
	o := open(t)
	p := o.program("bewaking", desk.TokenRequest{Roles: []desk.Role{desk.RoleOfficer}, Scopes: []string{"desk:read"}})
	var none, made schakel.Safety
	p.want(200, "GET", "/v1/safety", nil).into(t, &none)
	if !none.Backup.IsZero() {
		t.Errorf("no backup yet: %+v", none)
	}
	ok(t, o.member.Node.NoteBackup(t.Context(), schakel.Backup{At: o.chain.Now(), Messages: 3}))
	p.want(200, "GET", "/v1/safety", nil).into(t, &made)
	if made.Backup.IsZero() || made.Messages != 3 {
		t.Errorf("a backup: %+v", made)
	}
	all := o.worker()
	for _, path := range []string{"backup", "backups", "backup/kept", "recovery", "recovery/trial"} {
		all.want(404, "GET", "/v1/"+path, nil)
		all.want(404, "POST", "/v1/"+path, map[string]string{"passphrase": "x"})
	}
	worker := o.program("zaken", desk.TokenRequest{Roles: []desk.Role{desk.RoleCaseWorker}})
	if code := worker.want(403, "GET", "/v1/safety", nil).code(t); code != "no-right" {
		t.Errorf("a case worker's program: %s", code)
	}
}
