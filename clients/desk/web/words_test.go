package web

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"schakel/clients/desk"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/clients/writing"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// computed are the keys that are made of a part and a value of a list.
func computed() (keys []string) {
	for _, c := range desk.Codes() {
		if c != "protocol" { // the rule has words of its own
			keys = append(keys, "remedy."+c)
		}
	}
	for _, o := range own() {
		keys = append(keys, "problem."+o.code, "remedy."+o.code)
	}
	for _, u := range []message.Urgency{message.Acute, message.Urgent, message.Routine, message.Info} {
		keys = append(keys, "urgency."+string(u))
	}
	for _, s := range []schakel.State{schakel.StatePrepared, schakel.StateAtRelay, schakel.StateDelivered, schakel.StateOpened, schakel.StateAcknowledged,
		schakel.StateRejected, schakel.StateFailed, schakel.StateReceived} {
		keys = append(keys, "state."+string(s))
	}
	for _, r := range append(identity.Roles(), "") {
		keys = append(keys, "role."+string(r))
	}
	for _, p := range []string{forUs, unread, forThem, all} {
		keys = append(keys, "inbox."+p, "inbox.none-"+p, "inbox.more-"+p)
	}
	for _, u := range []message.Urgency{message.Acute, message.Urgent, message.Routine, message.Info} {
		keys = append(keys, "urgency-help."+string(u))
	}
	for _, d := range []writing.Doubt{writing.DoubtUnknown, writing.DoubtElsewhere, writing.DoubtOutside} {
		keys = append(keys, "doubt."+string(d))
	}
	for _, g := range append(wants(), struct {
		key     string
		classes []string
		inCase  bool
	}{key: "own"}) {
		keys = append(keys, "kinds."+g.key)
	}
	keys = append(keys, "kinds.answer")
	for _, a := range []string{"acknowledge", "answer", "wrong-desk", protocol.ClassCorrection, protocol.ClassWithdrawal, "forward", "write", "assign"} {
		keys = append(keys, "action."+a)
	}
	return slices.Concat(keys, computedOfCases(), computedElsewhere(), []string{"passkeys.add", "passkeys.enter"})
}

var (
	inTemplates = regexp.MustCompile(`\bt "([^"]+)"`)
	counted     = regexp.MustCompile(`\bcount[ (]"([^"]+)"`)
	inCode      = regexp.MustCompile(`(?:\bword\(|\bfault\([^,]+, |\btitle: +|\bKey: )"([^"]+)"`)
	inTitles    = regexp.MustCompile(`"(title\.[a-z-]+)"`)
)

// used are the keys that templates and code name.
func used(t *testing.T) (keys []string) {
	t.Helper()
	for pattern, found := range map[string][]*regexp.Regexp{"pages/*.html": {inTemplates}, "pages/parts/*.html": {inTemplates}, "*.go": {inCode, inTitles}} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatal(pattern, err)
		}
		for _, name := range names {
			raw, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, re := range found {
				for _, m := range re.FindAllStringSubmatch(string(raw), -1) {
					keys = append(keys, m[1])
				}
			}
			for _, m := range counted.FindAllStringSubmatch(string(raw), -1) {
				keys = append(keys, m[1]+".one", m[1]+".more")
			}
		}
	}
	keys = slices.DeleteFunc(keys, func(k string) bool { return strings.HasSuffix(k, ".") || strings.HasSuffix(k, "-") }) // begins of computed ones
	return append(keys, computed()...)
}

// differences are the keys that are used and not there, and there and not used.
func differences(words map[string]protocol.Text, used []string) (missing, unused []string) {
	for _, k := range used {
		if _, ok := words[k]; !ok && !slices.Contains(missing, k) {
			missing = append(missing, k)
		}
	}
	for k := range words {
		if !slices.Contains(used, k) {
			unused = append(unused, k)
		}
	}
	return missing, unused
}

func TestEveryTextIsThereAndUsed(t *testing.T) {
	missing, unused := differences(allWords(), used(t))
	if len(missing)+len(unused) > 0 {
		t.Errorf("missing %q\nunused %q", missing, unused)
	}
	missing, unused = differences(map[string]protocol.Text{"a": {}, "b": {}}, []string{"b", "c"})
	if !slices.Equal(missing, []string{"c"}) || !slices.Equal(unused, []string{"a"}) {
		t.Errorf("control: missing %q, unused %q", missing, unused)
	}
}

const longest = 14 // words in a sentence: plain language (B1)

// heavy are words that plain language has shorter ones for.
var heavy = map[language]*regexp.Regexp{
	dutch: regexp.MustCompile(`(?i)\b(middels|conform|inzake|betreffende|derhalve|tevens|alsmede|welke|omtrent|gaarne|dient|teneinde|onderhavige|ingevolge|` +
		`aangaande|desbetreffende|indien|reeds|echter|geschieden|verstrekken|dergelijke|gelieve)\b`),
	english: regexp.MustCompile(`(?i)\b(utili[sz]e|hereby|please|herein|in order to|terminate|pursuant|aforementioned|invalid|illegal|abort|fatal|thereof|commence)\b`),
}

// heaviness is what is wrong with a text for somebody who is tired and afraid.
func heaviness(l language, text string) (wrong []string) {
	if m := heavy[l].FindString(text); m != "" {
		wrong = append(wrong, "heavy word "+m)
	}
	for _, sentence := range regexp.MustCompile(`[.?!:]+(\s|$)`).Split(text, -1) {
		if n := len(strings.Fields(sentence)); n > longest {
			wrong = append(wrong, "long sentence: "+sentence)
		}
	}
	if strings.TrimSpace(text) == "" {
		wrong = append(wrong, "no text")
	}
	return wrong
}

func TestPlainLanguage(t *testing.T) {
	fills := regexp.MustCompile(`%[sd]`)
	for key, text := range allWords() {
		for _, l := range []language{dutch, english} {
			for _, w := range heaviness(l, l.of(text)) {
				t.Errorf("%s (%s): %s", key, l, w)
			}
		}
		if a, b := fills.FindAllString(text.NL, -1), fills.FindAllString(text.EN, -1); !slices.Equal(a, b) {
			t.Errorf("%s: takes %q in Dutch and %q in English", key, a, b)
		}
	}
	if len(heaviness(dutch, "U dient dit te doen")) == 0 || len(heaviness(english, strings.Repeat("word ", longest+1))) == 0 || len(heaviness(dutch, " ")) == 0 {
		t.Error("control: heavy texts pass")
	}
}

func TestWordsRefuseDoubles(t *testing.T) {
	if _, err := readWords("k|n|e\na|1|2\na|3|4\n"); err == nil {
		t.Error("a key that stands there twice passes")
	}
}

func TestGoingBackStaysHere(t *testing.T) {
	for path, want := range map[string]string{
		"/inbox?part=us": "/inbox?part=us", "/": "/",
		"": "/", "inbox": "/", "//evil.example": "/", "https://evil.example/": "/", `/\evil.example`: "/", "/\t/evil.example": "/", "javascript:alert(1)": "/", "/%zz": "/",
	} {
		if got := local(path); got != want {
			t.Errorf("%q leads to %q, want %q", path, got, want)
		}
	}
}
