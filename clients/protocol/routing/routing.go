// Package routing knows which Veilig Thuis, which police unit and which prosecutor
// serve a municipality.
//
// A report about a resident goes to the Veilig Thuis whose region holds the victim's
// municipality (rule R01). The relay never sees that municipality; both ends look it up
// here:
//
//	region, ok := routing.RegionOf("GM0344") // VT20
//	found := routing.Find("bergen")          // two of them: let a person choose
//
// The table is that of 1 January 2025; README.md beside this file says where it comes
// from, and what is not in it. The package is pure and its tables are part of the
// program.
package routing

import (
	"embed"
	"encoding/csv"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"schakel/crypto/identity"
)

//go:embed *.csv
var tables embed.FS

// TableYear is the year of the boundaries in the table.
const TableYear = 2025

// Attribution is what the licences of the sources ask to be shown with the table.
const Attribution = "Bron: CBS Gebiedsindelingen 2025, CC BY 4.0; GeoNames, CC BY 4.0"

// Municipality is one gemeente and who serves it.
type Municipality struct {
	Code       string `json:"code"` // GM0344
	Name       string `json:"name"`
	Province   string `json:"province"`
	Region     Area   `json:"region"`     // of Veilig Thuis
	Police     Area   `json:"police"`     // regional unit
	Prosecutor string `json:"prosecutor"` // arrondissementsparket
}

// Area is a region or unit: its code as desks of the register carry it, and its name.
type Area struct {
	Code string `json:"code"` // VT20, RE03
	Name string `json:"name"`
}

// Known says why a name leads to a municipality.
type Known string

// The ways in which a name is known. Only the first two are from a published table.
const (
	KnownByCode   Known = "code"
	KnownByName   Known = "gemeente"
	KnownByOther  Known = "andere-naam"         // Den Bosch
	KnownByFormer Known = "voormalige-gemeente" // merged into it
	KnownByPlace  Known = "plaats"              // a village that is easily taken for a municipality
)

// Found is a municipality that a name may mean.
type Found struct {
	Municipality
	Known Known `json:"known"`
	Since int   `json:"since,omitempty"` // of a former municipality: the year it merged
}

// register is the tables, read once.
type register struct {
	byCode map[string]Municipality
	areas  map[string]Area
	names  map[string][]Found // by folded name, sorted by code
}

var all = sync.OnceValue(func() register {
	r, err := read()
	if err != nil {
		panic(err) // embedded and constant: wrong here means wrong in every test
	}
	return r
})

// Of returns the municipality of a code, written exactly as GM0344.
func Of(code string) (Municipality, bool) {
	m, ok := all().byCode[code]
	return m, ok
}

// Serves reports whether a desk of that role and region, as the register has them, is
// one to turn to for residents of m: its Veilig Thuis, its police, its prosecutor, and
// the knooppunt for all of the country.
func (m Municipality) Serves(role identity.Role, region string) bool {
	switch role {
	case identity.RoleVeiligThuis:
		return region == m.Region.Code
	case identity.RolePolitie, identity.RoleOM:
		return region == m.Police.Code
	}
	return role == identity.RoleKnooppunt
}

// RegionOf returns the code of the Veilig Thuis region of a municipality, such as VT20
// for GM0344. It is false for a code that the table does not have: a municipality that
// is newer than the table must not be refused for it.
func RegionOf(code string) (string, bool) {
	m, ok := all().byCode[code]
	return m.Region.Code, ok
}

// AreaName returns the name of a region or unit: Utrecht for VT20.
func AreaName(code string) (string, bool) {
	a, ok := all().areas[code]
	return a.Name, ok
}

// Municipalities returns the table in the order of its codes.
func Municipalities() []Municipality {
	return slices.SortedFunc(maps.Values(all().byCode), func(a, b Municipality) int { return strings.Compare(a.Code, b.Code) })
}

