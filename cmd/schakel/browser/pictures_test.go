package browser_test

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"schakel/clients/demo"
	"schakel/clients/program"
	"schakel/clients/protocol"
	"schakel/crypto/identity"
)

var pictures = flag.String("pictures", "", "folder for pictures of the demonstration's desks, as SVG; needs pdftocairo")

// photographer makes pictures of pages: printed as they look on a screen, with letters as
// outlines, so that a picture needs no font and asks for nothing.
type photographer struct {
	*journey
	folder string
}

// take makes a picture of the page before somebody, cut off at a height.
func (p *photographer) take(s *seat, name string, height int) {
	p.Helper()
	pdf := filepath.Join(p.TempDir(), name+".pdf")
	s.order(order{Do: "paper", Path: pdf, Height: height})
	svg, err := program.Run(p.Context(), program.Config{Path: "pdftocairo", Args: []string{"-svg", "-f", "1", "-l", "1", pdf, "-"}, Dir: p.TempDir()})
	ok(p.T, err)
	small := tidy(svg)
	ok(p.T, os.WriteFile(filepath.Join(p.folder, name+".svg"), []byte(small), 0o644))
	p.Logf("%s: %d kB", name, len(small)>>10)
}

var (
	fraction = regexp.MustCompile(`matrix\([^)]*\)|-?\d+\.\d+`)
	percents = regexp.MustCompile(`rgb\(([\d.]+)%,\s*([\d.]+)%,\s*([\d.]+)%\)`)
	plainest = strings.NewReplacer("fill-opacity:1;", "", "fill-rule:nonzero;", "", "stroke:none;", "", `"glyph`, `"g`, "#glyph", "#g", ` clip-rule="nonzero"`, "", `<symbol overflow="visible"`, "<g", "</symbol>", "</g>", // a symbol cuts off what reaches out of it

		`style=" fill:`, `style="fill:`, " Z M ", "ZM", "<g>\n", "<g>", ` "/>`, `"/>`, "> \n", ">\n", ` xmlns:xlink="http://www.w3.org/1999/xlink"`, "", "xlink:href", "href", ` version="1.2"`, "")
	empty  = strings.NewReplacer(` style=""`, "", ` style=" "`, "", `d="M `, `d="M`)
	filled = regexp.MustCompile(`style="fill:(#[0-9a-f]{6});"`)
	spots  = regexp.MustCompile(` ([A-Z]) `)
)

// tidy says the same in fewer letters: a tenth of a point is enough for a page, and runs
// of letters in one colour stand in one group.
func tidy(svg string) string {
	_, svg, _ = strings.Cut(svg, "?>\n")
	svg = percents.ReplaceAllStringFunc(svg, func(s string) string {
		var c [3]float64
		for i, x := range percents.FindStringSubmatch(s)[1:] {
			c[i], _ = strconv.ParseFloat(x, 64)
		}
		b := func(x float64) int { return int(math.Round(x * 2.55)) }
		return fmt.Sprintf("#%02x%02x%02x", b(c[0]), b(c[1]), b(c[2]))
	})
	svg = fraction.ReplaceAllStringFunc(svg, func(s string) string {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil { // a matrix: a factor counts for everything under it
			return s
		}
		return strconv.FormatFloat(math.Round(f*10)/10, 'f', -1, 64)
	})
	svg = spots.ReplaceAllString(empty.Replace(plainest.Replace(svg)), "$1")
	colour := ""
	lines := strings.Split(svg, "\n")
	out := lines[:0]
	for _, l := range lines { // a group ends where the next one has another colour
		if strings.HasPrefix(l, `<g style="fill:#`) && l == colour && len(out) > 0 && out[len(out)-1] == "</g>" {
			out = out[:len(out)-1]
			continue
		}
		if strings.Contains(l, "<g") {
			colour = l
		}
		out = append(out, strings.TrimSpace(l))
	}
	return filled.ReplaceAllString(strings.Join(out, "\n"), `fill="$1"`) + "\n"
}

