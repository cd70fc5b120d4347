package wire_test

import (
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"schakel/crypto/envelope"
	"schakel/relay/wire"
)

// page is docs/wire.md.
func page(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../docs/wire.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// rows returns the cells of the table rows under a heading.
func rows(t *testing.T, text, heading string) (table [][]string) {
	t.Helper()
	_, rest, ok := strings.Cut(text, "\n"+heading+"\n")
	if !ok {
		t.Fatalf("no heading %q", heading)
	}
	for _, line := range strings.Split(rest, "\n") {
		if strings.HasPrefix(line, "#") {
			break
		}
		if !strings.HasPrefix(line, "| ") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		table = append(table, cells)
	}
	if len(table) < 2 {
		t.Fatalf("no table under %q", heading)
	}
	return table[1:]
}

var frameSection = regexp.MustCompile("(?s)### (\\w+)\n\n`(0x[0-9a-f]{2})`, payload at most (\\d+) bytes: .+?```hex\n([0-9a-f\n]+)```")

// The page lists every frame with its type, its limit and an example, and no other.
func TestPageListsEveryFrame(t *testing.T) {
	text := page(t)
	sections := map[string][]string{}
	for _, m := range frameSection.FindAllStringSubmatch(text, -1) {
		sections[m[1]] = m
	}
	if len(sections) != len(examples()) {
		t.Errorf("%d frames on the page, %d in the code", len(sections), len(examples()))
	}
	for _, f := range examples() {
		m := sections[name(f)]
		if m == nil {
			t.Errorf("%s is not on the page", name(f))
			continue
		}
		if want := fmt.Sprintf("%#02x", uint8(f.Type())); m[2] != want {
			t.Errorf("%s has type %s on the page, want %s", name(f), m[2], want)
		}
		if want := fmt.Sprint(wire.MaxPayload(f.Type())); m[3] != want {
			t.Errorf("%s has limit %s on the page, want %s", name(f), m[3], want)
		}
		if got, want := strings.ReplaceAll(m[4], "\n", ""), hex.EncodeToString(encode(t, f)); got != want {
			t.Errorf("%s is on the page as\n%s\nwant\n%s", name(f), got, want)
		}
	}
}

func TestPageListsEveryCode(t *testing.T) {
	onPage := map[string]string{}
	for _, r := range rows(t, page(t), "## Codes") {
		onPage[r[0]] = r[1]
	}
	for c := range wire.Code(1000) {
		if got := onPage[fmt.Sprint(uint16(c))]; c.Known() != (got != "") || c.Known() && got != c.String() {
			t.Errorf("code %d is %q on the page, %q in the code", c, got, c)
		}
	}
}

func TestPageListsEveryCloseCode(t *testing.T) {
	onPage := map[string]string{}
	for _, r := range rows(t, page(t), "## Close codes") {
		onPage[r[0]] = r[1]
	}
	for c := range wire.CloseCode(5000) {
		known := !strings.HasPrefix(c.String(), "close-")
		if got := onPage[fmt.Sprint(uint16(c))]; known != (got != "") || known && got != c.String() {
			t.Errorf("close code %d is %q on the page, %q in the code", c, got, c)
		}
	}
}

func TestPageStatesTheLimits(t *testing.T) {
	onPage := map[string]string{}
	for _, r := range rows(t, page(t), "## Limits") {
		onPage[r[0]] = r[1]
	}
	seconds := func(d time.Duration) string { return fmt.Sprintf("%d s", int(d.Seconds())) }
	for what, want := range map[string]string{
		"message before login":            fmt.Sprintf("%d bytes", wire.MaxLoginMessage),
		"message after login":             fmt.Sprintf("%d bytes", wire.MaxMessage),
		"frames in a message":             fmt.Sprint(wire.MaxFrames),
		"envelope":                        fmt.Sprintf("%d bytes", envelope.MaxSize),
		"time from challenge to token":    seconds(wire.LoginTimeout),
		"silence of a device":             seconds(wire.IdleTimeout),
		"one message, first to last byte": seconds(wire.MessageTimeout),
		"WebSocket frames in a message":   fmt.Sprint(wire.MaxFragments),
		"pings and pongs":                 fmt.Sprintf("%d a second, %d at once", wire.ControlRate, wire.ControlBurst),
		"data frames of WebSocket":        fmt.Sprintf("%d a second", wire.DefaultFrames),
		"bytes read":                      fmt.Sprintf("%d MiB a second", wire.DefaultBytes>>20),
	} {
		if onPage[what] != want {
			t.Errorf("%s: %q on the page, want %q", what, onPage[what], want)
		}
	}
	for _, sentence := range []string{
		fmt.Sprintf("heard nothing for %s", seconds(wire.PingInterval)),
		fmt.Sprintf("the other has %s", seconds(wire.CloseGrace)),
		fmt.Sprintf("at most %d bytes: a partner", wire.MaxEntry),
		fmt.Sprintf("at most %d characters of base64url", wire.MaxToken),
		fmt.Sprintf("`%s`", wire.TokenType), fmt.Sprintf("`%s`", wire.TokenAlg),
	} {
		if !strings.Contains(strings.ReplaceAll(page(t), "\n", " "), sentence) {
			t.Errorf("the page does not say %q", sentence)
		}
	}
}

func TestPageStatesTheLimitsOfAttachments(t *testing.T) {
	onPage := map[string]string{}
	for _, r := range rows(t, page(t), "### Limits of attachments") {
		onPage[r[0]] = r[1]
	}
	seconds := func(d time.Duration) string { return fmt.Sprintf("%d s", int(d.Seconds())) }
	for what, want := range map[string]string{
		"part":                           fmt.Sprintf("%d bytes", wire.MaxBlobPart),
		"part that is not the last":      fmt.Sprintf("at least %d bytes", wire.MinBlobPart),
		"desks named in a part":          fmt.Sprint(wire.MaxBlobDesks),
		"a transfer":                     fmt.Sprintf("%s, and 1 s more for every %d bytes", seconds(wire.BlobGrace), wire.SlowestBlob),
		"silence within one":             seconds(wire.BlobStall),
		"a connection without a request": seconds(wire.BlobIdle),
		"an upload, from its first byte": fmt.Sprintf("%d h", int(wire.UnfinishedLife.Hours())),
		"a complete blob":                fmt.Sprintf("%d days", int(wire.BlobLife.Hours())/24),
	} {
		if onPage[what] != want {
			t.Errorf("%s: %q on the page, want %q", what, onPage[what], want)
		}
	}
	flat := strings.ReplaceAll(page(t), "\n", " ")
	for _, text := range []string{
		wire.BlobPath, wire.BlobTokenType, wire.HeaderOffset, wire.HeaderLength, wire.HeaderComplete, wire.HeaderDesks,
	} {
		if !strings.Contains(flat, "`"+text) {
			t.Errorf("the page does not say %q", text)
		}
	}
}
