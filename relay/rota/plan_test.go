package rota_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"schakel/crypto/envelope"
	"schakel/relay/ladder"
	"schakel/relay/rota"
)

func TestPlanRoundTrip(t *testing.T) {
	p := plan()
	raw, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := rota.ParsePlan(raw)
	if err != nil || !reflect.DeepEqual(got, p) {
		t.Fatalf("comes back as %+v, %v", got, err)
	}
}

func TestPlanOnCall(t *testing.T) {
	p := plan()
	for name, c := range map[string]struct {
		at    time.Time
		level int
		want  []rota.Contact
	}{
		"who is on call":        {p.From, 0, []rota.Contact{"a"}},
		"the backup":            {p.From, 1, []rota.Contact{"b"}},
		"a gap":                 {p.From.Add(time.Hour), 0, p.Fallback},
		"a level that is not":   {p.From, 2, p.Fallback},
		"after the plan":        {p.Until, 0, p.Fallback},
		"before the plan":       {p.From.Add(-time.Second), 0, p.Fallback},
		"everyone":              {p.From, ladder.Everyone, []rota.Contact{"a", "b", "fallback"}},
		"everyone, in the gap":  {p.From.Add(time.Hour), ladder.Everyone, []rota.Contact{"fallback", "b", "a"}},
		"everyone, a year late": {p.Until.AddDate(1, 0, 0), ladder.Everyone, []rota.Contact{"fallback", "a"}},
	} {
		if got := p.OnCall(c.at, c.level); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	got := p.OnCall(p.Until, 0)
	got[0] = "changed"
	if p.Fallback[0] != "fallback" {
		t.Error("an answer shares its memory with the plan")
	}
}

func TestPlanRefuses(t *testing.T) {
	if err := plan().Check(); err != nil {
		t.Fatal("control:", err)
	}
	for name, c := range map[string]struct {
		change func(*rota.Plan)
		want   error
	}{
		"no desk":            {func(p *rota.Plan) { p.Desk = "vt20" }, rota.ErrFormat},
		"no fallback":        {func(p *rota.Plan) { p.Fallback = nil }, rota.ErrNoFallback},
		"a month":            {func(p *rota.Plan) { p.Until = p.From.AddDate(0, 1, 0) }, rota.ErrFormat},
		"no length":          {func(p *rota.Plan) { p.Until = p.From }, rota.ErrFormat},
		"half a second":      {func(p *rota.Plan) { p.From = p.From.Add(time.Second / 2) }, rota.ErrFormat},
		"before 1970":        {func(p *rota.Plan) { p.From = time.Unix(-1, 0) }, rota.ErrFormat},
		"overlap":            {func(p *rota.Plan) { p.Shifts[1].Level = 0 }, rota.ErrFormat},
		"not sorted":         {func(p *rota.Plan) { slices.Reverse(p.Shifts) }, rota.ErrFormat},
		"sticks out":         {func(p *rota.Plan) { p.Shifts[1].To = p.Until.Add(time.Second) }, rota.ErrFormat},
		"level 4":            {func(p *rota.Plan) { p.Shifts[1].Level = 4 }, rota.ErrFormat},
		"513 shifts":         {func(p *rota.Plan) { p.Shifts = make([]rota.Shift, 513) }, rota.ErrTooLarge},
		"65 points":          {func(p *rota.Plan) { p.Points = make([]rota.Point, 65) }, rota.ErrTooLarge},
		"points not sorted":  {func(p *rota.Plan) { slices.Reverse(p.Points) }, rota.ErrFormat},
		"a program":          {func(p *rota.Plan) { p.Points[0].Channel = "exec" }, rota.ErrFormat},
		"a target of lines":  {func(p *rota.Plan) { p.Points[0].Target = "a\nb" }, rota.ErrFormat},
		"a target too long":  {func(p *rota.Plan) { p.Points[0].Target = strings.Repeat("a", 513) }, rota.ErrFormat},
		"a ladder for tests": {func(p *rota.Plan) { p.Ladders[0].Tier = envelope.TierNone }, rota.ErrFormat},
		"a ladder twice":     {func(p *rota.Plan) { p.Ladders = append(p.Ladders, p.Ladders[0]) }, rota.ErrFormat},
		"steps backwards":    {func(p *rota.Plan) { slices.Reverse(p.Ladders[0].Ladder.Steps) }, rota.ErrFormat},
		"17 steps":           {func(p *rota.Plan) { p.Ladders[0].Ladder.Steps = make([]ladder.Step, 17) }, ladder.ErrLadder},
		"a wait of a year":   {func(p *rota.Plan) { p.Ladders[0].Ladder.Alarm = 365 * 24 * time.Hour }, rota.ErrFormat},
		"half a second more": {func(p *rota.Plan) { p.Ladders[0].Ladder.Alarm += time.Second / 2 }, rota.ErrFormat},
		"two acknowledgers":  {func(p *rota.Plan) { p.Ladders[0].Ladder.Acknowledgers = 2 }, rota.ErrFormat},
		"a negative wait":    {func(p *rota.Plan) { p.Ladders[0].Ladder.Repeat = -time.Second }, rota.ErrFormat},
	} {
		p := plan()
		c.change(&p)
		if _, err := p.Encode(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	for name, raw := range map[string][]byte{"nothing": {}, "too much": make([]byte, rota.MaxPlan+1), "no plan": []byte("\xa1\x01\x01")} {
		if _, err := rota.ParsePlan(raw); !errors.Is(err, rota.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPlanLadder: a plan can only make the floor tighter.
func TestPlanLadder(t *testing.T) {
	p := plan()
	if l, err := p.Ladder(envelope.TierAcute); err != nil || l.Alarm != 10*time.Minute || l.Acknowledgers != 1 || l.Repeat != ladder.Floor(envelope.TierAcute).Repeat {
		t.Errorf("%+v, %v", l, err)
	}
	if l, err := p.Ladder(envelope.TierUrgent); err != nil || !reflect.DeepEqual(l, ladder.Floor(envelope.TierUrgent)) {
		t.Errorf("%+v, %v", l, err)
	}
	p.Ladders[0].Ladder.Alarm = time.Hour
	if l, err := p.Ladder(envelope.TierAcute); !errors.Is(err, ladder.ErrLooser) || !reflect.DeepEqual(l, ladder.Floor(envelope.TierAcute)) {
		t.Errorf("a looser ladder: %+v, %v", l, err)
	}
}

// FuzzParsePlan: what is accepted has one encoding, and always somebody to call.
func FuzzParsePlan(f *testing.F) {
	raw, err := plan().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	small := plan()
	small.Shifts, small.Ladders, small.Points = nil, nil, nil
	if raw, err = small.Encode(); err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := rota.ParsePlan(raw)
		if err != nil {
			return
		}
		again, err := p.Encode()
		if err != nil || !slices.Equal(again, raw) {
			t.Fatalf("%x comes back as %x, %v", raw, again, err)
		}
		for level := ladder.Everyone; level <= rota.MaxLevels; level++ {
			if len(p.OnCall(p.From, level)) == 0 {
				t.Fatalf("nobody to call at level %d", level)
			}
		}
	})
}
