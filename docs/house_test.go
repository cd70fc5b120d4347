// Package docs_test keeps the promises of the house: who may import whom, how the
// code is shaped, and that what the documents say is there, is there.
//
// Every rule is a function from what it looks at to what is wrong with it, so that
// the same function runs on this repository, where it must find nothing, and on
// testdata/crooked, a small module that breaks every rule, where it must find that.
package docs_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// pkg is what `go list -json` says of a package.
type pkg struct {
	ImportPath string
	Doc        string
	Imports    []string
	GoFiles    []string
}

const module = "schakel/"

// room is the import path without the module.
func (p pkg) room() string { return strings.TrimPrefix(p.ImportPath, module) }

func within(path string, rooms ...string) bool {
	return slices.ContainsFunc(rooms, func(r string) bool { return path == r || strings.HasPrefix(path, r+"/") })
}

// relayDeps is rule 1 on the packages that the relay program is made of: the
// program that partners must not have to trust does not contain the code to decrypt.
func relayDeps(deps []pkg) (wrong []string) {
	for _, p := range deps {
		if within(p.ImportPath, "filippo.io/age", module+"crypto/seal", "schakel/clients") {
			wrong = append(wrong, "the relay program contains "+p.ImportPath)
		}
	}
	return wrong
}

// pureRooms is rule 2: what both ends must compute alike reads no clock, network or disk.
func pureRooms(all []pkg) (wrong []string) {
	for _, p := range all {
		if !within(p.room(), "crypto", "relay/lanes", "relay/rota", "relay/ladder", "clients/protocol", "clients/casefile", "clients/harmless", "clients/roster", "clients/writing") {
			continue
		}
		for _, i := range p.Imports {
			if within(i, "net", "os", "log", "context") {
				wrong = append(wrong, p.room()+" imports "+i)
			}
		}
	}
	return wrong
}

// clientImports is rule 3: a client knows of the relay only what both share.
func clientImports(all []pkg) (wrong []string) {
	for _, p := range all {
		if !within(p.room(), "clients") || within(p.room(), "clients/schakel/schakeltest") {
			continue
		}
		for _, i := range p.Imports {
			if within(i, "schakel/relay") && !within(i, "schakel/relay/wire", "schakel/relay/lanes", "schakel/relay/rota", "schakel/relay/ladder", "schakel/relay/page") {
				wrong = append(wrong, p.room()+" imports "+i)
			}
		}
	}
	return wrong
}

// packageComments is rule 4. A command's comment may begin "Command".
func packageComments(all []pkg) (wrong []string) {
	for _, p := range all {
		if len(p.GoFiles) > 0 && !strings.HasPrefix(p.Doc, "Package ") && !strings.HasPrefix(p.Doc, "Command ") {
			wrong = append(wrong, p.room()+" has no package comment that says what it is")
		}
	}
	return wrong
}

// deskRights is rule 5: pages and programs reach what is stored through the rights of their user, and
// never past them.
func deskRights(all []pkg) (wrong []string) {
	for _, p := range all {
		if !within(p.room(), "clients/desk/web", "clients/desk/rights", "clients/desk/api") || within(p.room(), "clients/desk/web/webtest") {
			continue
		}
		for _, i := range p.Imports {
			if within(i, "schakel/clients/store") {
				wrong = append(wrong, p.room()+" imports "+i)
			}
		}
	}
	return wrong
}

func TestImportRules(t *testing.T) {
	all := list(t, "..", "./...")
	relay := list(t, "..", "-deps", "./cmd/schakel-relay")
	t.Run("1 the relay cannot decrypt", func(t *testing.T) { report(t, relayDeps(relay)) })
	t.Run("2 pure rooms", func(t *testing.T) { report(t, pureRooms(all)) })
	t.Run("3 clients and the relay", func(t *testing.T) { report(t, clientImports(all)) })
	t.Run("4 package comments", func(t *testing.T) { report(t, packageComments(all)) })
	t.Run("5 pages and rights", func(t *testing.T) { report(t, deskRights(all)) })
}

// Controls: the same functions find each rule broken in a module that breaks it.
func TestImportRulesFindTheCrooked(t *testing.T) {
	const crooked = "testdata/crooked"
	all := list(t, crooked, "./...")
	found := slices.Concat(relayDeps(list(t, crooked, "-deps", "./cmd/schakel-relay")), pureRooms(all), clientImports(all), packageComments(all), deskRights(all))
	slices.Sort(found)
	want := []string{
		"clients/cli has no package comment that says what it is",
		"clients/cli imports schakel/relay/queue",
		"clients/desk/web imports schakel/clients/store",
		"clients/protocol imports context",
		"crypto/seal imports net/http",
		"relay/lanes imports os",
		"the relay program contains filippo.io/age",
		"the relay program contains schakel/clients/protocol",
		"the relay program contains schakel/crypto/seal",
	}
	if !slices.Equal(found, want) {
		t.Errorf("found  %q\nwant  %q", found, want)
	}
}

// list runs `go list` in dir.
func list(t *testing.T, dir string, args ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Doc,Imports,GoFiles"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list %s: %s", strings.Join(args, " "), exit.Stderr)
		}
		t.Fatal(err)
	}
	var all []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func report(t *testing.T, wrong []string) {
	t.Helper()
	for _, w := range wrong {
		t.Error(w)
	}
}
