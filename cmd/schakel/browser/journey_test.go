package browser_test

import (
	"bytes"
	"errors"
	"flag"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"schakel/clients/demo"
	"schakel/clients/program"
	"schakel/clients/protocol"
	"schakel/crypto/identity"
)

var everyWay = flag.Bool("every", false, "the whole journey in every way and language")

// journey is the case of the demonstration, from the first report to the file of the case,
// through the pages alone.
type journey struct {
	*testing.T
	*chain
	hands  *hands
	manner manner
	lang   string
	seats  map[identity.DeskID]*seat
	zaak   string // the case
	file   string // that the first report brings; empty: none
	begun  time.Time
}

// manner is how somebody goes about it.
type manner struct {
	name    string
	hand    string
	options map[string]any
}

func manners() []manner {
	wide := map[string]int{"width": 1280, "height": 900}
	return []manner{
		{"keyboard", "keyboard", map[string]any{"viewport": wide}},
		{"mouse", "mouse", map[string]any{"viewport": wide}},
		{"without scripts", "mouse", map[string]any{"viewport": wide, "javaScriptEnabled": false}},
		{"320 px", "mouse", map[string]any{"viewport": map[string]int{"width": 320, "height": 640}}},
		{"400 %", "keyboard", map[string]any{"viewport": map[string]int{"width": 320, "height": 256}, "deviceScaleFactor": 4}}, // 1280 by 1024
	}
}

// sit has everybody leave, and go on in another manner.
func (j *journey) sit(m manner, lang string) {
	j.Helper()
	j.hands.do(j.T, order{Do: "leave"})
	j.seats, j.manner, j.lang = map[identity.DeskID]*seat{}, m, lang
}

// seat is somebody at a desk, whom a link lets in the first time: it is typed, its button
// pressed.
func (j *journey) seat(id identity.DeskID) *seat {
	j.Helper()
	if s := j.seats[id]; s != nil {
		return s
	}
	options := map[string]any{"locale": map[string]string{"nl": "nl-NL", "en": "en-GB"}[j.lang], "timezoneId": "Europe/Amsterdam"}
	maps.Copy(options, j.manner.options)
	link, err := j.Link(j.Context(), id, j.person(id))
	ok(j.T, err)
	u, err := url.Parse(link)
	ok(j.T, err)
	s := &seat{t: j.T, all: j.hands, who: string(id)}
	s.order(order{Do: "sit", Hand: j.manner.hand, Base: "http://" + u.Host, Options: options})
	s.order(order{Do: "go", Path: u.Path})
	s.use("main form button")
	s.at("/inbox")
	if s.Lang != j.lang {
		j.Errorf("%s speaks %q", id, s.Lang)
	}
	j.seats[id] = s
	return s
}

// writes goes from where the link to a class is to the page that says the message is on
// its way, and returns its hash.
func (j *journey) writes(from identity.DeskID, l letter) (hash string) {
	j.Helper()
	s := j.seat(from)
	s.use(`main a[href^="/compose/` + l.class + `"]`)
	s.sees(label(j.T, l.class, j.lang))
	j.fills(s, l.entries(j.T))
	if l.file != "" {
		j.attaches(s, l)
	}
	return j.signs(s, l)
}

// attaches attaches a file on the page that its form leads to, and comes back to the form.
func (j *journey) attaches(s *seat, l letter) {
	j.Helper()
	s.use(`main button[value="files"]`)
	s.order(order{Do: "choose", At: `main input[type="file"]`, Path: l.file})
	s.use("main form[enctype] button")
	s.sees(filepath.Base(l.file))
	s.use(`main a[href^="/compose/` + l.class + `"]`)
	s.sees(filepath.Base(l.file))
}

// saves saves the file of a message at a desk, once it is there, and compares it.
func (j *journey) saves(at identity.DeskID, hash string) {
	j.Helper()
	s := j.seat(at)
	const button = `main form[action$="/attachments/1"]:not([hidden]) button`
	s.until("the message comes in", `nav a[href="/inbox"]`, func() bool { return s.has("/messages/" + hash) })
	s.use(`main a[href="/messages/` + hash + `"]`)
	s.order(order{Do: "until", At: button})
	saved := filepath.Join(j.TempDir(), "bijlage")
	s.order(order{Do: "save", At: button, Path: saved})
	sent, err := os.ReadFile(j.file)
	ok(j.T, err)
	got, err := os.ReadFile(saved)
	ok(j.T, err)
	if !bytes.Equal(sent, got) {
		j.Errorf("%s saved %d other bytes, of %d", at, len(got), len(sent))
	}
}

