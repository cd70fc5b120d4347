package relay_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"schakel/relay"
)

func page(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("../docs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// docs/wire.md states the relay's own limits; those of the frames are checked in
// relay/wire.
func TestPageStatesTheRelaysLimits(t *testing.T) {
	l, text := relay.Defaults(), page(t, "wire.md")
	for _, row := range []string{
		fmt.Sprintf("| puts | %d a second and device, twice that at once |", l.PutsPerSecond),
		fmt.Sprintf("| Append, WantKeys | %d a second and device, four times that at once |", l.AsksPerSecond),
		fmt.Sprintf("All posters share %d entries a minute.", l.EntriesPerMin),
	} {
		if !strings.Contains(text, row) {
			t.Errorf("wire.md does not say %q", row)
		}
	}
	if want := fmt.Sprintf("between 0 and %d s", int(l.Return.Seconds())); !strings.Contains(page(t, "operations.md"), want) {
		t.Errorf("operations.md does not say %q", want)
	}
}

var metricName = regexp.MustCompile("schakel_relay_[a-z_]+")

// docs/operations.md names only metrics that exist.
func TestPageNamesMetricsThatExist(t *testing.T) {
	known := strings.Join(relay.Metrics(), "\n")
	names := metricName.FindAllString(page(t, "operations.md"), -1)
	if len(names) < 5 {
		t.Fatalf("only %d metrics on the page", len(names))
	}
	for _, name := range names {
		if !strings.Contains(known, fmt.Sprintf("%q", name)) {
			t.Errorf("%s does not exist", name)
		}
	}
}
