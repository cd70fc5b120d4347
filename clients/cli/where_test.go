package cli_test

import (
	"encoding/json"
	"strings"
	"testing"

	"schakel/clients/cli"
	"schakel/clients/schakel"
)

func region() *scripted {
	return &scripted{desks: []schakel.Desk{
		{ID: "vt20/crisis", Org: "Veilig Thuis Utrecht (fictief)", Role: "veilig-thuis", Region: "VT20", Telephone: "+31600000007", Devices: 1, Reachable: true},
		{ID: "vt15/crisis", Org: "Veilig Thuis Midden-Brabant (fictief)", Role: "veilig-thuis", Region: "VT15", Telephone: "+31600000017", Devices: 1, Reachable: true},
		{ID: "politie-mn/oc", Org: "Politie (fictief)", Role: "politie", Region: "RE03", Telephone: "+31600000004", Devices: 1},
		{ID: "politie-ob/oc", Org: "Politie (fictief)", Role: "politie", Region: "RE09", Telephone: "+31600000005", Devices: 1, Reachable: true},
		{ID: "knooppunt/piket", Org: "Knooppunt (fictief)", Role: "knooppunt", Telephone: "+31600000006", Devices: 1, Reachable: true},
		{ID: "opvang/nacht", Org: "Opvang (fictief)", Role: "opvang", Telephone: "+31600000008", Devices: 1, Reachable: true},
	}}
}

func TestWhere(t *testing.T) {
	p := newPlace(t)
	p.serve(region())
	out, _ := p.must(cli.Done, "where", "utrecht")
	golden(t, "text/where.txt", out)
	out, _ = p.must(cli.Done, "where", "--json", "GM0344")
	golden(t, "json/where.json", out)
}

// Heusden: Veilig Thuis of Midden-Brabant, police of Oost-Brabant, and nobody else's.
func TestWhereAtTheBorder(t *testing.T) {
	p := newPlace(t)
	p.serve(region())
	out, _ := p.must(cli.Done, "where", "Heusden")
	for desk, serves := range map[string]bool{"vt15/crisis": true, "politie-ob/oc": true, "knooppunt/piket": true,
		"vt20/crisis": false, "politie-mn/oc": false, "opvang/nacht": false} {
		if strings.Contains(out, desk) != serves {
			t.Errorf("%s serves Heusden: %v, want %v\n%s", desk, !serves, serves, out)
		}
	}
}

// A name of two municipalities is answered with both, and with a code that scripts see.
func TestWhereAsksBack(t *testing.T) {
	p := newPlace(t)
	out, errs := p.must(cli.Conflict, "where", "Bergen")
	if !strings.Contains(out, "GM0373") || !strings.Contains(out, "GM0893") || !strings.Contains(errs, "schakel where GM0373") {
		t.Errorf("stdout: %s\nstderr: %s", out, errs)
	}
	out, _ = p.must(cli.Conflict, "where", "bergen", "--json")
	var d struct {
		Choices []struct{ Code string }
		Desks   []any
	}
	if err := json.Unmarshal([]byte(out), &d); err != nil || len(d.Choices) != 2 || d.Desks == nil || len(d.Desks) != 0 {
		t.Errorf("%v in %s", err, out)
	}
}

func TestWhereWithoutADevice(t *testing.T) {
	p := newPlace(t)
	out, errs := p.must(cli.Done, "where", "Mook", "en", "Middelaar")
	if !strings.Contains(out, "Gelderland-Zuid (VT06)") || !strings.Contains(out, "Arrondissementsparket Limburg") || !strings.Contains(errs, "no device here") {
		t.Errorf("stdout: %s\nstderr: %s", out, errs)
	}
	if _, errs := p.must(cli.NotFound, "where", "Utrech"); !strings.Contains(errs, "did you mean Utrecht") || !strings.Contains(errs, "0800-2000") {
		t.Errorf("stderr: %s", errs)
	}
	p.must(cli.Usage, "where")
	p.must(cli.Usage, "where", " ")
}

// Where the register has no Veilig Thuis of the region, the number that always works is named.
func TestWhereNobodyServes(t *testing.T) {
	p := newPlace(t)
	p.serve(region())
	if _, errs := p.must(cli.Done, "where", "Groningen"); !strings.Contains(errs, "0800-2000") {
		t.Errorf("stderr: %s", errs)
	}
}