// fills fills in a form; where a list has no room for a row it adds one.
func (j *journey) fills(s *seat, fields []entry) {
	j.Helper()
	for range 12 {
		missing := s.try(fields)
		if len(missing) == 0 {
			return
		}
		fields = slices.DeleteFunc(fields, func(e entry) bool { return !slices.Contains(missing, e.Name) })
		button := `main button[value="keep"]:not([hidden])` // what depends on an answer comes with it
		if list, is := rowOf(missing[0]); is && !slices.ContainsFunc(s.Names, func(n string) bool { return strings.HasPrefix(n, missing[0][:strings.LastIndex(missing[0], ".")]) }) {
			button = `main button[value="add:` + list + `"]`
		}
		s.use(button)
	}
	j.Fatalf("%s: no fields %v at %s:\n%s", s.who, s.Missing, s.Path, s.Text)
}

// signs checks a filled-in form, ticks what must be ticked, signs and sends.
func (j *journey) signs(s *seat, l letter) string {
	j.Helper()
	s.use(`main button[value="check"]`)
	s.at("/compose/" + l.class + "/check")
	for _, id := range l.to {
		s.sees(string(id))
	}
	fields := []entry{{"pin", []string{demo.PIN}}}
	if slices.Contains(s.Names, "sure") {
		var all []string
		for _, id := range l.to {
			all = append(all, string(id))
		}
		s.try([]entry{{"sure", all}})
	}
	s.fill(fields...)
	s.use(`main button[value="send"]`)
	hash := path.Base(path.Dir(s.Path))
	s.at("/messages/" + hash + "/sent")
	j.Logf("%s: %s is on its way from %s", time.Since(j.begun).Round(time.Second), l.class, s.who)
	return hash
}

// opens waits in the inbox of a desk until a message is there, and opens it.
func (j *journey) opens(at identity.DeskID, hash string, words ...string) *seat {
	j.Helper()
	s := j.seat(at)
	s.until("the message comes in", `nav a[href="/inbox"]`, func() bool { return s.has("/messages/" + hash) })
	s.use(`main a[href="/messages/` + hash + `"]`)
	s.sees(words...)
	return s
}

// takes acknowledges the message on the page.
func (j *journey) takes(at identity.DeskID, hash string) {
	j.Helper()
	s := j.seat(at)
	s.use(`main a[href="/messages/` + hash + `/acknowledgement"]`)
	s.fill(entry{"first-action", []string{"Meldkamer gebeld"}}, entry{"pin", []string{demo.PIN}})
	s.use("main form .utrecht-button--primary-action")
	s.at("/messages/" + hash + "/acknowledged")
	s.sees(j.person(at))
}

// inCase goes from anywhere to the page of the case.
func (j *journey) inCase(at identity.DeskID) *seat {
	j.Helper()
	s := j.seat(at)
	s.use(`nav a[href="/cases"]`)
	s.use(`main a[href="/cases/` + j.zaak + `"]`)
	return s
}

// begins goes to where messages in the case are begun.
func (j *journey) begins(at identity.DeskID) {
	j.Helper()
	j.inCase(at).use(`main a[href="/compose?case=` + j.zaak + `"]`)
}

// answers goes from the message on the page to its answer, and writes it.
func (j *journey) answers(at identity.DeskID, hash string, l letter) string {
	j.Helper()
	s := j.seat(at)
	s.use(`main a[href="/messages/` + hash + `/answer"]`)
	if strings.HasPrefix(s.Path, "/compose/") { // one class answers it
		j.fills(s, l.entries(j.T))
		return j.signs(s, l)
	}
	return j.writes(at, l)
}

// reported is the first report until somebody took it, and the sender knows who.
func (j *journey) reported() (hash string) {
	j.Helper()
	s := j.seat(doctor)
	s.use(`nav a[href="/compose"]`)
	hash = j.writes(doctor, letter{class: protocol.ClassReport, to: []identity.DeskID{veilig, officers}, file: j.file})
	v := j.opens(veilig, hash, label(j.T, protocol.ClassReport, j.lang), "badkamer")
	j.zaak = caseOn(j.T, v)
	j.takes(veilig, hash)
	if j.file != "" {
		j.saves(veilig, hash)
	}
	s.until("the doctor sees who took it", `main a[href="/messages/`+hash+`"]`, func() bool { return strings.Contains(s.Text, j.person(veilig)) })
	return hash
}

// caseOn is the case that the page of a message names.
func caseOn(t *testing.T, s *seat) string {
	t.Helper()
	for _, l := range s.Links {
		if ref, is := strings.CutPrefix(l, "/cases/"); is && !strings.Contains(ref, "/") {
			return ref
		}
	}
	t.Fatalf("%s: no case on %s", s.who, s.Path)
	return ""
}

