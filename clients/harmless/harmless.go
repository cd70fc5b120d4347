// Package harmless makes text of a partner harmless to whoever looks at it.
//
// Such text is hostile: an escape sequence could repaint a terminal with a message
// that nobody signed, a bidi override could show an address backwards (attack F19).
// What reaches a screen, a page or a print passes through [Text] or [Line].
package harmless

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text shows every character that acts on a terminal, or that is not there to the
// eye, as a visible escape. Line ends and tabs stay.
func Text(s string) string {
	return replaceActing(s, func(r rune) bool { return r != '\n' && r != '\t' })
}

// Line is Text for what must stay on its line.
func Line(s string) string {
	return replaceActing(s, func(rune) bool { return true })
}

func replaceActing(s string, unlessKept func(rune) bool) string {
	var out strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&out, `\x%02x`, s[i])
		case Acts(r) && unlessKept(r):
			out.WriteString(Escaped(r))
		default:
			out.WriteString(s[i : i+n])
		}
		i += n
	}
	return out.String()
}

// Acts reports whether a terminal or a reader's eye is steered by r: controls (Cc,
// with both 7-bit and 8-bit escapes), formats (Cf: bidi overrides, isolates, marks,
// zero-width characters, tags), line and paragraph separators, private use, and
// spaces other than the ordinary one and the no-break one.
func Acts(r rune) bool {
	if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co) {
		return true
	}
	return unicode.Is(unicode.Zs, r) && r != ' ' && r != '\u00a0'
}

// Escaped is the visible escape of a character.
func Escaped(r rune) string {
	if r > 0xffff {
		return fmt.Sprintf(`\U%08x`, r)
	}
	return fmt.Sprintf(`\u%04x`, r)
}
