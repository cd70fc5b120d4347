package cli

import (
	"fmt"
	"strings"

	"schakel/clients/harmless"
)

// inert and inertLine are what every text of a partner passes through before a
// terminal shows it.
func inert(s string) string { return harmless.Text(s) }

func inertLine(s string) string { return harmless.Line(s) }

// inertJSON escapes in finished JSON what encoding/json leaves as it is but a
// terminal acts on. Such characters occur inside strings only, where the escape
// means the same.
func inertJSON(b []byte) []byte {
	var out strings.Builder
	for _, r := range string(b) {
		switch {
		case r == '\n' || !harmless.Acts(r):
			out.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&out, `\u%04x\u%04x`, 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return []byte(out.String())
}
