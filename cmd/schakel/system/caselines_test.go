//go:build linux

package system_test

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"schakel/clients/desk"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// stage is where a case is played.
type stage interface {
	node(identity.DeskID) desk.Node
	leave(identity.DeskID) // its device stops
	comeBack(identity.DeskID)
	relay(up bool)
	// modified runs f while the desk's device runs a client that asks no rule.
	modified(desk identity.DeskID, deceit string, f func() error) error
	now() time.Time
	move(to time.Time) error // the clock of everybody
}

// play is one case being played.
type play struct {
	t     *testing.T
	stage stage

	patience time.Duration
	said     map[string]said          // by label
	main     string                   // the case of the last message: what comes next is in it, if it does not say otherwise
	cases    []string                 // all of them
	away     map[identity.DeskID]bool // a device that was stopped
	down     bool                     // the relay is
	due      []said                   // sent, and not at all its desks yet
}

// said is a message of the case.
type said struct {
	schakel.Sent
	from    identity.DeskID
	to      []identity.DeskID
	class   string
	body    []byte
	urgency message.Urgency
}

func newPlay(t *testing.T, s stage) *play {
	return &play{t: t, stage: s, patience: caseTime, said: map[string]said{}, away: map[identity.DeskID]bool{}}
}

// sentence is one kind of line.
type sentence struct {
	form *regexp.Regexp
	do   func(*play, []string) error
}

const atDesks = `,? at (.+)`

// sentences are all lines that a case file can hold.
func sentences() []sentence {
	line := func(form string, do func(*play, []string) error) sentence {
		return sentence{regexp.MustCompile(`^` + form + `$`), do}
	}
	return []sentence{
		line(`(?:(\w+) = )?(?:([a-z ]+) (\S+): )?(\S+) sends (.+)`, (*play).sends),
		line(`(?:(\w+) = )?(\S+) takes (\w+)`, (*play).takes),
		line(`(?:(\w+) = )?(\S+) returns (\w+)`, (*play).returns),
		line(`(?:(\w+) = )?(\S+) forwards (\w+)`, (*play).forwards),
		line(`([\w-]+) (leaves|comes back)`, (*play).comesAndGoes),
		line(`the relay (stops|starts)`, (*play).relayRuns),
		line(`the clock (?:stands at|moves to) (.+)`, (*play).clock),
		line(`regie: ([\w-]+)(?:, (term \d+|unproved))?`+atDesks, (*play).regie),
		line(`offer (\w+) is (\w+)`+atDesks, (*play).offer),
		line(`(\S+) owes ([\w-]+) for (\w+)(?:, within (\w+)|, until ([\d-]+ [\d:]+))?`+atDesks, (*play).owes),
		line(`(\S+) owes no (\S+) for (\w+)`+atDesks, (*play).owesNo),
		line(`(\S+) did (\S+) for (\w+) with (\w+)`+atDesks, (*play).did),
		line(`(\S+) is (late|in time) with (\S+) for (\w+)`+atDesks, (*play).late),
		line(`(\w+) has no effect, by (R\d+)`+atDesks, (*play).void),
		line(`(\w+) rests on (\w+)`+atDesks, (*play).restsOn),
		line(`(\w+) is missing`+atDesks, (*play).missing),
		line(`(\w+) is (corrected|withdrawn) by (\w+)`+atDesks, (*play).replaced),
		line(`(\w+) is flagged (\S+)`+atDesks, (*play).flagged),
		line(`(\w+) was said to nobody`+atDesks, (*play).unsaid),
		line(`(\w+) is not shown`+atDesks, (*play).notShown),
		line(`(\w+) is an exercise`+atDesks, (*play).exercise),
		line(`(\w+) is readable inside (\w+)`+atDesks, (*play).enclosed),
		line(`nothing of the case of (\w+)`+atDesks, (*play).nothing),
		line(`the case of (\w+) cannot be tied to that of (\w+)`+atDesks, (*play).untied),
		line(`closed by (\w+)`+atDesks, (*play).closed),
	}
}

