//go:build linux

package system_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// needle is something that must not be found, in one way of writing it down.
type needle struct {
	what  string
	bytes []byte
}

// needles are the forms in which a secret could lie about: as it is, in
// hexadecimal, in base64 of either alphabet wherever it began, and in UTF-16.
func needles(what, secret string) []needle {
	plain := []byte(secret)
	out := []needle{
		{what, plain},
		{what + " in hex", []byte(hex.EncodeToString(plain))},
		{what + " in capital hex", []byte(strings.ToUpper(hex.EncodeToString(plain)))},
	}
	for _, alphabet := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for shift := range 3 {
			// What stands before it in the same triple is unknown: drop the
			// characters that depend on that, and those that depend on what follows.
			text := alphabet.EncodeToString(slices.Concat(make([]byte, shift), plain))
			out = append(out, needle{fmt.Sprintf("%s in base64, %d", what, shift),
				[]byte(text[(shift*8+5)/6 : (shift+len(plain))*8/6])})
		}
	}
	little, big := []byte{}, []byte{}
	for _, u := range utf16.Encode([]rune(secret)) {
		little, big = append(little, byte(u), byte(u>>8)), append(big, byte(u>>8), byte(u))
	}
	return append(out, needle{what + " in UTF-16LE", little}, needle{what + " in UTF-16BE", big})
}

// block is how much is searched at once: small enough for a processor's cache, since
// it is gone through once per needle. No needle is longer than the overlap.
const block, overlap = 64 << 10, 1 << 10

// nothing is what most of a process's memory holds.
var nothing = make([]byte, block+overlap)

// search returns what of the needles a stream holds.
func search(r io.Reader, all []needle) (found []string, err error) {
	buf := make([]byte, 0, block+overlap)
	for {
		n, err := io.ReadFull(r, buf[len(buf):len(buf)+block])
		buf = buf[:len(buf)+n]
		if !bytes.Equal(buf, nothing[:len(buf)]) {
			for _, w := range all {
				if bytes.Contains(buf, w.bytes) && !slices.Contains(found, w.what) {
					found = append(found, w.what)
				}
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return found, nil
		}
		if err != nil {
			return found, err
		}
		kept := copy(buf, buf[max(0, len(buf)-overlap):])
		buf = buf[:kept]
	}
}

// searchFolder searches the content and the names of all files below a folder.
func searchFolder(dir string, all []needle) (found []string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		more, err := search(strings.NewReader(path), all)
		found = append(found, more...)
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		more, err = searchFile(path, all)
		found = append(found, more...)
		return err
	})
	return found, err
}

func searchFile(path string, all []needle) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return search(f, all)
}

// searchMemory searches everything that a live process can read or write itself:
// heap, stacks, mapped files, its arguments (proc(5), maps and mem).
func searchMemory(pid int, all []needle) (found []string, searched int64, err error) {
	maps, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return nil, 0, err
	}
	defer maps.Close()
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return nil, 0, err
	}
	defer mem.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		var from, to uint64
		var mode string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &mode); err != nil {
			return found, searched, err
		}
		if mode[0] != 'r' || strings.Contains(lines.Text(), "[vvar") || strings.Contains(lines.Text(), "[vsyscall]") {
			continue
		}
		more, n := searchMapping(mem, int64(from), int64(to), all)
		found, searched = append(found, more...), searched+n
	}
	slices.Sort(found)
	return slices.Compact(found), searched, nil
}

// searchMapping searches one mapping. The process lives: a mapping may go away
// while it is read, and what is gone is not there to be found.
func searchMapping(mem io.ReaderAt, from, to int64, all []needle) ([]string, int64) {
	counted := &counter{r: io.NewSectionReader(mem, from, to-from)}
	found, _ := search(counted, all)
	return found, counted.n
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// Control: the search finds each form, at each place in a stream, and nothing else.
func TestSearchFindsEachForm(t *testing.T) {
	const secret = "kanarie-Zé7Qx" // with a letter beyond ASCII
	all := needles("it", secret)
	forms := map[string][]byte{
		"it": []byte(secret), "it in hex": []byte(hex.EncodeToString([]byte(secret))),
		"it in capital hex": []byte(strings.ToUpper(hex.EncodeToString([]byte(secret)))),
	}
	for shift := range 3 {
		before := strings.Repeat("?", shift+3)
		forms[fmt.Sprintf("it in base64, %d", shift)] = []byte(base64.StdEncoding.EncodeToString([]byte(before + secret + "tail")))
	}
	for i, end := range []func(uint16) []byte{
		func(u uint16) []byte { return []byte{byte(u), byte(u >> 8)} },
		func(u uint16) []byte { return []byte{byte(u >> 8), byte(u)} },
	} {
		var b []byte
		for _, u := range utf16.Encode([]rune(secret)) {
			b = append(b, end(u)...)
		}
		forms[[]string{"it in UTF-16LE", "it in UTF-16BE"}[i]] = b
	}
	for want, form := range forms {
		for _, before := range []int{0, 1, block - 5, block, 3*block + 17} {
			stream := slices.Concat(bytes.Repeat([]byte{0}, before), form, bytes.Repeat([]byte{'.'}, 77))
			found, err := search(bytes.NewReader(stream), all)
			if err != nil || !slices.Contains(found, want) {
				t.Errorf("%s after %d bytes: found %q, %v", want, before, found, err)
			}
		}
	}
	if found, _ := search(strings.NewReader(strings.Repeat("kanarie-Ze7Qx", 1000)), all); len(found) > 0 {
		t.Errorf("found %q in what is no secret", found)
	}
}
