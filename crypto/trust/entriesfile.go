package trust

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// MaxEntriesFile bounds a file of entries.
const MaxEntriesFile = 16 << 20

// FormatEntries writes a file of entries, as root holders hand it to the operator
// of a relay and keep it themselves: an entry per line in standard base64, in the
// order of the log. Lines that begin with # are remarks and mean nothing.
func FormatEntries(remark string, entries [][]byte) []byte {
	var b strings.Builder
	b.WriteString("# " + strings.ReplaceAll(remark, "\n", " ") + "\n")
	for _, e := range entries {
		if parsed, err := ParseEntry(e); err == nil {
			b.WriteString("# " + string(parsed.Body.Subject()) + "\n")
		}
		b.WriteString(base64.StdEncoding.EncodeToString(e) + "\n")
	}
	return []byte(b.String())
}

// ParseEntries reads what FormatEntries wrote, and tolerates the empty lines and
// line ends that editors and mail add. It says nothing of what the entries are
// worth: they prove that themselves, in [Replay]. The error wraps ErrFormat.
func ParseEntries(file []byte) ([][]byte, error) {
	if len(file) > MaxEntriesFile {
		return nil, fmt.Errorf("%w: file of %d bytes, at most %d", ErrFormat, len(file), MaxEntriesFile)
	}
	var entries [][]byte
	for n, line := range strings.Split(string(file), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		e, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(e) > MaxEntry {
			return nil, fmt.Errorf("%w: line %d is no entry in base64", ErrFormat, n+1)
		}
		entries = append(entries, e)
	}
	if len(entries) == 0 {
		return nil, fmt.Errorf("%w: no entries in the file", ErrFormat)
	}
	return entries, nil
}
