package oracles_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"schakel/crypto/identity"
)

// foreign is a file of a module that holds no Go package, at a fixed version and
// with a fixed SHA-256.
type foreign struct{ module, file, sum string }

var (
	wycheproof = foreign{"github.com/google/wycheproof@v0.0.0-20191219022705-2196000605e4", "testvectors/eddsa_test.json",
		"a77b00e6399d13da54d28f4b4f26995977bf8a9780e5756a1c0fce85d260e041"}
	lowOrder = foreign{"filippo.io/mostly-harmless/ed25519vectors@v0.0.0-20210322192420-30a2d7243a94", "ed25519vectors.json",
		"ed3dd0730ec5ef2dbfd629186fbefeb6299cbbf9a6ed94af0478f07291acacca"}
	blocklists = foreign{lowOrder.module, "blocklists.txt",
		"53bbf44d93efeda060527bbbe852f8045d4baab5e627ac2cfb9ee4dfd6d47d9e"}
)

func (f foreign) read(t *testing.T) []byte {
	t.Helper()
	out, err := exec.Command("go", "mod", "download", "-json", f.module).Output()
	var module struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &module); jsonErr != nil || module.Dir == "" {
		t.Fatalf("failed to fetch %s: %v %s", f.module, err, module.Error)
	}
	b, err := os.ReadFile(filepath.Join(module.Dir, f.file))
	must(t, err)
	if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != f.sum {
		t.Fatalf("%s of %s has SHA-256 %x", f.file, f.module, sum)
	}
	return b
}

func TestWycheproof(t *testing.T) {
	var suite struct {
		NumberOfTests int
		TestGroups    []struct {
			Key   struct{ Pk string }
			Tests []struct {
				TcID                      int
				Comment, Msg, Sig, Result string
			}
		}
	}
	must(t, json.Unmarshal(wycheproof.read(t), &suite))
	seen := map[string]int{}
	for _, g := range suite.TestGroups {
		key, err := identity.ParseKey(unhex(t, g.Key.Pk))
		must(t, err)
		for _, v := range g.Tests {
			err := key.Verify(unhex(t, v.Msg), unhex(t, v.Sig))
			if (err == nil) != (v.Result == "valid") || err != nil && !errors.Is(err, identity.ErrBadSignature) {
				t.Errorf("test %d (%s) is %s: %v", v.TcID, v.Comment, v.Result, err)
			}
			seen[v.Result]++
		}
	}
	t.Logf("%d vectors: %v", suite.NumberOfTests, seen)
	if seen["valid"] < 50 || seen["invalid"] < 50 || seen["valid"]+seen["invalid"] != suite.NumberOfTests {
		t.Errorf("read %v of %d", seen, suite.NumberOfTests)
	}
}

// TestLowOrderVectors: each vector's key is refused, or is of large order. Those
// flagged LowOrderA and verified by Go are what ParseKey is there for.
func TestLowOrderVectors(t *testing.T) {
	var all []struct {
		A, R, S, M string
		Flags      []string
	}
	must(t, json.Unmarshal(lowOrder.read(t), &all))
	var refused, accepted int
	for i, v := range all {
		flags := strings.Join(v.Flags, " ") + " "
		_, err := identity.ParseKey(unhex(t, v.A))
		bad := strings.Contains(flags, "LowOrderA ") || strings.Contains(flags, "NonCanonicalA ")
		if (err != nil) != bad || err != nil && !errors.Is(err, identity.ErrKey) {
			t.Errorf("vector %d, key %s, %s: %v", i, v.A, flags, err)
		}
		if bad {
			refused++
		} else {
			accepted++
		}
	}
	t.Logf("%d keys refused, %d accepted", refused, accepted)
	if refused < 100 || accepted < 10 {
		t.Error("too few vectors of one sort")
	}
}

// TestBlocklist: every encoding in the list of low-order points is refused. Only
// the first list of the file is one of them: the others are what libraries block,
// some of it by mistake (keys that, the sign bit aside, are no low-order points).
func TestBlocklist(t *testing.T) {
	list, _, _ := strings.Cut(string(blocklists.read(t)), "\n\n")
	n := 0
	for line := range strings.SplitSeq(list, "\n") {
		key, _, _ := strings.Cut(line, " ")
		if len(key) != 64 {
			continue
		}
		n++
		if _, err := identity.ParseKey(unhex(t, key)); !errors.Is(err, identity.ErrKey) {
			t.Errorf("%s: %v", line, err)
		}
	}
	if n != 14 {
		t.Errorf("read %d keys, want 14", n)
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	must(t, err)
	return b
}
