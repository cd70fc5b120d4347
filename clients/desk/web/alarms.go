package web

import (
	"strconv"
	"strings"
	"time"

	"schakel/clients/desk/signin"
	"schakel/clients/harmless"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
	"schakel/relay/rota"
)

func alarmRoutes() []Route {
	return []Route{
		{Method: "GET", Path: "/alarms", Operation: "Alarms", Who: Users, serve: (*Site).alarms},
		{Method: "GET", Path: "/alarms/clearance", Operation: "ClearAlarm", Who: Users, serve: (*Site).clearForm},
		{Method: "POST", Path: "/alarms/clearance", Operation: "ClearAlarm", Who: Users, serve: (*Site).clearAlarm},
	}
}

// warnings are what somebody must act on, the oldest first.
type warnings struct {
	Rows []warning
	Done *done
}

// warning is an alarm in the words of its reader. Its texts are harmless; its telephone
// number is that of a desk.
type warning struct {
	Number              int // in the list, from 1: two alarms of one minute can have the same words
	Text, Do, Telephone string
	party
	Since         time.Time
	Subject       string
	Path          string // where something can be done about it
	Clear         string // address of the page that puts it away
	Kind, Unknown string // Unknown: words of the node, for a kind that this page does not know
	UnknownDo     string
}

// alarmKey is under which key the words of an alarm stand: one kind can mean several.
func alarmKey(a schakel.Alarm) string {
	known := func(parts ...string) string {
		for _, p := range parts {
			if p == a.Subject || p == a.Code {
				return string(a.Kind) + "-" + p
			}
		}
		return string(a.Kind)
	}
	switch a.Kind {
	case schakel.AlarmRota:
		return known("gat", "tegelijk", "relay")
	case schakel.AlarmRegister:
		return known("skipped", "split")
	case schakel.AlarmAhead:
		return known("old")
	case schakel.AlarmClock:
		return known("relay", "achter")
	case schakel.AlarmNewDevice:
		if a.Subject == a.Code {
			return string(a.Kind) + "-alleen" // the desk has no other
		}
	case schakel.AlarmFreshness:
		return known("stale")
	case schakel.AlarmRoot:
		return known("expired")
	case schakel.AlarmRule:
		return known("R01", "R02", "R08")
	case schakel.AlarmPager:
		return known("onleesbaar", "beschadigd")
	}
	return string(a.Kind)
}

// alarmKeys are all of them, for who checks that each has words.
func alarmKeys() (keys []string) {
	for _, k := range schakel.AlarmKinds() {
		keys = append(keys, string(k))
	}
	for kind, parts := range map[schakel.AlarmKind][]string{schakel.AlarmRota: {"gat", "tegelijk", "relay"}, schakel.AlarmRegister: {"skipped", "split"}, schakel.AlarmAhead: {"old"},
		schakel.AlarmClock: {"relay", "achter"}, schakel.AlarmNewDevice: {"alleen"}, schakel.AlarmFreshness: {"stale"}, schakel.AlarmRoot: {"expired"}, schakel.AlarmRule: {"R01", "R02", "R08"}, schakel.AlarmPager: {"onleesbaar", "beschadigd"}} {
		for _, p := range parts {
			keys = append(keys, string(kind)+"-"+p)
		}
	}
	return keys
}

func (s *Site) alarms(v *visit) (answer, error) {
	rows, err := s.warnings(v)
	return answer{page: "alarms", title: "title.alarms", shows: warnings{rows, s.done(v)}}, err
}

func (s *Site) warnings(v *visit) (out []warning, err error) {
	all, err := v.node.Alarms(v.Context())
	if err != nil {
		return nil, err
	}
	desks, err := v.node.Directory(v.Context())
	if err != nil {
		return nil, err
	}
	for i, a := range all {
		w := v.warning(a, desks)
		w.Number = i + 1
		out = append(out, w)
	}
	return out, nil
}

