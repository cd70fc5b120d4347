package routing_test

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"schakel/clients/protocol/routing"
)

func codes(found []routing.Found) string {
	var all []string
	for _, f := range found {
		all = append(all, f.Code)
	}
	return strings.Join(all, " ")
}

func TestFind(t *testing.T) {
	for name, want := range map[string]string{
		"Utrecht": "GM0344", "utrecht": "GM0344", " UTRECHT ": "GM0344", "GM0344": "GM0344", "gm344": "GM0344", "0344": "GM0344", "344": "GM0344",
		"'s-Gravenhage": "GM0518", "s gravenhage": "GM0518", "’s‑Gravenhage": "GM0518", "gravenhage": "GM0518", "Den Haag": "GM0518", "den-haag": "GM0518",
		"Den Bosch": "GM0796", "'s-Hertogenbosch": "GM0796", "s-hertogenbosch": "GM0796",
		"Súdwest-Fryslân": "GM1900", "sudwest fryslan": "GM1900", "Su\u0301dwest-Frysla\u0302n": "GM1900", "Zuidwest-Friesland": "GM1900",
		"Sint-Michielsgestel": "GM0845", "St. Michielsgestel": "GM0845", "ĳsselstein": "GM0353", "Nuenen": "GM0820",
		"Bergen": "GM0373 GM0893", "bergen (nh)": "GM0373", "Bergen (L.)": "GM0893", "Bergen op Zoom": "GM0748",
		"Hengelo": "GM0164 GM1876", "Rijswijk": "GM0214 GM0603 GM1959", "Haaren": "GM0757 GM0824 GM0855 GM0865",
		"Weesp": "GM0363", "Spijkenisse": "GM1930", "Uden": "GM1991", "Mook en Middelaar": "GM0944", "Heusden": "GM0797",
		"": "", "Atlantis": "", "GM9999": "", "99999": "", "GM": "", "-": "", "' OR 1=1": "",
	} {
		if got := codes(routing.Find(name)); got != want {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
}

func TestHowItIsKnown(t *testing.T) {
	for name, want := range map[string]routing.Found{
		"GM0363": {Known: routing.KnownByCode}, "Amsterdam": {Known: routing.KnownByName},
		"Weesp": {Known: routing.KnownByFormer, Since: 2022}, "Den Haag": {Known: routing.KnownByOther},
	} {
		if f := routing.Find(name); len(f) != 1 || f[0].Known != want.Known || f[0].Since != want.Since {
			t.Errorf("%s: %+v", name, f)
		}
	}
	if f := routing.Find("Hengelo"); f[0].Known != routing.KnownByName || f[1].Known != routing.KnownByPlace {
		t.Errorf("Hengelo: %+v", f)
	}
}

// The two municipalities where the region of Veilig Thuis crosses a border of the
// police, beside neighbours on either side that must not follow them.
func TestBorders(t *testing.T) {
	for _, c := range []struct{ code, region, police, prosecutor string }{
		{"GM0944", "VT06", "RE10", "Arrondissementsparket Limburg"},              // Mook en Middelaar
		{"GM0907", "VT13", "RE10", "Arrondissementsparket Limburg"},              // Gennep
		{"GM0268", "VT06", "RE02", "Arrondissementsparket Oost-Nederland"},       // Nijmegen
		{"GM0797", "VT15", "RE09", "Arrondissementsparket Oost-Brabant"},         // Heusden
		{"GM0867", "VT15", "RE08", "Arrondissementsparket Zeeland-West-Brabant"}, // Waalwijk
		{"GM0796", "VT27", "RE09", "Arrondissementsparket Oost-Brabant"},         // 's-Hertogenbosch
	} {
		m, ok := routing.Of(c.code)
		if !ok || m.Region.Code != c.region || m.Police.Code != c.police || m.Prosecutor != c.prosecutor {
			t.Errorf("%s: %+v", c.code, m)
		}
		if region, ok := routing.RegionOf(c.code); !ok || region != c.region {
			t.Errorf("%s is in %s", c.code, region)
		}
	}
	if _, ok := routing.RegionOf("GM9999"); ok {
		t.Error("an unknown municipality has a region")
	}
}

func TestTableIsWhole(t *testing.T) {
	ms := routing.Municipalities()
	if len(ms) != 342 {
		t.Errorf("%d municipalities, want 342", len(ms))
	}
	regions, units := map[string]bool{}, map[string]bool{}
	for _, m := range ms {
		regions[m.Region.Code], units[m.Police.Code] = true, true
		if m.Prosecutor == "" || m.Region.Name == "" || m.Police.Name == "" || m.Province == "" {
			t.Errorf("%s lacks something: %+v", m.Code, m)
		}
		if f := routing.Find(m.Name); !slices.ContainsFunc(f, func(f routing.Found) bool { return f.Code == m.Code && f.Known == routing.KnownByName }) {
			t.Errorf("%s is not found by its name: %s", m.Name, codes(f))
		}
		if f := routing.Find(m.Code); codes(f) != m.Code {
			t.Errorf("%s is found as %s", m.Code, codes(f))
		}
	}
	if len(regions) != 25 || len(units) != 10 {
		t.Errorf("%d regions and %d units, want 25 and 10", len(regions), len(units))
	}
	if name, ok := routing.AreaName("VT20"); !ok || name != "Utrecht" {
		t.Errorf("VT20 is %q", name)
	}
	if _, ok := routing.AreaName("VT16"); ok {
		t.Error("VT16 was merged and has a name")
	}
}

// Where the material stands beside the project, the table must equal it.
func TestTableEqualsItsSource(t *testing.T) {
	f, err := os.Open(filepath.Join("..", "..", "..", "..", "shared", "data", "gemeenten_regios_2025.csv"))
	if err != nil {
		t.Skip("the source of the table is not beside this tree; nothing to compare")
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := func(name string) int {
		i := slices.Index(rows[0], name)
		if i < 0 {
			t.Fatalf("the source has no column %s", name)
		}
		return i
	}
	code, name, province := column("gemeentecode"), column("gemeente"), column("provincie")
	vt, vtName, re, reName, parket := column("vt_regio_code"), column("vt_regio"), column("politie_eenheid_code"), column("politie_eenheid"), column("om_parket")
	if len(rows)-1 != len(routing.Municipalities()) {
		t.Errorf("the source has %d rows", len(rows)-1)
	}
	for _, row := range rows[1:] {
		want := routing.Municipality{Code: row[code], Name: row[name], Province: row[province], Prosecutor: row[parket],
			Region: routing.Area{Code: row[vt], Name: row[vtName]}, Police: routing.Area{Code: row[re], Name: row[reName]}}
		if got, _ := routing.Of(row[code]); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}

func TestSuggest(t *testing.T) {
	for name, want := range map[string]string{"Utrech": "Utrecht", "Amersfort": "Amersfoort", "nijmege": "Nijmegen", "Steenw": "Steenwijkerland", "Eindhovne": "Eindhoven"} {
		if got := routing.Suggest(name, 3); !slices.Contains(got, want) {
			t.Errorf("%s: %v, want %s among them", name, got, want)
		}
	}
	for _, name := range []string{"", "qqqqqqqq", strings.Repeat("x", 100)} {
		if got := routing.Suggest(name, 3); len(got) != 0 {
			t.Errorf("%.10q suggests %v", name, got)
		}
	}
}

// The program shows what the licences ask for, and so does the page beside the table.
func TestAttribution(t *testing.T) {
	page, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range strings.Split(strings.TrimPrefix(routing.Attribution, "Bron: "), "; ") {
		if !strings.Contains(string(page), source) {
			t.Errorf("README.md does not say %q", source)
		}
	}
}

// What is found is in the table, is found again by its code, and the spelling of the
// question does not matter.
func FuzzFind(f *testing.F) {
	for _, s := range []string{"Bergen", "GM0344", "'s-Gravenhage", "344", "Su\u0301dwest", "\xff", "gm", "0", strings.Repeat("a", 1000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		found := routing.Find(s)
		for _, x := range found {
			if m, ok := routing.Of(x.Code); !ok || m != x.Municipality {
				t.Fatalf("%q finds %+v, which is not in the table", s, x)
			}
		}
		if again := routing.Find(strings.ToUpper(strings.ToLower(s)) + "-"); len(found) > 0 && codes(again) != codes(found) {
			t.Fatalf("%q finds %s, in capitals %s", s, codes(found), codes(again))
		}
		routing.Suggest(s, 3)
	})
}