// rest are the chapters of the case after the first report, each from wherever everybody is.
func (j *journey) rest(first string) []func() {
	police := func() {
		j.opens(officers, first, label(j.T, protocol.ClassReport, j.lang))
		j.takes(officers, first)
	}
	return []func(){j.assigned, j.advised, police, j.weighed, j.handedOver, j.abroad, j.home, j.closed, j.exported}
}

func (j *journey) assigned() {
	s := j.inCase(veilig)
	s.use(`main a[href="/cases/` + j.zaak + `/assignment"]`)
	s.fill(entry{"pin", []string{demo.PIN}})
	s.use("main form .utrecht-button--primary-action")
	s.at("/cases/" + j.zaak + "/assignment")
	j.inCase(veilig).sees(j.person(veilig))
}

// advised asks the knooppunt for advice, in a case of its own without a name.
func (j *journey) advised() {
	s := j.seat(veilig)
	s.use(`nav a[href="/compose"]`)
	asked := j.writes(veilig, letter{class: protocol.ClassQuestion, to: []identity.DeskID{knooppunt}})
	j.opens(knooppunt, asked, label(j.T, protocol.ClassQuestion, j.lang))
	advice := j.answers(knooppunt, asked, letter{class: protocol.ClassAdvice, to: []identity.DeskID{veilig}})
	j.opens(veilig, advice, label(j.T, protocol.ClassAdvice, j.lang))
}

// weighed weighs before it reports an offence: the report rests on the weighing.
func (j *journey) weighed() {
	j.begins(veilig)
	weighing := j.writes(veilig, letter{class: protocol.ClassWeighing, to: []identity.DeskID{officers}})
	j.opens(officers, weighing, label(j.T, protocol.ClassWeighing, j.lang))
	j.begins(veilig)
	offence := j.writes(veilig, letter{class: protocol.ClassOffence, to: []identity.DeskID{officers}})
	j.opens(officers, offence, label(j.T, protocol.ClassOffence, j.lang))
	j.inCase(officers).sees(label(j.T, protocol.ClassWeighing, j.lang), label(j.T, protocol.ClassOffence, j.lang))
}

// handedOver offers the regie, and accepts it by name. Until then it has not moved.
func (j *journey) handedOver() {
	j.begins(veilig)
	offer := j.writes(veilig, letter{class: protocol.ClassHandover, to: []identity.DeskID{knooppunt}})
	j.opens(knooppunt, offer, label(j.T, protocol.ClassHandover, j.lang))
	j.leads(veilig, veilig)
	j.opens(knooppunt, offer)
	decision := j.answers(knooppunt, offer, letter{class: protocol.ClassDecision, to: []identity.DeskID{veilig}})
	j.opens(veilig, decision, label(j.T, protocol.ClassDecision, j.lang), j.person(knooppunt))
	j.leads(knooppunt, veilig, knooppunt)
}

// leads demands that desks say of one desk, among who takes part, that it leads the case,
// and of no other.
func (j *journey) leads(who identity.DeskID, at ...identity.DeskID) {
	j.Helper()
	mark := map[string]string{"nl": " regie", "en": " leads"}[j.lang]
	party := regexp.MustCompile(`(?m)^.*\b(` + string(veilig) + `|` + string(knooppunt) + `)(, [^)]*\))?` + mark)
	for _, id := range at {
		s := j.inCase(id)
		found := party.FindAllStringSubmatch(s.Text, -1)
		if len(found) != 1 || found[0][1] != string(who) {
			j.Errorf("%s says that these lead: %q, want %s:\n%s", id, found, who, s.Text)
		}
	}
}

// abroad brings in BuZa through the knooppunt, who speaks with nobody else.
func (j *journey) abroad() {
	j.begins(knooppunt)
	signal := j.writes(knooppunt, letter{class: protocol.ClassAbroad, to: []identity.DeskID{buza}})
	s := j.opens(buza, signal, label(j.T, protocol.ClassAbroad, j.lang))
	j.takes(buza, signal)
	j.begins(buza)
	s.use(`main a[href^="/compose/` + protocol.ClassVerify + `"]`)
	if !slices.Equal(s.Offered, []string{string(knooppunt)}) {
		j.Errorf("BuZa may write to %v", s.Offered)
	}
	j.fills(s, letter{class: protocol.ClassVerify, to: []identity.DeskID{knooppunt}}.entries(j.T))
	asked := j.signs(s, letter{class: protocol.ClassVerify, to: []identity.DeskID{knooppunt}})
	j.opens(knooppunt, asked, label(j.T, protocol.ClassVerify, j.lang))
	verified := j.answers(knooppunt, asked, letter{class: protocol.ClassVerified, to: []identity.DeskID{buza}})
	j.opens(buza, verified, label(j.T, protocol.ClassVerified, j.lang))
}

