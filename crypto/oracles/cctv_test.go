package oracles_test

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"

	agetest "c2sp.org/CCTV/age"
	"filippo.io/age"

	"schakel/crypto/seal"
)

// cctv is one test vector of c2sp.org/CCTV/age.
type cctv struct {
	expect, payload, identity string
	armored                   bool
	file                      []byte
}

func readCCTV(t *testing.T, name string) (v cctv) {
	t.Helper()
	b, err := fs.ReadFile(agetest.Vectors, name)
	must(t, err)
	head, file, ok := bytes.Cut(b, []byte("\n\n"))
	if !ok {
		t.Fatal("no empty line")
	}
	v.file = file
	for line := range strings.SplitSeq(string(head), "\n") {
		key, value, _ := strings.Cut(line, ": ")
		switch key {
		case "expect":
			v.expect = value
		case "payload":
			v.payload = value
		case "identity":
			v.identity = value
		case "armored":
			v.armored = true
		case "compressed":
			r, err := zlib.NewReader(bytes.NewReader(file))
			must(t, err)
			v.file, err = io.ReadAll(r)
			must(t, err)
		}
	}
	return v
}

// stanzas are the types of all stanzas, as far as the header is one.
func (v cctv) stanzas() (types []string) {
	head, _, _ := bytes.Cut(v.file, []byte("\n---"))
	for line := range strings.SplitSeq(string(head), "\n") {
		if after, ok := strings.CutPrefix(line, "-> "); ok {
			kind, _, _ := strings.Cut(after, " ")
			types = append(types, kind)
		}
	}
	return types
}

// allowed is Schakel's policy: an age file that opens, not armored, with hybrid
// stanzas and no others.
func (v cctv) allowed() bool {
	for _, kind := range v.stanzas() {
		if kind != "mlkem768x25519" {
			return false
		}
	}
	return v.expect == "success" && !v.armored && len(v.stanzas()) > 0
}

// TestCCTV reads every vector through the strict identity that Open uses. What age
// and the policy allow opens to the stated payload; nothing else opens at all,
// though age alone opens some of it.
func TestCCTV(t *testing.T) {
	entries, err := fs.ReadDir(agetest.Vectors, ".")
	must(t, err)
	var opened, onlyByAge []string
	for _, e := range entries {
		t.Run(e.Name(), func(t *testing.T) {
			v := readCCTV(t, e.Name())
			plain, err := openStrictly(t, v)
			if v.allowed() != (err == nil) {
				t.Fatalf("expect %q, stanzas %v: %v", v.expect, v.stanzas(), err)
			}
			if err == nil {
				opened = append(opened, e.Name())
				if sum := sha256.Sum256(plain); hex.EncodeToString(sum[:]) != v.payload {
					t.Error("opens to another payload")
				}
			} else if v.expect == "success" && strings.HasPrefix(v.identity, "AGE-SECRET-KEY-PQ-") && !v.armored {
				onlyByAge = append(onlyByAge, e.Name())
				if !errors.Is(err, seal.ErrStanzas) {
					t.Errorf("refused for another reason: %v", err)
				}
				if _, err := openWithAge(t, v); err != nil {
					t.Errorf("age refuses it too: %v", err)
				}
			}
		})
	}
	t.Logf("%d vectors; opened %v; opened by age alone %v", len(entries), opened, onlyByAge)
	if len(opened) < 2 || len(onlyByAge) < 2 {
		t.Error("too few vectors reached the code that they are for")
	}
}

func openStrictly(t *testing.T, v cctv) ([]byte, error) {
	t.Helper()
	key, err := seal.ParseEpochKey(1, v.identity)
	if err != nil { // a vector for another kind of key: any key of ours must refuse its file
		if strings.HasPrefix(v.identity, "AGE-SECRET-KEY-PQ-") {
			t.Fatal(err)
		}
		key, err = seal.NewEpochKey(1)
		must(t, err)
	}
	count := max(1, min(64, len(v.stanzas())))
	var plain []byte
	for index := range count { // a vector does not say which stanza is for its key
		id, err2 := key.Identity(index, count)
		must(t, err2)
		if plain, err = readAll(v.file, id); err == nil {
			return plain, nil
		}
	}
	return nil, err
}

func openWithAge(t *testing.T, v cctv) ([]byte, error) {
	t.Helper()
	id, err := age.ParseHybridIdentity(v.identity)
	must(t, err)
	return readAll(v.file, id)
}

// readAll reads to the authenticated end.
func readAll(file []byte, id age.Identity) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(file), id)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}
