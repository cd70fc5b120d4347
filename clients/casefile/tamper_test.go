package casefile_test

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"schakel/clients/casefile"
	"schakel/crypto/message"
)

// zipped writes an archive by what docs/casefile.md says, not by the code under test.
func zipped(files map[string][]byte) []byte {
	order := slices.SortedFunc(maps.Keys(files), func(a, b string) int {
		first := func(s string) int { return max(-1, slices.Index([]string{"handtekeningen.txt", "manifest.txt"}, s)) }
		return cmp.Or(cmp.Compare(first(b), first(a)), cmp.Compare(a, b))
	})
	var b, end []byte
	le := binary.LittleEndian
	for _, name := range order {
		raw := files[name]
		at, sum, size := len(b), crc32.ChecksumIEEE(raw), uint32(len(raw))
		same := le.AppendUint16(le.AppendUint32(le.AppendUint32(le.AppendUint32(nil, sum), size), size), uint16(len(name)))
		b = append(append(append(b, "PK\x03\x04\x14\x00\x00\x00\x00\x00\x00\x00\x21\x00"...), same...), 0, 0)
		b = append(append(b, name...), raw...)
		end = append(append(end, "PK\x01\x02\x14\x00\x14\x00\x00\x00\x00\x00\x00\x00\x21\x00"...), same...)
		end = le.AppendUint32(append(end, make([]byte, 12)...), uint32(at))
		end = append(end, name...)
	}
	at := len(b)
	b = append(append(b, end...), "PK\x05\x06\x00\x00\x00\x00"...)
	b = le.AppendUint16(le.AppendUint16(b, uint16(len(files))), uint16(len(files)))
	return append(le.AppendUint32(le.AppendUint32(b, uint32(len(end))), uint32(at)), 0, 0)
}

// unpack reads the local headers only.
func unpack(t testing.TB, raw []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for bytes.HasPrefix(raw, []byte("PK\x03\x04")) {
		size, name := int(binary.LittleEndian.Uint32(raw[18:])), int(binary.LittleEndian.Uint16(raw[26:]))
		files[string(raw[30:30+name])] = bytes.Clone(raw[30+name : 30+name+size])
		raw = raw[30+name+size:]
	}
	return files
}

// rebuilt is what a maker who lies does: changes files, and signs a true manifest over them.
func rebuilt(t testing.TB, w *world, files map[string][]byte, change func(map[string][]byte)) []byte {
	t.Helper()
	change(files)
	line := regexp.MustCompile(`(?m)^bestand [0-9a-f]{64} [0-9]+ (.*)$`)
	manifest := line.ReplaceAllStringFunc(string(files["manifest.txt"]), func(l string) string {
		name := line.FindStringSubmatch(l)[1]
		return fmt.Sprintf("bestand %x %d %s", sha256.Sum256(files[name]), len(files[name]), name)
	})
	sig, err := w.vt.Sign.Sign([]byte(manifest))
	ok(t, err)
	files["manifest.txt"] = []byte(manifest)
	files["handtekeningen.txt"] = []byte("schakel/zaakdossier/2/handtekeningen\napparaat " + base64.StdEncoding.EncodeToString(sig) + "\n")
	return zipped(files)
}

// The test's own writer agrees with the code under test, or the rest means nothing.
func TestDocumentedArchive(t *testing.T) {
	raw := story(t).finish(t, true)
	if !bytes.Equal(zipped(unpack(t, raw)), raw) {
		t.Error("the archive is not laid out as docs/casefile.md says")
	}
}

// Whatever file is changed, taken out or put in, the answer names it.
func TestTamperedFilesAreNamed(t *testing.T) {
	w := story(t)
	raw := w.finish(t, true)
	for name := range unpack(t, raw) {
		flipped, gone := unpack(t, raw), unpack(t, raw)
		flipped[name][len(flipped[name])/2] ^= 1
		delete(gone, name)
		for what, files := range map[string]map[string][]byte{"flipped": flipped, "gone": gone} {
			r := casefile.Verify(zipped(files), w.told())
			named := slices.ContainsFunc(r.Faults, func(f casefile.Fault) bool {
				return f.File == name || name == "handtekeningen.txt" && f.Kind == casefile.FaultSignature || name == "manifest.txt" && f.Kind == casefile.FaultSignature
			})
			if r.Sound || !named {
				t.Errorf("%s %s: %s", name, what, faults(r))
			}
		}
	}
	extra := unpack(t, raw)
	extra["berichten/"+strings.Repeat("0", 64)+".cose"] = extra["manifest.txt"]
	if r := casefile.Verify(zipped(extra), w.told()); !strings.Contains(faults(r), "extra berichten/000") {
		t.Errorf("one more: %s", faults(r))
	}
	if r := casefile.Verify(zipped(unpack(t, raw)), w.told()); !r.Sound {
		t.Errorf("control: %s", faults(r))
	}
}

