package web

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	"schakel/clients/harmless"
	"schakel/clients/roster"
	"schakel/clients/schakel"
)

func rotaSheetRoutes() []Route {
	return []Route{
		{Method: "GET", Path: "/on-call/rota", Operation: "SetRota", Who: Users, serve: (*Site).rotaWords},
		{Method: "GET", Path: "/on-call/rota/file", Operation: "SetRota", Who: Users, serve: (*Site).sheetFile},
		{Method: "GET", Path: "/on-call/rota/sheet", Operation: "SetRota", Who: Users, serve: (*Site).sheetForm},
		{Method: "POST", Path: "/on-call/rota/sheet", Operation: "SetRota", Who: Users, serve: (*Site).setSheet},
		{Method: "GET", Path: "/on-call/rota/calendar", Operation: "ImportCalendar", Who: Users, serve: (*Site).importForm},
		{Method: "POST", Path: "/on-call/rota/calendar", Operation: "ImportCalendar", Who: Users, serve: (*Site).importCalendar},
	}
}

// rotaSheet is the rota as a text to change, and before it is signed, what it comes to.
type rotaSheet struct {
	*form
	Text  string
	Lines int // of the field to type in
	Check *sheetCheck
}

type sheetCheck struct {
	People, Levels int
	Gaps           []post
}

// current is the rota of this desk as a text; empty where it has none.
func (s *Site) currentSheet(v *visit) (roster.Sheet, string, error) {
	r, err := v.node.Rota(v.Context())
	if errors.Is(err, schakel.ErrNoRota) {
		return roster.Sheet{}, "", nil
	}
	if err != nil {
		return roster.Sheet{}, "", err
	}
	now := roster.Sheet{Revision: r.Revision, Roster: r.Roster}
	text, err := now.Text()
	return now, string(text), err
}

func (s *Site) sheetFile(v *visit) (answer, error) {
	_, text, err := s.currentSheet(v)
	if err != nil {
		return answer{}, err
	}
	return v.file("application/toml; charset=utf-8", "rooster.toml", []byte(text))
}

func (s *Site) sheetForm(v *visit) (answer, error) {
	if err := v.signs(); err != nil {
		return answer{}, err
	}
	_, text, err := s.currentSheet(v)
	return answer{page: "sheet", title: "title.sheet", shows: newSheet(v.form(), text)}, err
}

func newSheet(f *form, text string) rotaSheet {
	return rotaSheet{form: f, Text: text, Lines: min(max(strings.Count(text, "\n")+2, 8), 24)}
}

// setSheet takes a text, from the field or from a file, shows what it comes to, and with
// a PIN puts it in the place of the rota. Whatever is wrong, the text stays.
func (s *Site) setSheet(v *visit) (answer, error) {
	if err := v.signs(); err != nil {
		return answer{}, err
	}
	f := v.form()
	text, err := v.uploaded("file")
	if err != nil {
		f.fault("file", "sheet.not-text")
	}
	if text == "" {
		text = f.values.Get("text")
	}
	out := newSheet(f, text)
	page := answer{page: "sheet", title: "title.sheet-again", status: http.StatusUnprocessableEntity}
	parsed, check, status, err := s.readSheet(v, f, text)
	if err != nil {
		return answer{}, err
	}
	page.status = status
	out.Check = check
	if check != nil && f.Is("step", "sign") {
		_, err := v.node.SetRota(v.Context(), parsed, v.by())
		if err == nil {
			return s.after(v, "/on-call", done{What: "sheet"}), nil
		}
		if page.status, err = f.refuse(err); err != nil {
			return answer{}, err
		}
	} else if check != nil {
		page.title = "title.sheet-check"
	}
	page.shows = out
	return page, nil
}

// readSheet reads the text of a rota and says what it comes to, or notes what is wrong
// with it: that it cannot be used, or that a colleague changed the rota since.
func (s *Site) readSheet(v *visit, f *form, text string) (parsed roster.Sheet, check *sheetCheck, status int, err error) {
	if !f.good() {
		return parsed, nil, http.StatusUnprocessableEntity, nil
	}
	parsed, wrong := roster.ParseSheet([]byte(text))
	if wrong == nil {
		now, _, err := s.currentSheet(v)
		if err != nil {
			return parsed, nil, 0, err
		}
		if parsed.Revision != now.Revision {
			wrong = schakel.ErrRotaChanged
		}
	}
	if wrong != nil {
		status, err := f.refuse(wrong)
		if f.Trouble != nil && !errors.Is(wrong, schakel.ErrRotaChanged) {
			f.Trouble.Faults = []fault{{"", harmless.Line(fmt.Sprintf("%.400s", wrong.Error()))}} // it names the line
		}
		return parsed, nil, status, err
	}
	check = &sheetCheck{People: len(parsed.People), Levels: len(parsed.Layers)}
	for _, g := range parsed.GapsAhead(s.Now()) {
		check.Gaps = append(check.Gaps, post{Level: v.lang.levelName(g.Level), From: g.From, To: g.To, Open: true})
	}
	return parsed, check, http.StatusOK, nil
}

// uploaded is a file that came with a form, as text; empty where there is none.
func (v *visit) uploaded(name string) (string, error) {
	if v.MultipartForm == nil || len(v.MultipartForm.File[name]) == 0 {
		return "", nil
	}
	file, err := v.MultipartForm.File[name][0].Open()
	if err != nil {
		return "", err
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxForm))
	if err != nil || !utf8.Valid(raw) {
		return "", errors.Join(errNotText, err)
	}
	return string(raw), nil
}

var errNotText = errors.New("the file is not text")

// calendarSheet is a calendar that comes in, and before it is signed, what of it counts.
type calendarSheet struct {
	*form
	Text  string
	Check *roster.Import
}

func (s *Site) importForm(v *visit) (answer, error) {
	if err := v.signs(); err != nil {
		return answer{}, err
	}
	return answer{page: "calendar", title: "title.calendar", shows: calendarSheet{form: v.form()}}, nil
}

// importCalendar shows what of a calendar would be taken in, and with a PIN takes it.
func (s *Site) importCalendar(v *visit) (answer, error) {
	if err := v.signs(); err != nil {
		return answer{}, err
	}
	f := v.form()
	out := calendarSheet{form: f, Text: f.values.Get("text")}
	page := answer{page: "calendar", title: "title.calendar-again", status: http.StatusUnprocessableEntity}
	file, err := v.uploaded("file")
	if file != "" {
		out.Text = file
	}
	if err != nil || out.Text == "" {
		f.fault("file", "calendar.none")
	}
	r, err := v.node.Rota(v.Context())
	if err != nil {
		return answer{}, err
	}
	if f.good() {
		_, report, wrong := r.Roster.Import(roster.Decision{ID: "0", By: v.user.Name, At: s.Now()}, []byte(out.Text))
		out.Check = &report
		if wrong != nil {
			out.Check = nil
			if page.status, err = f.refuse(wrong); err != nil {
				return answer{}, err
			}
		}
	}
	if out.Check != nil && f.Is("step", "sign") {
		_, report, err := v.node.ImportCalendar(v.Context(), []byte(out.Text), v.by())
		if err == nil {
			return s.after(v, "/on-call", done{What: "calendar", Import: &report}), nil
		}
		if page.status, err = f.refuse(err); err != nil {
			return answer{}, err
		}
	} else if out.Check != nil {
		page.title, page.status = "title.calendar-check", http.StatusOK
	}
	page.shows = out
	return page, nil
}
