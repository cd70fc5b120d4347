//go:build linux

package system_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"schakel/clients/casefile"
	"schakel/clients/cli"
	"schakel/clients/demo"
	"schakel/clients/schakel"
	"schakel/configs"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
)

// evidence is what is left when a demonstration is over and everything of it is gone:
// the files that two desks exported, and the fingerprint that was told by telephone.
type evidence struct {
	programs
	dir     string
	genesis string
	files   map[identity.DeskID]string
}

// silent is an audience that says nothing.
type silent struct{}

func (silent) Step(ctx context.Context, _ int, _ demo.Step) error { return ctx.Err() }
func (silent) Fact(demo.Fact)                                     {}

// playDemonstration walks the case of the demonstration through real programs, lets two
// desks export it, and takes everything else away.
func playDemonstration(t *testing.T) evidence {
	t.Helper()
	e := evidence{programs: must[programs](t)(plain()), dir: must[string](t)(os.MkdirTemp(workshop, "e")), files: map[identity.DeskID]string{}}
	scenario := must[demo.Scenario](t)(demo.Parse(configs.Scenario))
	world, err := demo.Start(t.Context(), demo.LocalConfig{Scenario: scenario, Program: e.schakel, Relay: e.relay, Parent: e.dir})
	if world != nil {
		defer func() {
			if err := world.Close(); err != nil {
				t.Error(err)
			}
		}()
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := (&demo.Player{Scenario: scenario, World: world, Teller: silent{}, Patience: patience}).Play(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.genesis = e.must(t, cli.Done, "register", "fingerprint", filepath.Join(world.Dir(), "root", "genesis.txt"))
	ref := longestCase(t, e.must(t, cli.Done, "--home", world.Home(safe), "case", "list", "--json"))
	for _, desk := range []identity.DeskID{safe, police} {
		eventually(t, "all that "+string(desk)+" sent is proved", patience, func() bool {
			path := filepath.Join(e.dir, fmt.Sprintf("%s-%d.zip", desk.Org(), len(must[[]os.DirEntry](t)(os.ReadDir(e.dir)))))
			e.must(t, cli.Done, "--home", world.Home(desk), "case", "export", ref, "--out", path)
			e.files[desk] = path
			return allProved(t, path, desk)
		})
	}
	return e
}

// must runs schakel with no settings of anybody, and demands that it ends with that code.
func (e evidence) must(t *testing.T, code int, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), e.schakel, args...)
	cmd.Env = []string{"HOME=" + e.dir, "XDG_CONFIG_HOME=" + e.dir, "XDG_DATA_HOME=" + e.dir}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != int(code) {
		t.Fatalf("schakel %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, out.String(), errs.String())
	}
	return strings.TrimSpace(out.String())
}

// longestCase is the case with most messages of a list.
func longestCase(t *testing.T, list string) (ref string) {
	t.Helper()
	var doc struct{ Cases []schakel.CaseSummary }
	if err := json.Unmarshal([]byte(list), &doc); err != nil {
		t.Fatalf("%v\n%s", err, list)
	}
	longest := 0
	for _, c := range doc.Cases {
		if c.Messages > longest {
			longest, ref = c.Messages, c.Case
		}
	}
	return ref
}

func allProved(t *testing.T, path string, desk identity.DeskID) bool {
	t.Helper()
	r := casefile.Verify(must[[]byte](t)(os.ReadFile(path)), casefile.Options{})
	for _, m := range r.Messages {
		for _, d := range m.Deliveries {
			if m.Desk == desk && !m.Enclosed && (d.Delivered == nil || d.AtRelay == nil) {
				return false
			}
		}
	}
	return len(r.Messages) > 0
}

// The case of the demonstration, played by real programs, leaves as a file at two desks.
// Then the relay, the desks and their stores are gone. Both files verify with nothing
// but themselves and the fingerprint; what both have is the same, and each proves that
// the other desk had what it sent there.
func TestTheDemonstrationAsEvidence(t *testing.T) {
	if testing.Short() {
		t.Skip("starts nine processes")
	}
	e := playDemonstration(t)
	reports := map[identity.DeskID]casefile.Report{}
	for desk, path := range e.files {
		var doc struct{ Report casefile.Report }
		code := int(cli.Done)
		if r := casefile.Verify(must[[]byte](t)(os.ReadFile(path)), casefile.Options{}); !r.Complete {
			code = cli.Partly
		}
		if err := json.Unmarshal([]byte(e.must(t, code, "verify", path, "--genesis", e.genesis, "--json")), &doc); err != nil {
			t.Fatal(err)
		}
		r := doc.Report
		if !r.Sound || !r.Compared || !r.PagesCompared || r.Desk != desk || len(r.Faults) > 0 {
			t.Errorf("%s: sound %v, compared %v, pages %v, made by %s, %v", desk, r.Sound, r.Compared, r.PagesCompared, r.Desk, r.Faults)
		}
		reports[desk] = r
		e.must(t, cli.Unverified, "verify", path, "--genesis", strings.Repeat("12345 67890 ", 4))
	}
	compare(t, reports[safe], reports[police])
	compare(t, reports[police], reports[safe])
	e.singles(t, e.files[safe])
	e.tampered(t, e.files[safe], reports[safe])
}

// compare holds the file of one desk against that of another.
func compare(t *testing.T, ours, theirs casefile.Report) {
	t.Helper()
	if ours.Case != theirs.Case || ours.Fingerprint != theirs.Fingerprint {
		t.Errorf("case %s under %s, and %s under %s", ours.Case, ours.Fingerprint, theirs.Case, theirs.Fingerprint)
	}
	there := map[string]casefile.Original{}
	for _, m := range theirs.Messages {
		there[m.Hash] = m
	}
	both, proved := 0, 0
	for _, m := range ours.Messages {
		for _, d := range m.Deliveries {
			if d.Desk != theirs.Desk || m.Enclosed {
				continue
			}
			other, has := there[m.Hash]
			if !has {
				t.Errorf("%s of %s went to %s, which does not have it", m.Class, m.Desk, d.Desk)
				continue
			}
			both++
			if other.Device.ID != m.Device.ID || !other.Created.Equal(m.Created) || other.Class != m.Class {
				t.Errorf("%s differs: %+v and %+v", m.Hash, m, other)
			}
			if m.Desk == ours.Desk && d.Delivered != nil && d.Delivered.By.ID == theirs.Device.ID {
				proved++
			}
		}
	}
	if both == 0 || proved == 0 {
		t.Errorf("%s and %s share %d messages, of which %d are proved to have arrived", ours.Desk, theirs.Desk, both, proved)
	}
}

// singles takes a message and a statement out of the archive with another program, and
// verifies each by itself.
func (e evidence) singles(t *testing.T, path string) {
	t.Helper()
	z := must[*zip.ReadCloser](t)(zip.OpenReader(path))
	defer z.Close()
	for _, folder := range []string{"berichten/", "verklaringen/"} {
		i := slices.IndexFunc(z.File, func(f *zip.File) bool { return strings.HasPrefix(f.Name, folder) })
		if i < 0 {
			t.Fatalf("nothing in %s", folder)
		}
		out := filepath.Join(e.dir, filepath.Base(z.File[i].Name))
		raw := contentOf(t, z.File[i])
		if err := os.WriteFile(out, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		said := e.must(t, cli.Done, "verify", out, "--register", path, "--genesis", e.genesis)
		for _, want := range []string{"signed by", "earliest", "latest", "is the one that you gave", "genuine"} {
			if !strings.Contains(said, want) {
				t.Errorf("%s: no %q in\n%s", folder, want, said)
			}
		}
		raw[len(raw)-1] ^= 1
		if err := os.WriteFile(out, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		e.must(t, cli.Unverified, "verify", out, "--register", path)
	}
}

func contentOf(t *testing.T, f *zip.File) []byte {
	t.Helper()
	r := must[io.ReadCloser](t)(f.Open())
	defer r.Close()
	return must[[]byte](t)(io.ReadAll(r))
}

// tampered changes one byte in each file of the archive, takes a message out, and
// exchanges the register, each with all lengths and checksums around it right.
func (e evidence) tampered(t *testing.T, path string, honest casefile.Report) {
	t.Helper()
	raw := must[[]byte](t)(os.ReadFile(path))
	names, files := unzipped(t, raw)
	if !bytes.Equal(zipped(names, files), raw) {
		t.Fatal("the archive is not laid out as docs/casefile.md says")
	}
	verify := func(names []string) casefile.Report {
		return casefile.Verify(zipped(names, files), casefile.Options{Genesis: e.genesis})
	}
	blames := func(r casefile.Report, kind casefile.FaultKind, file string) bool {
		return slices.ContainsFunc(r.Faults, func(f casefile.Fault) bool { return f.Kind == kind && (file == "" || f.File == file) })
	}
	message := ""
	for _, name := range names {
		whole := files[name]
		files[name] = bytes.Clone(whole)
		files[name][len(whole)/2] ^= 1
		r := verify(names)
		files[name] = whole
		named := blames(r, casefile.FaultChanged, name) || strings.Count(name, "/") == 0 && (blames(r, casefile.FaultSignature, "") || blames(r, casefile.FaultManifest, name))
		if r.Sound || !named || blames(r, casefile.FaultArchive, "") {
			t.Errorf("one byte of %s changed: sound %v, %+v", name, r.Sound, r.Faults)
		}
		if strings.HasPrefix(name, "berichten/") {
			message = name
		}
	}
	less := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == message })
	if r := verify(less); r.Sound || !blames(r, casefile.FaultAbsent, message) {
		t.Errorf("%s taken out: %+v", message, r.Faults)
	}
	other := trusttest.New(time.Now())
	reg := other.Register()
	files["register/entries-0001.txt"] = trust.FormatEntries("register", other.Entries())
	files["register/checkpoint.txt"] = other.Checkpoint(reg.Size(), reg.Root())
	if r := verify(names); r.Sound || !blames(r, casefile.FaultGenesis, "register/entries-0001.txt") || !blames(r, casefile.FaultMessage, message) {
		t.Errorf("another register: %+v", r.Faults)
	}
	out := filepath.Join(e.dir, "tampered.zip")
	if err := os.WriteFile(out, zipped(names, files), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := e.must(t, cli.Unverified, "verify", out, "--genesis", e.genesis); !strings.Contains(said, "NOT GENUINE") {
		t.Errorf("said %s", said)
	}
	if r := casefile.Verify(raw, casefile.Options{Genesis: e.genesis}); !r.Sound || len(r.Messages) != len(honest.Messages) {
		t.Errorf("control: %+v", r.Faults)
	}
}

func unzipped(t *testing.T, raw []byte) (names []string, files map[string][]byte) {
	t.Helper()
	files = map[string][]byte{}
	for _, f := range must[*zip.Reader](t)(zip.NewReader(bytes.NewReader(raw), int64(len(raw)))).File {
		names, files[f.Name] = append(names, f.Name), contentOf(t, f)
	}
	return names, files
}

// zipped writes an archive as docs/casefile.md says, and not with the code under test.
func zipped(names []string, files map[string][]byte) []byte {
	le := binary.LittleEndian
	var b, end []byte
	for _, name := range names {
		raw, at := files[name], uint32(len(b))
		same := le.AppendUint32(nil, crc32.ChecksumIEEE(raw))
		same = le.AppendUint32(le.AppendUint32(same, uint32(len(raw))), uint32(len(raw)))
		same = append(le.AppendUint16(same, uint16(len(name))), 0, 0)
		b = append(append(append(append(b, "PK\x03\x04\x14\x00\x00\x00\x00\x00\x00\x00\x21\x00"...), same...), name...), raw...)
		end = append(append(end, "PK\x01\x02\x14\x00\x14\x00\x00\x00\x00\x00\x00\x00\x21\x00"...), same...)
		end = append(le.AppendUint32(append(end, make([]byte, 10)...), at), name...)
	}
	at := uint32(len(b))
	b = append(append(b, end...), "PK\x05\x06\x00\x00\x00\x00"...)
	b = le.AppendUint16(le.AppendUint16(b, uint16(len(names))), uint16(len(names)))
	return append(le.AppendUint32(le.AppendUint32(b, uint32(len(end))), at), 0, 0)
}
