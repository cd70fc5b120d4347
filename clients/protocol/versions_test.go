package protocol_test

import (
	"errors"
	"slices"
	"testing"
	"testing/fstest"

	"schakel/clients/protocol"
)

// next is version n as it may come: without classes, because it is only chosen here.
func next(t *testing.T, n string) *protocol.Catalogue {
	t.Helper()
	c, err := protocol.Load(fstest.MapFS{"catalogus.json": {Data: []byte(`{"protocol":"schakel/` + n + `"}`)},
		"schemas/kop.schema.json": {Data: readFile(t, "schemas/kop.schema.json")}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func versions(t *testing.T, cs ...*protocol.Catalogue) protocol.Versions {
	t.Helper()
	v, err := protocol.NewVersions(cs...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVersionsSideBySide(t *testing.T) {
	one, two := protocol.V1(), next(t, "2")
	both, old := versions(t, two, one), versions(t, one)
	if c, ok := both.For("schakel/2"); !ok || c != two {
		t.Error("version 2 is not judged by its own catalogue")
	}
	if _, ok := old.For("schakel/2"); ok {
		t.Error("an old program speaks version 2")
	}
	if both.Rejection() != "protocol-1-2" || old.Rejection() != "protocol-1" {
		t.Errorf("rejects with %s and %s", both.Rejection(), old.Rejection())
	}
	for _, c := range []struct {
		spoken [][]int
		want   []*protocol.Catalogue
	}{
		{nil, []*protocol.Catalogue{two, one}}, {[][]int{{1, 2}, {1, 2}}, []*protocol.Catalogue{two, one}}, {[][]int{{1}, {1, 2}}, []*protocol.Catalogue{one}},
		{[][]int{{1, 2, 3}}, []*protocol.Catalogue{two, one}}, {[][]int{{2, 3}}, []*protocol.Catalogue{two}},
	} {
		if got, err := both.Shared(c.spoken...); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%v: shared %v, %v", c.spoken, got, err)
		}
	}
	for _, spoken := range [][][]int{{{3}}, {{1}, {2}}, {{}}, {nil}} {
		if _, err := both.Shared(spoken...); refusal(t, err).Rule != protocol.RuleVersion {
			t.Errorf("%v: %v", spoken, err)
		}
	}
	for _, cs := range [][]*protocol.Catalogue{{}, {one, one}, {one, two, next(t, "3"), next(t, "4"), next(t, "5")}} {
		if _, err := protocol.NewVersions(cs...); !errors.Is(err, protocol.ErrCatalogue) {
			t.Errorf("%d versions: %v", len(cs), err)
		}
	}
}

func FuzzParseRejection(f *testing.F) {
	for _, s := range []string{"protocol-1", "protocol-1-2", "protocol", "protocol-", "protocol-2-1", "protocol-01", "R09", "protocol-1-2-3-4-5", "protocol-1-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		spoken, ok := protocol.ParseRejection(s)
		if !ok {
			return
		}
		if !slices.IsSorted(spoken) || len(spoken) == 0 || spoken[0] < 1 || len(s) > 32 {
			t.Fatalf("%q says %v", s, spoken)
		}
	})
}
