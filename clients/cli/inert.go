package cli

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text of a partner is hostile: an escape sequence could repaint the screen with a
// message that nobody signed, a bidi override could show an address backwards
// (attack F19). What reaches a terminal passes through inert or inertLine.

// inert shows every character that acts on a terminal, or that is not there to the
// eye, as a visible escape. Line ends and tabs stay.
func inert(s string) string {
	return replaceActing(s, func(r rune) bool { return r != '\n' && r != '\t' })
}

// inertLine is inert for text that must stay on its line.
func inertLine(s string) string {
	return replaceActing(s, func(rune) bool { return true })
}

func replaceActing(s string, unlessKept func(rune) bool) string {
	var out strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&out, `\x%02x`, s[i])
		case acts(r) && unlessKept(r):
			out.WriteString(escaped(r))
		default:
			out.WriteString(s[i : i+n])
		}
		i += n
	}
	return out.String()
}

// acts reports whether a terminal or a reader's eye is steered by r: controls (Cc,
// with both 7-bit and 8-bit escapes), formats (Cf: bidi overrides, isolates, marks,
// zero-width characters, tags), line and paragraph separators, private use, and
// spaces other than the ordinary one and the no-break one.
func acts(r rune) bool {
	if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co) {
		return true
	}
	return unicode.Is(unicode.Zs, r) && r != ' ' && r != '\u00a0'
}

func escaped(r rune) string {
	if r > 0xffff {
		return fmt.Sprintf(`\U%08x`, r)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

// inertJSON escapes in finished JSON what encoding/json leaves as it is but a
// terminal acts on. Such characters occur inside strings only, where the escape
// means the same.
func inertJSON(b []byte) []byte {
	var out strings.Builder
	for _, r := range string(b) {
		switch {
		case r == '\n' || !acts(r):
			out.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&out, `\u%04x\u%04x`, 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return []byte(out.String())
}
