package trust

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"schakel/crypto/identity"
)

// timeForm is RFC 3339 in UTC and whole seconds: entries are read by people.
const timeForm = "2006-01-02T15:04:05Z"

// writer writes "name value" lines.
type writer struct{ b strings.Builder }

func (w *writer) text(name, v string)           { w.b.WriteString(name + " " + v + "\n") }
func (w *writer) number(name string, v uint64)  { w.text(name, strconv.FormatUint(v, 10)) }
func (w *writer) hash(name string, v Hash)      { w.text(name, base64.StdEncoding.EncodeToString(v[:])) }
func (w *writer) time(name string, v time.Time) { w.text(name, v.UTC().Format(timeForm)) }

// reader reads what writer wrote, line by line in a fixed order. The first error
// stays; values after it are zero. It may accept more spellings than writer has:
// ParseEntry writes the result again and compares.
type reader struct {
	rest string
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: "+format, append([]any{ErrFormat}, args...)...)
	}
}

// next reports whether the next line has this name.
func (r *reader) next(name string) bool {
	return r.err == nil && strings.HasPrefix(r.rest, name+" ")
}

// text takes the line of this name; its value has 1 to most bytes of printable
// ASCII. Names in other scripts could imitate each other (attack C17).
func (r *reader) text(name string, most int) string {
	if !r.next(name) {
		r.fail("want line %q", name)
		return ""
	}
	v, rest, ok := strings.Cut(r.rest[len(name)+1:], "\n")
	if !ok || !printable(v, most) {
		r.fail("line %q: use 1 to %d characters of plain ASCII", name, most)
		return ""
	}
	r.rest = rest
	return v
}

// literal takes a line that is always the same.
func (r *reader) literal(line string) {
	rest, ok := strings.CutPrefix(r.rest, line+"\n")
	if !ok {
		r.fail("does not begin with %s", line)
	}
	r.rest = rest
}

func (r *reader) bytes(name string, most int) []byte {
	b, err := base64.StdEncoding.Strict().DecodeString(r.text(name, base64.StdEncoding.EncodedLen(most)))
	if err != nil {
		r.fail("line %q: not base64", name)
	}
	return b
}

func (r *reader) number(name string) uint64 {
	v, err := strconv.ParseUint(r.text(name, 20), 10, 64)
	if err != nil {
		r.fail("line %q: not a number", name)
	}
	return v
}

func (r *reader) hash(name string) (h Hash) {
	b, err := base64.StdEncoding.Strict().DecodeString(r.text(name, 44))
	if err != nil || len(b) != len(h) {
		r.fail("line %q: not base64 of %d bytes", name, len(h))
		return h
	}
	return Hash(b)
}

func (r *reader) key(name string) identity.Key {
	k, err := identity.ParseKeyText(r.text(name, 44))
	if err != nil {
		r.fail("line %q: %w", name, err)
	}
	return k
}

func (r *reader) time(name string) time.Time {
	t, err := time.Parse(timeForm, r.text(name, len(timeForm)))
	if err != nil {
		r.fail("line %q: want a time such as 2026-11-24T08:00:00Z", name)
	}
	return t
}

// take reads a value that has a parser of its own.
func take[T any](r *reader, name string, most int, parse func(string) (T, error)) (v T) {
	s := r.text(name, most)
	if r.err != nil {
		return v
	}
	v, err := parse(s)
	if err != nil {
		r.fail("line %q: %w", name, err)
	}
	return v
}

// takeAll reads consecutive lines of one name, at most most of them.
func takeAll[T any](r *reader, name string, most int, one func() T) (all []T) {
	for r.next(name) {
		if len(all) == most {
			r.fail("more than %d lines %q", most, name)
			return nil
		}
		all = append(all, one())
	}
	return all
}

func printable(s string, most int) bool {
	if len(s) == 0 || len(s) > most || s[0] == ' ' || s[len(s)-1] == ' ' {
		return false
	}
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// seconds drops what an entry cannot carry.
func seconds(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }
