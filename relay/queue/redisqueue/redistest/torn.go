package redistest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Tear leaves at the end of the append-only file of a server that was killed what a kill
// in the middle of a write leaves: the first half of a transaction that nobody was answered.
// It is the last that adds to a stream, once more, at the next place. It reports whether there
// was one.
func (s *Server) Tear() (bool, error) {
	path, err := LastFile(s.dir)
	if err != nil {
		return false, err
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	half, whole, err := tornAfter(raw)
	if err != nil {
		return false, fmt.Errorf("%s: %w", path, err)
	}
	if half == nil {
		return false, nil
	}
	return true, os.WriteFile(path, append(raw[:whole:whole], half...), 0o600)
}

// LastFile is the append-only file that a server writes to, in its folder. Each one that is
// written anew has the next number, and may stand beside the one before for a moment.
func LastFile(dir string) (path string, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "appendonlydir", "*.incr.aof"))
	last := -1
	for _, file := range files {
		words := strings.Split(filepath.Base(file), ".") // appendonly.aof.12.incr.aof
		if n, err := strconv.Atoi(words[max(0, len(words)-3)]); err == nil && n > last {
			path, last = file, n
		}
	}
	if path == "" {
		return "", errors.Join(fmt.Errorf("no append-only file in %s", dir), err)
	}
	return path, nil
}

// tornAfter returns half of a transaction, and up to where the file is whole: the kill may
// have torn it already.
func tornAfter(raw []byte) (half []byte, whole int, err error) {
	var begun, last [][][]byte
	for at := 0; at < len(raw); {
		words, n, err := command(raw[at:])
		if err != nil {
			return nil, 0, fmt.Errorf("at %d: %w", at, err)
		}
		if n == 0 {
			break // torn
		}
		at += n
		switch name := string(bytes.ToUpper(words[0])); {
		case name == "MULTI":
			begun = [][][]byte{words}
		case name == "EXEC":
			if next(begun) {
				last = begun
			}
			begun, whole = nil, at
		case begun != nil:
			begun = append(begun, words)
		default:
			whole = at
		}
	}
	if last == nil {
		return nil, whole, nil
	}
	for _, words := range last {
		half = fmt.Appendf(half, "*%d\r\n", len(words))
		for _, w := range words {
			half = fmt.Appendf(half, "$%d\r\n%s\r\n", len(w), w)
		}
	}
	return append(half, "*1\r\n$4\r\nEX"...), whole, nil
}

// next sets what a transaction adds to streams one place further, and reports whether there
// is anything.
func next(transaction [][][]byte) (any bool) {
	added := make(map[string]int) // to each stream
	for _, words := range transaction {
		if string(bytes.ToUpper(words[0])) == "XADD" {
			added[string(words[1])]++
		}
	}
	for _, words := range transaction {
		if string(bytes.ToUpper(words[0])) != "XADD" {
			continue
		}
		place, rest, _ := bytes.Cut(words[2], []byte("-"))
		n, err := strconv.Atoi(string(place))
		if err != nil {
			return false
		}
		words[2] = fmt.Append(nil, n+added[string(words[1])])
		if len(rest) > 0 {
			words[2] = append(append(words[2], '-'), rest...)
		}
		any = true
	}
	return any
}

var errStructure = errors.New("no command")

// command reads one command, and returns no length when it is not whole.
func command(raw []byte) (words [][]byte, n int, err error) {
	count, n, err := number(raw, '*')
	for ; err == nil && n > 0 && count > 0; count-- {
		size, head, err := number(raw[n:], '$')
		if err != nil || head == 0 || n+head+size+2 > len(raw) {
			return nil, 0, err
		}
		words = append(words, raw[n+head:n+head+size])
		n += head + size + 2
	}
	return words, n, err
}

// number reads a line that begins with a sign.
func number(raw []byte, sign byte) (value, n int, err error) {
	line, _, whole := bytes.Cut(raw, []byte("\r\n"))
	if !whole {
		return 0, 0, nil
	}
	if value, err = strconv.Atoi(string(bytes.TrimPrefix(line, []byte{sign}))); err != nil || line[0] != sign || value < 0 {
		return 0, 0, errStructure
	}
	return value, len(line) + 2, nil
}