// TestPictures makes the pictures of docs/desk.md: `make pictures`.
func TestPictures(t *testing.T) {
	if *pictures == "" {
		t.Skip("makes pictures with -pictures FOLDER: `make pictures`")
	}
	if _, err := exec.LookPath("pdftocairo"); err != nil {
		t.Fatalf("%v: install Debian's poppler-utils", err)
	}
	folder, err := filepath.Abs(*pictures)
	ok(t, err)
	ok(t, os.MkdirAll(folder, 0o755))
	j := &journey{T: t, chain: startChain(t), hands: startHands(t), begun: time.Now()}
	j.sit(manner{hand: "keyboard", options: map[string]any{"bypassCSP": true, "viewport": map[string]int{"width": 900, "height": 700}}}, "nl")
	p := &photographer{j, folder}
	p.worry()
	p.acute()
	p.around()
	ok(t, os.WriteFile(filepath.Join(folder, "made.txt"), []byte(madeOf(t)), 0o644))
}

// madeOf says of each picture what its page said when it was made: the sum of what a voice
// reads out of it. A test of docs compares.
func madeOf(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	for _, p := range [][2]string{{"acknowledge", "acknowledge"}, {"address-book", "a-desk"}, {"alarms", "alarms"}, {"card", "outage-card"}, {"case", "case"}, {"check", "check"}, {"inbox", "inbox"}} {
		said, err := os.ReadFile(filepath.Join("testdata", "aria", p[1]+".txt"))
		ok(t, err)
		fmt.Fprintf(&out, "%s.svg %s.txt %x\n", p[0], p[1], sha256.Sum256(said))
	}
	return out.String()
}

// worry is a first message, so that there is more than one.
func (p *photographer) worry() {
	p.seat(doctor).use(`nav a[href="/compose"]`)
	signal := p.writes(doctor, letter{class: protocol.ClassSignal, to: []identity.DeskID{veilig}})
	p.opens(veilig, signal)
}

func (p *photographer) acute() {
	d, v := p.seat(doctor), p.seat(veilig)
	l := letter{class: protocol.ClassReport, to: []identity.DeskID{veilig, officers}}
	d.use(`nav a[href="/compose"]`)
	d.use(`main a[href^="/compose/` + l.class + `"]`)
	p.fills(d, l.entries(p.T))
	d.use(`main button[value="check"]`)
	p.take(d, "check", 1000)
	d.fill(entry{"pin", []string{demo.PIN}})
	d.use(`main button[value="send"]`)
	hash := strings.Split(d.Path, "/")[2]
	v.until("the report comes in", `nav a[href="/inbox"]`, func() bool { return v.has("/messages/" + hash) })
	p.take(v, "inbox", 1000)
	v.use(`main a[href="/messages/` + hash + `"]`)
	p.zaak = caseOn(p.T, v)
	v.use(`main a[href="/messages/` + hash + `/acknowledgement"]`)
	v.fill(entry{"first-action", []string{"Meldkamer gebeld, rijdt erheen"}})
	p.take(v, "acknowledge", 1000)
	v.fill(entry{"pin", []string{demo.PIN}})
	v.use("main form .utrecht-button--primary-action")
	p.opens(officers, hash)
	p.takes(officers, hash)
	p.weighed()
	p.inCase(veilig)
	p.take(v, "case", 1250)
}

// around are the pages beside the cases.
func (p *photographer) around() {
	v := p.seat(veilig)
	v.use(`nav a[href="/directory"]`)
	v.use(`main a[href="/directory/` + string(knooppunt) + `"]`)
	p.take(v, "address-book", 1100)
	v.use(`nav a[href="/alarms"]`)
	p.take(v, "alarms", 900)
	v.use(`nav a[href="/card"]`)
	p.take(v, "card", 1100)
}
