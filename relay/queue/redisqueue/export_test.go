package redisqueue

import (
	"fmt"

	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// ParseLines reads a row of ends.
func ParseLines(lines string) (list []queue.Expired, damaged int) { return parseLines(lines) }

// AppendLine writes a line of such a row, as the functions do.
func AppendLine(b []byte, e *queue.Expired) []byte { return appendLine(b, e) }

// Decode reads an entry of a mailbox.
var Decode = decode

// Encode writes one.
var Encode = encode

// ParseTold reads what a relay told the others, and gives it again.
func ParseTold(payload string) (again string, device identity.DeviceID, ok bool) {
	t, ok := parseTold(payload)
	if t.number == 0 {
		return "register\n" + t.node, t.device, ok
	}
	return fmt.Sprintf("session\n%s\n%d\n%s", t.node, t.number, t.device[:]), t.device, ok
}

// Buckets is over how many the desks are spread.
const Buckets = buckets