// Find returns the municipalities that a person may mean by a name or code: none, one,
// or several to choose from. It does not care about capitals, diacritics, hyphens,
// spaces and 's-. A choice is never made here: a report to the wrong region loses a day.
func Find(name string) []Found {
	if code, ok := codeOf(name); ok {
		if m, ok := all().byCode[code]; ok {
			return []Found{{Municipality: m, Known: KnownByCode}}
		}
		return nil
	}
	return slices.Clone(all().names[Fold(name)])
}

// codeOf reads GM0344, gm 344 and 344.
func codeOf(s string) (string, bool) {
	digits := strings.TrimPrefix(Fold(s), "gm")
	if digits == "" || len(digits) > 4 {
		return "", false
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return "", false
	}
	return fmt.Sprintf("GM%04d", n), true
}

// Suggest returns up to n names of municipalities that resemble a name that Find does
// not know, the most alike first.
func Suggest(name string, n int) []string {
	want := Fold(name)
	if want == "" || len(want) > maxName {
		return nil
	}
	type near struct {
		name     string
		distance int
	}
	var found []near
	for key, ms := range all().names {
		d := distance(want, key)
		if strings.HasPrefix(key, want) && len(want) > 2 {
			d = 1
		}
		if d <= 1+len(want)/4 {
			found = append(found, near{ms[0].Name, d})
		}
	}
	slices.SortFunc(found, func(a, b near) int {
		if a.distance != b.distance {
			return a.distance - b.distance
		}
		return strings.Compare(a.name, b.name)
	})
	var names []string
	for _, f := range found {
		if len(names) < n && !slices.Contains(names, f.name) {
			names = append(names, f.name)
		}
	}
	return names
}

func read() (register, error) {
	r := register{byCode: map[string]Municipality{}, areas: map[string]Area{}, names: map[string][]Found{}}
	prosecutors := map[string]string{}
	err := rows("regios.csv", 3, func(row []string) error {
		r.areas[row[0]], prosecutors[row[0]] = Area{row[0], row[1]}, row[2]
		return nil
	})
	if err != nil {
		return r, err
	}
	err = rows("gemeenten.csv", 5, func(row []string) error {
		region, known := r.areas[row[3]]
		police, ok := r.areas[row[4]]
		if !known || !ok || r.byCode[row[0]].Code != "" {
			return fmt.Errorf("municipality %s: unknown area, or twice in the table", row[0])
		}
		m := Municipality{Code: row[0], Name: row[1], Province: row[2], Region: region, Police: police, Prosecutor: prosecutors[row[4]]}
		r.byCode[m.Code] = m
		for _, key := range keysOf(m.Name) {
			r.add(key, Found{Municipality: m, Known: KnownByName})
		}
		return nil
	})
	if err != nil {
		return r, err
	}
	return r, rows("andere-namen.csv", 4, r.addOther)
}

func (r register) addOther(row []string) error {
	m, ok := r.byCode[row[1]]
	if !ok {
		return fmt.Errorf("name %s: no municipality %s", row[0], row[1])
	}
	f := Found{Municipality: m, Known: Known(row[2])}
	if row[3] != "" {
		year, err := strconv.Atoi(row[3])
		if err != nil {
			return fmt.Errorf("name %s: %w", row[0], err)
		}
		f.Since = year
	}
	r.add(Fold(row[0]), f)
	return nil
}

func (r register) add(key string, f Found) {
	if slices.ContainsFunc(r.names[key], func(o Found) bool { return o.Code == f.Code }) {
		return
	}
	r.names[key] = append(r.names[key], f)
	slices.SortFunc(r.names[key], func(a, b Found) int { return strings.Compare(a.Code, b.Code) })
}

// rows calls f with each row of an embedded table but the first, which names the columns.
func rows(name string, columns int, f func([]string) error) error {
	file, err := tables.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	reader := csv.NewReader(file)
	reader.FieldsPerRecord = columns
	records, err := reader.ReadAll()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, row := range records[1:] {
		if err := f(row); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}
