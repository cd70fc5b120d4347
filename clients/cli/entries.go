package cli

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"

	"schakel/crypto/trust"
)

// An entries file has one register entry per line, in standard base64, in the
// order of the log; lines that begin with # are remarks. The root holders keep one
// of all they signed (register.txt), and `schakel-relay register import` reads one.
const maxEntriesFile = 16 << 20

func formatEntries(remark string, entries [][]byte) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "# %s\n", remark)
	for _, e := range entries {
		if parsed, err := trust.ParseEntry(e); err == nil {
			fmt.Fprintf(&out, "# %s\n", parsed.Body.Subject())
		}
		fmt.Fprintln(&out, base64.StdEncoding.EncodeToString(e))
	}
	return out.Bytes()
}

func readEntries(path string) ([][]byte, error) {
	raw, err := readFile(path, maxEntriesFile)
	if err != nil {
		return nil, err
	}
	var entries [][]byte
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, 2*trust.MaxEntry)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		e, err := base64.StdEncoding.DecodeString(line)
		if err != nil {
			return nil, fmt.Errorf("%w: line %d of %s is no entry", errUnverified, n, path)
		}
		entries = append(entries, e)
	}
	if err := lines.Err(); err != nil || len(entries) == 0 {
		return nil, fmt.Errorf("%w: %s holds no entries", errUnverified, path)
	}
	return entries, nil
}
