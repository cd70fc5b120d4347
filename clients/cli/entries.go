package cli

import (
	"fmt"

	"schakel/crypto/trust"
)

// readEntries reads an entries file (trust.ParseEntries). The root holders keep
// one of all they signed, register.txt; `schakel-relay register import` reads one.
func readEntries(path string) ([][]byte, error) {
	raw, err := readFile(path, trust.MaxEntriesFile)
	if err != nil {
		return nil, err
	}
	entries, err := trust.ParseEntries(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errUnverified, path, err)
	}
	return entries, nil
}