func (v *visit) warning(a schakel.Alarm, desks []schakel.Desk) warning {
	w := warning{Kind: string(a.Kind), Since: a.Since, Subject: harmless.Line(a.Subject)}
	for _, d := range desks {
		if d.ID == identity.DeskID(a.Code) || a.Kind == schakel.AlarmAhead && d.ID == identity.DeskID(a.Subject) {
			e := v.entry(d)
			w.party, w.Telephone = e.party, e.Telephone
		}
	}
	key := alarmKey(a)
	w.Text, w.Do = v.lang.word("alarm."+key), v.lang.word("alarm.do-"+key)
	if w.Text == "alarm."+key { // a kind of a newer program: its own words are better than none
		w.Text, w.Do, w.Unknown, w.UnknownDo = "", "", harmless.Line(a.Text), harmless.Line(a.Remedy)
	}
	w.Text = strings.Replace(w.Text, "%s", v.alarmDetail(a, w.party), 1)
	w.Path = v.alarmPath(a)
	f := form{values: map[string][]string{"kind": {string(a.Kind)}, "subject": {a.Subject}}}
	w.Clear = f.Query("/alarms/clearance", "kind", "subject")
	return w
}

// alarmDetail is what the text of an alarm fills in: whom it is about, or what.
func (v *visit) alarmDetail(a schakel.Alarm, p party) string {
	switch a.Kind {
	case schakel.AlarmNewKey, schakel.AlarmOwn:
		return harmless.Line(a.Subject)
	case schakel.AlarmAhead:
		if p.Org == "" {
			return harmless.Line(a.Subject)
		}
	case schakel.AlarmDestruction:
		date, _, _ := strings.Cut(a.Code, " ")
		return harmless.Line(date)
	case schakel.AlarmRota:
		_, first, _ := strings.Cut(a.Code, " ")
		at, _ := strconv.ParseInt(first, 10, 64)
		return v.lang.clock(time.Unix(at, 0).In(rota.Zone()))
	}
	if p.Org != "" {
		return p.Org + " (" + p.Desk + ")"
	}
	return harmless.Line(a.Code)
}

// alarmPath is the page where something can be done about an alarm.
func (v *visit) alarmPath(a schakel.Alarm) string {
	hash, _, _ := strings.Cut(a.Subject, " ")
	switch {
	case a.Kind == schakel.AlarmRota:
		return "/on-call"
	case (a.Kind == schakel.AlarmPager || a.Kind == schakel.AlarmDrill) && v.may("Drills"):
		return "/on-call/drills"
	case a.Kind == schakel.AlarmNewKey, a.Kind == schakel.AlarmNewDevice:
		return "/directory/" + a.Code
	case len(hash) == 64 && strings.Trim(hash, "0123456789abcdef") == "" && v.may("Read"):
		return "/messages/" + hash
	}
	return ""
}

// clearing asks once more before an alarm is put away.
type clearing struct {
	*form
	warning
}

func (s *Site) clearForm(v *visit) (answer, error) {
	c, err := s.clearing(v)
	return answer{page: "clear", title: "title.clear", shows: c}, err
}

func (s *Site) clearing(v *visit) (clearing, error) {
	c := clearing{form: v.form()}
	rows, err := s.warnings(v)
	for _, w := range rows {
		if w.Kind == c.Get("kind") && w.Clear == c.Query("/alarms/clearance", "kind", "subject") {
			c.warning = w
			return c, nil
		}
	}
	if err == nil {
		err = schakel.ErrNotFound
	}
	return c, err
}

// clearAlarm puts an alarm away, and notes who did.
func (s *Site) clearAlarm(v *visit) (answer, error) {
	c, err := s.clearing(v)
	if err != nil {
		return answer{}, err
	}
	if err := s.Door.Did(v.Context(), v.user, signin.ActCleared, c.Get("kind")+" "+c.Get("subject")); err != nil {
		return answer{}, err
	}
	if err := v.node.ClearAlarm(v.Context(), schakel.AlarmKind(c.Get("kind")), c.values.Get("subject")); err != nil {
		return answer{}, err
	}
	return s.after(v, "/alarms", done{What: "cleared"}), nil
}
