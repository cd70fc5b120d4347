package redisqueue

import (
	"strconv"
	"strings"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// row is one of ends: what one call put with one expiry.
type row struct {
	bucket  int
	lines   string
	expires uint64
	left    []byte // lines that are not taken
}

// oldest takes the first lines of rows, and leaves of rows those that it touched.
func (b *batch) oldest(rows *[]*row, most int) []end {
	var ends []end
	for n, r := range *rows {
		if len(ends) == most {
			*rows = (*rows)[:n]
			break
		}
		list, damaged := parseLines(r.lines)
		if damaged > 0 {
			b.s.log.Error("lines of ends are damaged", "lines", damaged)
		}
		for i := range list {
			if len(ends) == most {
				r.left = appendLine(r.left, &list[i])
				continue
			}
			ends = append(ends, end{row: r, result: list[i]})
		}
	}
	return ends
}

// A line of ends is a position in 14 hexadecimal digits, desk, zero, id, newline.
func appendLine(b []byte, e *queue.Expired) []byte {
	b = appendHex(b, uint64(e.Position))
	return append(append(b, fieldOf(e.Desk, e.ID)...), '\n')
}

// parseLines leaves out what is damaged, and goes on behind the next newline.
func parseLines(lines string) (list []queue.Expired, damaged int) {
	for lines != "" {
		desk, rest, ok := "", "", len(lines) > 14
		if ok {
			desk, rest, ok = strings.Cut(lines[14:], "\x00")
		}
		position, err := strconv.ParseUint(lines[:min(14, len(lines))], 16, 64)
		if !ok || err != nil || len(rest) < 17 || rest[16] != '\n' {
			damaged++
			_, lines, _ = strings.Cut(lines, "\n")
			continue
		}
		ref := queue.Ref{Desk: identity.DeskID(desk), ID: envelope.ID([]byte(rest[:16]))}
		list, lines = append(list, queue.Expired{Ref: ref, Position: queue.Position(position)}), rest[17:]
	}
	return list, damaged
}
