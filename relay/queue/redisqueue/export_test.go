package redisqueue

import "schakel/relay/queue"

// ParseLines reads a row of ends.
func ParseLines(lines string) (list []queue.Expired, damaged int) { return parseLines(lines) }

// AppendLine writes a line of such a row, as the functions do.
func AppendLine(b []byte, e *queue.Expired) []byte { return appendLine(b, e) }

// Decode reads an entry of a mailbox.
var Decode = decode

// Encode writes one.
var Encode = encode
