package web

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"schakel/clients/harmless"
	"schakel/clients/schakel"
)

func logRoutes() []Route {
	return []Route{
		{Method: "GET", Path: "/log", Operation: "Log", Who: Users, serve: (*Site).log},
		{Method: "GET", Path: "/cases/{ref}/log", Operation: "Log", Who: Users, serve: (*Site).log},
		{Method: "GET", Path: "/deletions", Operation: "Deletions", Who: Users, serve: (*Site).deletions},
		{Method: "GET", Path: "/deletions/statements", Operation: "Deletions", Who: Users, serve: (*Site).deletionStatements},
	}
}

// accessLog is who opened what on the devices of this desk, newest first: of one case, or
// of all. It holds identifiers and names of colleagues, and nothing of what was said.
type accessLog struct {
	caseHead
	Lines        []logLine
	All          int
	Devices      []logState
	Faulty       bool
	Newer, Older string
}

type logLine struct {
	At                    time.Time
	Person, What, Subject string
	Case                  string // to see the log of it; empty on its own page
	Device                string
	Grave                 bool
	Times                 int // it stands there so many times in a row, within a minute
}

type logState struct {
	Device  string
	Here    bool
	Lines   int
	Missing uint64
	Fault   string
}

const linesPerPage = 100

func (s *Site) log(v *visit) (answer, error) {
	ref := v.PathValue("ref")
	l, err := v.node.Log(v.Context(), ref)
	if err != nil {
		return answer{}, err
	}
	out := accessLog{caseHead: caseHead{Ref: ref, Here: "log"}, All: len(l.Lines), Faulty: !l.Intact()}
	if ref != "" && len(l.Lines) > 0 {
		out.Ref = l.Lines[0].Case
	}
	for _, d := range l.Devices {
		out.Devices = append(out.Devices, logState{deviceNumber(d.Device), d.Here, d.Lines, d.Missing, harmless.Line(d.Fault)})
	}
	slices.Reverse(l.Lines)
	from, _ := strconv.Atoi(v.URL.Query().Get("from"))
	from = min(max(from, 0), len(l.Lines))
	end := min(from+linesPerPage, len(l.Lines))
	path := func(n int) string { return v.URL.Path + "?from=" + strconv.Itoa(n) }
	if from > 0 {
		out.Newer = path(max(from-linesPerPage, 0))
	}
	if end < len(l.Lines) {
		out.Older = path(end)
	}
	for _, line := range l.Lines[from:end] {
		out.add(logLineOf(v.lang, line, ref == ""))
	}
	if ref == "" {
		return answer{page: "log", title: "title.log", shows: out}, nil
	}
	return answer{page: "caselog", title: "title.case-log", shows: out}, nil
}

// add adds an older line: what a page did more than once in one go is one row.
func (a *accessLog) add(l logLine) {
	if n := len(a.Lines); n > 0 {
		last := &a.Lines[n-1]
		same := *last
		same.At, same.Times = l.At, l.Times
		if same == l && last.At.Sub(l.At) < time.Minute {
			last.Times++
			return
		}
	}
	a.Lines = append(a.Lines, l)
}

// logActions are what the programs of a desk note, each with its words under did.NAME. One
// that ends in a dash begins many, which say why or by what. A test holds that none is missing.
func logActions() []string {
	return strings.Fields("opened case-opened drafts-opened attachment-saved searched exported exported-by-file case-exported restricted glass-broken glass-refused acknowledged confirmed " +
		"rota-changed vouched revoked org-key-asked org-key-renewed witness-cosigned evidence-kept key-verified key-refused device-confirmed history-asked history-given away alarm-cleared- refused- case-destroyed case-let-go backup-made recovery-changed restored " +
		"web-user web-user-removed web-link web-signed-in web-signed-out web-wrong-pins web-passkey web-passkeys-dropped web-passkey-signs web-passkey-signed web-opened " +
		"web-tied web-untied web-alarm-cleared web-invited web-roles web-removed web-person-added web-vouched web-revoked web-attachment-saved " +
		"token-added token-revoked webhook-added webhook-removed webhook-rotated")
}

// byProgram begins what a program did with its token: which operation, and which token.
const byProgram = "api:"

// actionWords says what was done. What nobody here knows, such as of a newer program on
// another device, is shown as it is.
func actionWords(l language, action string) string {
	if operation, ok := strings.CutPrefix(action, byProgram); ok {
		operation, _, _ = strings.Cut(operation, ":")
		return l.word("did.api", harmless.Line(operation))
	}
	for _, a := range logActions() {
		if action == a || strings.HasSuffix(a, "-") && strings.HasPrefix(action, a) {
			return l.word("did." + strings.TrimSuffix(a, "-"))
		}
	}
	return harmless.Line(action)
}

// graveActions stand out: somebody may have to ask why.
func graveActions() []string {
	return []string{"glass-broken", "glass-refused", "case-exported", "exported", "restored"}
}

func logLineOf(l language, line schakel.LogLine, everything bool) logLine {
	out := logLine{Times: 1, At: line.At, Person: harmless.Line(line.Person), What: actionWords(l, line.Action), Subject: harmless.Line(line.Subject),
		Device: deviceNumber(line.Device), Grave: slices.Contains(graveActions(), line.Action)}
	if n, err := strconv.Atoi(strings.TrimSuffix(line.Subject, " found")); line.Action == "searched" && err == nil {
		out.What, out.Subject = out.What+": "+l.count("search.found", n), "" // never for what
	}
	if everything {
		out.Case = line.Case
	} else if line.Subject == line.Case {
		out.Subject = ""
	}
	return out
}

// destroyed are the cases whose keys were destroyed on this device, the last one first.
type destroyed struct{ Rows []deletionRow }

type deletionRow struct {
	Case, Closing, ClosedBy string
	At, Due                 time.Time
	Messages                int
}

func (s *Site) deletions(v *visit) (answer, error) {
	all, err := v.node.Deletions(v.Context())
	out := destroyed{}
	for _, d := range slices.Backward(all) {
		out.Rows = append(out.Rows, deletionRow{d.Case, d.Closing, harmless.Line(string(d.ClosedBy)), d.At, d.Due, d.Messages})
	}
	return answer{page: "deletions", title: "title.deletions", shows: out}, err
}

// deletionStatements hands out the signed statements, one behind the other: for whoever
// asks what became of a case.
func (s *Site) deletionStatements(v *visit) (answer, error) {
	all, err := v.node.Deletions(v.Context())
	if err != nil {
		return answer{}, err
	}
	var file []byte
	for _, d := range all {
		file = append(file, d.Statement...)
	}
	download(v.w, "vernietigd.txt", "application/octet-stream", file)
	return answer{sent: true}, nil
}