func TestSwappedMessagesAreNamed(t *testing.T) {
	w := story(t)
	files := unpack(t, w.finish(t, false))
	var names []string
	for name := range files {
		if strings.HasPrefix(name, "berichten/") {
			names = append(names, name)
		}
	}
	swap := func(files map[string][]byte) { files[names[0]], files[names[1]] = files[names[1]], files[names[0]] }
	swap(files)
	r := casefile.Verify(zipped(files), w.told())
	for _, name := range names {
		if !strings.Contains(faults(r), "gewijzigd "+name) || !strings.Contains(faults(r), "bericht "+name) {
			t.Errorf("%s is not named: %s", name, faults(r))
		}
	}
	swap(files)
	if r := casefile.Verify(rebuilt(t, w, files, swap), w.told()); !strings.Contains(faults(r), "bericht "+names[0]) {
		t.Errorf("swapped by the maker: %s", faults(r))
	}
}

// Each byte of the archive counts: flipped anywhere it is not genuine, cut anywhere it
// is not a case file.
func TestEveryByteCounts(t *testing.T) {
	w := story(t)
	raw := w.finish(t, true)
	step := max(1, len(raw)/30)
	for i := 0; i < len(raw); i += step {
		changed := bytes.Clone(raw)
		changed[i] ^= 0x10
		if r := casefile.Verify(changed, w.told()); r.Sound {
			t.Fatalf("byte %d of %d flipped, and it is genuine", i, len(raw))
		}
	}
	for i := len(raw) - 1; i > 0; i -= step {
		if r := casefile.Verify(raw[:i], w.told()); r.Sound || r.Faults[0].Kind != casefile.FaultArchive {
			t.Fatalf("cut at %d of %d: %s", i, len(raw), faults(r))
		}
	}
	if r := casefile.Verify(append(bytes.Clone(raw), 0), w.told()); r.Sound {
		t.Error("something follows, and it is genuine")
	}
}

// Names that lead out of the folder, twice, or unknown are refused before anything is read.
func TestHostileNames(t *testing.T) {
	w := story(t)
	raw := w.finish(t, false)
	for _, name := range []string{"../../etc/passwd", "/etc/passwd", `C:\x.txt`, "berichten/../x.cose", "anders.txt"} {
		files := unpack(t, raw)
		files[name] = []byte("x")
		if r := casefile.Verify(zipped(files), w.told()); r.Sound || r.Faults[0].Kind != casefile.FaultArchive {
			t.Errorf("%s: %s", name, faults(r))
		}
	}
	if r := casefile.Verify(nil, w.told()); r.Sound || len(r.Faults) != 1 {
		t.Errorf("nothing at all: %s", faults(r))
	}
}

// FuzzVerify: nothing panics, and what is genuine is what the writer of the documented
// layout makes of its files.
func FuzzVerify(f *testing.F) {
	w := story(f)
	raw := w.finish(f, true)
	f.Add(raw)
	f.Add(raw[:len(raw)/2])
	f.Add([]byte("PK\x03\x04"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if r := casefile.Verify(raw, casefile.Options{}); r.Sound && !bytes.Equal(zipped(unpack(t, raw)), raw) {
			t.Error("genuine in another encoding")
		}
	})
}

func FuzzDeletion(f *testing.F) {
	w := newWorld(f)
	raw, err := casefile.Deletion{Desk: "a/b", ClosedBy: "a/b", At: w.at, Due: w.at}.Sign(w.vt.Sign)
	ok(f, err)
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := casefile.ParseDeletion(raw)
		if err != nil {
			return
		}
		again, err := d.Sign(w.vt.Sign)
		ok(t, err)
		head := func(b []byte) []byte { return b[:bytes.LastIndex(b, []byte("handtekening"))] }
		if slices.IsSortedFunc(d.Messages, func(a, b message.Hash) int { return bytes.Compare(a[:], b[:]) }) && !bytes.Equal(head(again), head(raw)) {
			t.Errorf("%q and %q", raw, again)
		}
	})
}
