package web

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"

	"schakel/clients/desk/rights"
	"schakel/clients/harmless"
	"schakel/clients/schakel"
)

//go:embed pages
var pageFiles embed.FS

// pageSet is the templates of one language by their names.
type pageSet map[string]*template.Template

// readPages parses every page once per language, each with the layout around it and the
// parts that several pages share.
func readPages(styles []string) (map[language]pageSet, error) {
	names, err := fs.Glob(pageFiles, "pages/*.html")
	if err != nil {
		return nil, err
	}
	all := map[language]pageSet{dutch: {}, english: {}}
	for l, set := range all {
		for _, name := range names {
			t, err := template.New("layout.html").Funcs(functions(l, styles)).ParseFS(pageFiles, "pages/layout.html", "pages/parts/*.html", name)
			if err != nil {
				return nil, fmt.Errorf("failed to read %s: %w", name, err)
			}
			set[strings.TrimSuffix(strings.TrimPrefix(name, "pages/"), ".html")] = t
		}
	}
	return all, nil
}

// functions are what templates can do beside showing. Whatever a partner wrote passes
// through line or text.
func functions(l language, styles []string) template.FuncMap {
	return template.FuncMap{
		"t": l.word, "count": l.count, "when": l.when, "clock": l.clock, "date": l.date, "lasts": l.lasts, "of": l.of,
		"line": func(v any) string { return harmless.Line(fmt.Sprint(v)) },
		"text": func(v any) string { return harmless.Text(fmt.Sprint(v)) },
		"iso":  func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"short": func(s string) string {
			return harmless.Line(s[:min(8, len(s))])
		},
		"nr":     caseNumber,
		"styles": func() []string { return styles },
		"dict":   dict,
	}
}

// dict gives a part of a page several things by name.
func dict(pairs ...any) (map[string]any, error) {
	out := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("a name that is no text: %v", pairs[i])
		}
		out[name] = pairs[i+1]
	}
	return out, nil
}

// view is what the layout shows, with the page inside it.
type view struct {
	Lang     language
	Title    string
	Here     string // path of this page
	User     string // name; empty where nobody is signed in
	Nav      []place
	Status   schakel.Status
	Known    bool      // Status could be read
	Idle     int       // seconds until the session locks
	Passkeys bool      // this desk can have them
	Typing   bool      // somebody writes here: the page does not go away by itself
	Signs    bool      // the user has a passkey that can take the place of the PIN
	Provider bool      // the organisation has a sign-in of its own
	Case     string    // number of the case that the page is about; empty: of none
	At       time.Time // when the page was made
	Since    string    // up to where it knows of news
	Page     any
	may      func(rights.Operation) bool
}

// May reports whether the user may do an operation: a page offers nobody what would be
// refused.
func (v view) May(op string) bool { return v.may(rights.Operation(op)) }

// Other is the language that this page is not in.
func (v view) Other() language {
	if v.Lang == dutch {
		return english
	}
	return dutch
}

// place is one entry of the navigation.
type place struct {
	Key, Path string
	Current   bool // this page
	Around    bool // this page is one of those below it
	Count     int  // of what waits there; 0: nothing, or nothing that is counted
}

// navigation is the places in their order. Each shows for whom may do its operation.
func navigation() []struct {
	place
	rights.Operation
} {
	return []struct {
		place
		rights.Operation
	}{
		{place{Key: "nav.inbox", Path: "/inbox"}, "List"},
		{place{Key: "nav.compose", Path: "/compose"}, "Send"},
		{place{Key: "nav.drafts", Path: "/drafts"}, "Drafts"},
		{place{Key: "nav.cases", Path: "/cases"}, "Cases"},
		{place{Key: "nav.search", Path: "/search"}, "Search"},
		{place{Key: "nav.oncall", Path: "/on-call"}, "OnCall"},
		{place{Key: "nav.alarms", Path: "/alarms"}, "Alarms"},
		{place{Key: "nav.directory", Path: "/directory"}, "Directory"},
		{place{Key: "nav.log", Path: "/log"}, "Log"},
		{place{Key: "nav.deletions", Path: "/deletions"}, "Deletions"},
		{place{Key: "nav.people", Path: "/people"}, "AddPerson"},
		{place{Key: "nav.devices", Path: "/devices"}, "Devices"},
		{place{Key: "nav.card", Path: "/card"}, "Directory"},
		{place{Key: "nav.settings", Path: "/settings"}, "Status"},
	}
}

func (s *Site) render(w http.ResponseWriter, v *visit, a answer) {
	out, err := s.rendered(v, a)
	if err != nil {
		s.Log.Error("page failed", "page", a.page, "err", err)
		http.Error(w, v.lang.word("problem.internal"), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Language", string(v.lang))
	w.Header().Add("Vary", "Cookie")
	if a.status != 0 {
		w.WriteHeader(a.status)
	}
	_, _ = w.Write(out) // the browser is gone: nobody to tell
}

// rendered is a whole page, or nothing: a page that breaks off halfway could leave out
// a warning.
func (s *Site) rendered(v *visit, a answer) ([]byte, error) {
	t, ok := s.pages[v.lang][a.page]
	if !ok {
		return nil, errors.New("no such template")
	}
	m := view{Lang: v.lang, Title: v.lang.word(a.title), Here: v.URL.RequestURI(), Page: a.shows, Passkeys: s.Door.HasPasskeys(), Provider: s.Door.HasProvider(),
		may: func(op rights.Operation) bool { return rights.May(v.user, op) }}
	if v.Method != http.MethodGet {
		m.Here = a.here
	}
	m.Typing, m.At, m.Since = a.typing, s.Now(), v.since
	if of, ok := a.shows.(interface{ number() string }); ok {
		m.Case = of.number()
	}
	if v.user.ID != "" && s.Door.Remaining(v.token) > 0 {
		m.Signs = v.URL.Path != "/passkeys" && s.Door.CanSign(v.Context(), v.user)
		m.User, m.Idle = harmless.Line(v.user.Name), int(s.Door.Idle().Seconds())
		var err error
		m.Status, err = v.node.Status(v.Context())
		m.Known = err == nil
		for _, n := range navigation() {
			if rights.May(v.user, n.Operation) {
				n.Current = n.Path == v.URL.Path
				n.Around = strings.HasPrefix(v.URL.Path, n.Path+"/")
				if n.Path == "/alarms" {
					n.Count = m.Status.Alarms
				}
				m.Nav = append(m.Nav, n.place)
			}
		}
	}
	var out bytes.Buffer
	err := t.ExecuteTemplate(&out, "layout.html", m)
	return out.Bytes(), err
}

// local is a path of this desk to go back to, or its front page: never another site.
func local(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(path, "/") ||
		strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") {
		return "/"
	}
	return path
}
