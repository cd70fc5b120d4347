package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"schakel/clients/protocol"
)

// asker asks a person who sits at the terminal, in the language of that person.
type asker struct {
	*app
	say func(protocol.Text) string
}

// questioner asks whoever sits at the terminal. The words of forms come out of an agreement, so
// they are made harmless like all that others wrote.
func (a *app) questioner(english bool) asker {
	say := spoken(english)
	return asker{a, func(t protocol.Text) string { return inert(say(t)) }}
}

func text(nl, en string) protocol.Text { return protocol.Text{NL: nl, EN: en} }

// maxLine bounds one typed line.
const maxLine = 16 << 10

// line asks for one line, again where it holds what no message should: an arrow key
// leaves an escape sequence, which nobody sees and every recipient gets. It reads no
// further than the line end: a PIN may follow, which is asked for without echo.
func (q asker) line(prompt string) (string, error) {
	for {
		fmt.Fprintf(q.Err, "%s ", prompt)
		b, err := q.interruptible(func() ([]byte, error) { return readLine(q.In) })
		if err != nil {
			return "", err
		}
		typed := strings.ReplaceAll(strings.TrimSpace(string(b)), "\t", " ")
		if utf8.ValidString(typed) && !strings.ContainsFunc(typed, unicode.IsControl) {
			return typed, nil
		}
		q.tell("  %s", q.say(text("in deze regel staan stuurtekens, zoals van een pijltjestoets; typ hem opnieuw",
			"this line holds control characters, such as an arrow key makes; type it again")))
	}
}

func readLine(r io.Reader) ([]byte, error) {
	var line []byte
	for b := make([]byte, 1); len(line) < maxLine; {
		n, err := r.Read(b)
		switch {
		case n == 1 && b[0] == '\n':
			return line, nil
		case n == 1:
			line = append(line, b[0])
		case errors.Is(err, io.EOF):
			return nil, usage(errors.New("the input ended before everything was answered; nothing was sent"))
		case err != nil:
			return nil, fmt.Errorf("failed to read from the terminal: %w", err)
		}
	}
	return nil, usage(fmt.Errorf("a line of more than %d characters", maxLine))
}

func (q asker) tell(format string, args ...any) { fmt.Fprintf(q.Err, format+"\n", args...) }

// choice is one of a numbered list.
type choice struct {
	value, label string
	help         string // what choosing it does; empty where the label says it
}

// number asks for one of a list, by its number or as the message writes it; "" where
// the person passes over it and may.
func (q asker) number(prompt string, choices []choice, required bool) (string, error) {
	q.list(choices)
	for {
		typed, err := q.line(prompt)
		if err != nil || typed == "" && !required {
			return "", err
		}
		if v, ok := pick(choices, typed); ok {
			return v, nil
		}
		q.tell("  %s", q.say(text("kies een nummer uit de lijst", "choose a number of the list")))
	}
}

// numbers asks for several of a list.
func (q asker) numbers(prompt string, choices []choice, required bool) ([]string, error) {
	q.list(choices)
	for {
		typed, err := q.line(prompt)
		if err != nil || typed == "" && !required {
			return nil, err
		}
		var picked []string
		for _, word := range strings.FieldsFunc(typed, func(r rune) bool { return r == ',' || r == ' ' }) {
			v, ok := pick(choices, word)
			if !ok {
				picked = nil
				break
			}
			if !slices.Contains(picked, v) {
				picked = append(picked, v)
			}
		}
		if len(picked) > 0 {
			return picked, nil
		}
		q.tell("  %s", q.say(text("kies nummers uit de lijst, met komma's ertussen", "choose numbers of the list, with commas between them")))
	}
}

func (q asker) list(choices []choice) {
	for i, c := range choices {
		q.tell("  %2d. %s", i+1, c.label)
		if c.help != "" {
			q.tell("      %s", q.in(dim, c.help))
		}
	}
}

func pick(choices []choice, typed string) (string, bool) {
	if n, err := strconv.Atoi(typed); err == nil && n >= 1 && n <= len(choices) {
		return choices[n-1].value, true
	}
	i := slices.IndexFunc(choices, func(c choice) bool { return c.value == typed })
	if i < 0 {
		return "", false
	}
	return choices[i].value, true
}

// yes asks for a yes or a no.
func (q asker) yes(prompt string) (bool, error) {
	for {
		typed, err := q.line(prompt)
		if err != nil {
			return false, err
		}
		if said, ok := protocol.YesOrNo(typed); ok {
			return said, nil
		}
		q.tell("  %s", q.say(text("antwoord ja of nee", "answer yes or no")))
	}
}