func (p *play) do(text string) error {
	for _, s := range sentences() {
		if m := s.form.FindStringSubmatch(text); m != nil {
			return s.do(p, m[1:])
		}
	}
	return fmt.Errorf("no sentence of a case file")
}

// bureaus are the desks of every case, by the word that the files use.
var bureaus = []struct {
	word   string
	desk   identity.DeskID
	role   identity.Role
	region string
	oin    string
}{
	{"huisarts", "arts/praktijk", identity.RoleSignaleerder, "NL", "00000099000000009000"},
	{"vt", "vt20/crisis", identity.RoleVeiligThuis, "VT20", "00000099000000020000"},
	{"vt-amsterdam", "vt01/crisis", identity.RoleVeiligThuis, "VT01", "00000099000000020100"},
	{"politie", "politie-mn/oc", identity.RolePolitie, "RE03", "00000099000000003000"},
	{"om", "om-mn/officier", identity.RoleOM, "RE03", "00000099000000004000"},
	{"knooppunt", "knooppunt/piket", identity.RoleKnooppunt, "NL", "00000099000000001000"},
	{"buza", "buza/consulair", identity.RoleBuza, "NL", "00000099000000005000"},
	{"kmar", "kmar/schiphol", identity.RoleKmar, "NL", "00000099000000007000"},
	{"opvang", "opvang/intake", identity.RoleOpvang, "NL", "00000099000000008000"},
	{"raad", "raad/intake", identity.RoleRaad, "NL", "00000099000000006000"},
}

// signatory is the person of each desk.
const signatory = "Fictieve Ondertekenaar"

func deskOf(word string) (identity.DeskID, error) {
	for _, b := range bureaus {
		if b.word == word {
			return b.desk, nil
		}
	}
	return "", fmt.Errorf("no desk %q", word)
}

func desksOf(words string) (out []identity.DeskID, err error) {
	for _, w := range strings.Fields(words) {
		d, err := deskOf(w)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

func (p *play) message(label string) (said, error) {
	s, ok := p.said[label]
	if !ok {
		return s, fmt.Errorf("no message %q", label)
	}
	return s, nil
}

// clauses splits what stands behind "sends" at the commas outside quotes.
func clauses(text string) (out []string) {
	quoted, from := false, 0
	for i, c := range text {
		switch {
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			out, from = append(out, strings.TrimSpace(text[from:i])), i+1
		}
	}
	return append(out, strings.TrimSpace(text[from:]))
}

// assignments are the changes of `with a=b c.0.d="e f"`, in their order.
var assignments = regexp.MustCompile(`(\S+?)=("[^"]*"|\S+)`)

// set changes one field of a body: a path of names and positions, and JSON or a word.
func set(body any, path, value string) error {
	var v any = strings.Trim(value, `"`)
	if !strings.HasPrefix(value, `"`) {
		var parsed any
		if json.Unmarshal([]byte(value), &parsed) == nil {
			v = parsed
		}
	}
	head, rest, deeper := strings.Cut(path, ".")
	switch o := body.(type) {
	case map[string]any:
		switch {
		case deeper && o[head] != nil:
			return set(o[head], rest, value)
		case deeper:
			return fmt.Errorf("the body has no %q", head)
		case value == "-":
			delete(o, head)
		default:
			o[head] = v
		}
	case []any:
		i, err := strconv.Atoi(head)
		if err != nil || i < 0 || i >= len(o) {
			return fmt.Errorf("the body has no %q", path)
		}
		if deeper {
			return set(o[i], rest, value)
		}
		o[i] = v
	default:
		return fmt.Errorf("the body has no %q", path)
	}
	return nil
}

// caseTime is how long anything in a case may take.
const caseTime = patience

func (p *play) wait(yes func() error) error { return waitFor(p.patience, yes) }

func wait(yes func() error) error { return waitFor(caseTime, yes) }

// waitFor asks until yes, and says what it saw last when patience is over.
func waitFor(limit time.Duration, yes func() error) error {
	var err error
	if within(limit, 20*time.Millisecond, func() bool { err = yes(); return err == nil }) {
		return nil
	}
	return err
}

func background() context.Context { return context.Background() }