// home asks BuZa for papers, which rest on the verification, and plans the return.
func (j *journey) home() {
	j.begins(knooppunt)
	papers := j.writes(knooppunt, letter{class: protocol.ClassTravel, to: []identity.DeskID{buza},
		with: map[string]any{"toestemming": "voogd-of-gi", "toestemmingBewijs": nil}}) // whose consent needs no paper
	j.opens(buza, papers, label(j.T, protocol.ClassTravel, j.lang))
	j.takes(buza, papers)
	j.begins(knooppunt)
	plan := j.writes(knooppunt, letter{class: protocol.ClassPlan, to: []identity.DeskID{buza, veilig}})
	j.opens(buza, plan, label(j.T, protocol.ClassPlan, j.lang))
	j.opens(veilig, plan, label(j.T, protocol.ClassPlan, j.lang))
}

func (j *journey) closed() {
	j.begins(knooppunt)
	end := j.writes(knooppunt, letter{class: protocol.ClassClosing, to: []identity.DeskID{veilig, buza},
		with: map[string]any{"vernietigInSchakelOp": time.Now().AddDate(0, 0, 30).Format(time.DateOnly)}})
	j.opens(veilig, end, label(j.T, protocol.ClassClosing, j.lang))
	j.opens(buza, end, label(j.T, protocol.ClassClosing, j.lang))
}

// exported downloads the file of the case, and verifies it as a stranger would.
func (j *journey) exported() {
	s := j.seat(knooppunt)
	s.use(`nav a[href="/cases"]`)
	s.use(`main a[href="/cases?part=closed"]`)
	s.use(`main a[href="/cases/` + j.zaak + `"]`)
	s.use(`main a[href="/cases/` + j.zaak + `/export"]`)
	s.fill(entry{"pin", []string{demo.PIN}})
	file := filepath.Join(j.TempDir(), "zaak.zip")
	s.order(order{Do: "save", At: "main form .utrecht-button--primary-action", Path: file})
	dir := j.TempDir()
	stranger := []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")} // knows nothing of this chain
	said, err := program.Run(j.Context(), program.Config{Path: j.program, Args: []string{"verify", file}, Dir: dir, Env: stranger})
	// The knooppunt never got the first report, which others name: the file says so.
	if failure := new(exec.ExitError); !errors.As(err, &failure) || failure.ExitCode() != 3 || !strings.Contains(err.Error(), "genuine, and 1 message is missing") {
		j.Fatalf("verify: %v\n%s", err, said)
	}
	j.Log(err)
}

// TestJourney walks the case: the first report in every way, each in one language; then what
// follows on the last of them once, every two chapters in another way, each in its other
// language. With -every it is the whole case in every way and language.
func TestJourney(t *testing.T) {
	chromium(t)
	told := &journey{T: t, chain: startChain(t), hands: startHands(t)}
	both, first := []string{"nl", "en"}, ""
	for i, m := range manners() {
		for n, lang := range both {
			if !*everyWay && i%2 != n {
				continue
			}
			t.Run(m.name+", "+lang, func(t *testing.T) {
				j := told.by(t)
				if m.name == "keyboard" {
					j.file = filepath.Join(t.TempDir(), "verklaring van school.pdf")
					ok(t, os.WriteFile(j.file, aFile(1_300_000), 0o600))
				}
				j.sit(m, lang)
				first = j.reported()
				told.zaak = j.zaak
				if *everyWay {
					for _, chapter := range j.rest(first) {
						chapter()
					}
				}
				t.Logf("%s, %s: %s", m.name, lang, time.Since(j.begun).Round(time.Second))
			})
		}
	}
	if *everyWay || first == "" {
		return
	}
	t.Run("what follows, in every way", func(t *testing.T) {
		j := told.by(t)
		sits := -1
		for i, chapter := range j.rest(first) {
			if way := i / 2; way != sits {
				sits = way
				j.sit(manners()[way], both[(way+1)%2])
			}
			chapter()
		}
		if sits != len(manners())-1 {
			t.Errorf("it was told in %d ways", sits+1)
		}
		t.Logf("what follows: %s", time.Since(j.begun).Round(time.Second))
	})
}

// by is a journey through the same chain and case, told by a test of its own.
func (j *journey) by(t *testing.T) *journey {
	return &journey{T: t, chain: j.chain, hands: j.hands, zaak: j.zaak, begun: time.Now()}
}
