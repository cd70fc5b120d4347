package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"schakel/crypto/message"
)

// writeJSON writes one document. Every document has a field "schema" whose value
// ends in a version: fields are added under the same version, never renamed.
func (a *app) writeJSON(document any) error {
	b, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		return fmt.Errorf("failed to write JSON: %w", err)
	}
	_, err = a.Out.Write(append(inertJSON(b), '\n'))
	return err
}

// printf writes to standard output. The arguments must be inert. The first failure
// is kept for Main: a list that was cut off must not end with exit code 0.
func (a *app) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(a.Out, format, args...); err != nil && a.outErr == nil {
		a.outErr = fmt.Errorf("failed to write the result: %w", err)
	}
}

// colour is an SGR parameter (ECMA-48, 8.3.117).
type colour string

const (
	plain  colour = ""
	bold   colour = "1"
	dim    colour = "2"
	red    colour = "1;31"
	green  colour = "32"
	yellow colour = "33"
)

func (a *app) in(c colour, s string) string {
	if !a.paint || c == plain {
		return s
	}
	return "\x1b[" + string(c) + "m" + s + "\x1b[0m"
}

// wantsColour decides by --color, NO_COLOR (no-color.org) and whether w is a
// terminal that understands colours.
func (a *app) wantsColour(mode string, w io.Writer) bool {
	switch mode {
	case "always":
		return true
	case "never":
		return false
	}
	f, ok := w.(*os.File)
	return ok && a.env("NO_COLOR") == "" && a.env("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}

// cell is a piece of text in a table with its colour.
type cell struct {
	text   string
	colour colour
}

// table writes rows in columns. The first row is the heading. Colours do not count
// as width.
func (a *app) table(rows [][]cell) {
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, c := range row {
			line.WriteString(a.in(c.colour, c.text))
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text)+2))
			}
		}
		a.printf("%s\n", strings.TrimRight(line.String(), " "))
	}
}

// heads makes the heading row of a table.
func heads(names ...string) []cell {
	row := make([]cell, len(names))
	for i, n := range names {
		row[i] = cell{n, dim}
	}
	return row
}

// when shows an instant to a person, in the zone of this machine.
func (a *app) when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.In(a.Zone).Format("2006-01-02 15:04")
}

// short is the beginning of a hash or an identifier that a person can retype.
func short(ref string) string {
	if len(ref) > 10 {
		return ref[:10]
	}
	return ref
}

func urgencyColour(u message.Urgency) colour {
	switch u {
	case message.Acute:
		return red
	case message.Urgent:
		return yellow
	}
	return plain
}

// list turns nil into an empty list, so that JSON has [] and never null.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// orDash stands in for what is empty.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
