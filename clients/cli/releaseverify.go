package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"schakel/clients/casefile"
	"schakel/clients/release"
	"schakel/crypto/trust"
)

type releaseVerifyFlags struct{ key, register, genesis string }

func (a *app) releaseVerifyCommand() *cobra.Command {
	var f releaseVerifyFlags
	c := &cobra.Command{
		Use: "verify LIST [PROGRAM]", Short: "Verify that a program is the one that was released",
		Long: "Says whether PROGRAM (the one that runs, where none is named) stands in a signed list, by its\n" +
			"SHA-256. It needs the verifier key of who releases, which you pinned before: not the one that came\n" +
			"with the list. With --register it also demands that the register of the chain has this list, so\n" +
			"that you were not given another program than all other partners.\n\n" +
			"A program that was exchanged says of itself what it likes: let the one that you have verify the new\n" +
			"one, before you install it.\n\n" +
			"Exit code 0: it is the program. 4: it is no program of this release. 8: it is another one under that\n" +
			"name, or the list is not signed by the pinned key, or not in the register.",
		Example: "  schakel release verify release.txt linux-amd64/schakel\n" +
			"  schakel release verify release.txt schakel-relay --register register.txt --genesis \"12345 67890 12345 67890 12345 67890 12345 67890\"",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return usage(errors.New("`schakel release verify` takes LIST and at most one PROGRAM"))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return a.releaseVerify(f, args) },
	}
	c.Flags().StringVar(&f.key, "key", "", "verifier key of who releases (default the setting release-key)")
	c.Flags().StringVar(&f.register, "register", "", "entries of the register, from `schakel register export`, that must have the list")
	c.Flags().StringVar(&f.genesis, "genesis", "", "fingerprint of that register, as it was told by telephone")
	return c
}

func (a *app) releaseVerify(f releaseVerifyFlags, args []string) error {
	if f.key == "" {
		f.key = a.settings.get("release-key")
	}
	if f.key == "" {
		return advise(usage(errors.New("--key is missing")), "pin the verifier key of who releases: release-key in client.toml; not the one that came with the list")
	}
	program, err := programOf(args[1:])
	if err != nil {
		return err
	}
	list, found, err := findReleased(args[0], f.key, program)
	if err != nil {
		return err
	}
	doc := releaseDocument{"schakel.release/1", list.Version, list.Commit, list.Go, program, found.Name, hex.EncodeToString(found.Hash[:]), nil}
	if f.register != "" {
		source, err := a.readSource(f.register, casefile.Options{Genesis: f.genesis})
		if err != nil {
			return err
		}
		st, err := inRegister(source.Register, list)
		if err != nil {
			return err
		}
		doc.Register = &releaseEntry{st.Index, source.Compared}
	}
	return a.showReleased(doc, f.key)
}

// programOf is the program to look at: the one named, or the one that runs.
func programOf(named []string) (string, error) {
	if len(named) > 0 {
		return named[0], nil
	}
	running, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("failed to find the program that runs: %w", err)
	}
	return running, nil
}

// findReleased opens a list with the pinned key and looks for a program in it.
func findReleased(path, key, program string) (release.List, release.File, error) {
	signed, err := readFile(path, release.MaxList)
	if err != nil {
		return release.List{}, release.File{}, err
	}
	list, err := release.Open(signed, key)
	if err != nil {
		return list, release.File{}, advise(err, releaseRemedy(err))
	}
	_, hash, err := hashFile(program)
	if err != nil {
		return list, release.File{}, err
	}
	found, err := list.Find(program, hash)
	return list, found, advise(err, releaseRemedy(err))
}

func releaseRemedy(err error) string {
	switch {
	case errors.Is(err, release.ErrKey):
		return "give the verifier key as it was published, such as schakel.example/releases+1a2b3c4d+AR..."
	case errors.Is(err, release.ErrNotListed):
		return "take the list of the release that this program is of; if there is none, do not run it"
	case errors.Is(err, release.ErrOtherHash):
		return "do not run it; fetch the release again, and tell who releases and the other partners"
	}
	return "do not run what came with it; ask who releases, by telephone"
}

// inRegister returns the register's entry of a list. Without one somebody may have made
// this release for one partner alone.
func inRegister(reg *trust.Register, l release.List) (trust.ReleaseState, error) {
	st, ok := reg.Release(l.Version)
	switch {
	case !ok:
		return st, advise(fmt.Errorf("%w: the register has no release %s", errUnverified, l.Version), "do not run it yet; ask the root holders, or take a newer register")
	case st.List != l.Digest():
		return st, advise(fmt.Errorf("%w: the register has another list for %s", errUnverified, l.Version), "do not run it: all other partners have other programs; tell who releases and the root holders")
	case !st.Active():
		return st, advise(fmt.Errorf("%w: %s was revoked", errUnverified, l.Version), "do not run it; take the release that came after it")
	}
	return st, nil
}

type releaseDocument struct {
	Schema   string        `json:"schema"`
	Version  string        `json:"version"`
	Commit   string        `json:"commit"`
	Go       string        `json:"go"`
	Program  string        `json:"program"`
	Is       string        `json:"is"`
	SHA256   string        `json:"sha256"`
	Register *releaseEntry `json:"register"`
}

type releaseEntry struct {
	Entry    uint64 `json:"entry"`
	Compared bool   `json:"compared"`
}

func (a *app) showReleased(d releaseDocument, key string) error {
	if a.json {
		return a.writeJSON(d)
	}
	name, _, _ := strings.Cut(key, "+")
	register := cell{"not compared: with --register it would show whether all partners were given this release", yellow}
	if d.Register != nil {
		register = cell{fmt.Sprintf("has this list (entry %d)", d.Register.Entry), plain}
		if !d.Register.Compared {
			register = cell{register.text + "; its fingerprint was NOT compared (--genesis)", yellow}
		}
	}
	a.table([][]cell{{{"program", dim}, {inertLine(d.Program), plain}}, {{"is", dim}, {inertLine(d.Is) + " of " + inertLine(d.Version), bold}}, {{"SHA-256", dim}, {d.SHA256, plain}},
		{{"commit", dim}, {d.Commit, plain}}, {{"built by", dim}, {inertLine(d.Go), plain}}, {{"list by", dim}, {inertLine(name), plain}}, {{"register", dim}, register}})
	a.printf("\n%s\n", a.in(green, "released"))
	return nil
}

// checkProgram compares the program that runs with the release that the administrator
// pinned, and with the register of this device. It finds what was exchanged by mistake or
// without care: a program made to deceive says of itself what it likes.
func (a *app) checkProgram(ctx context.Context, s *session) []check {
	key, path := a.settings.get("release-key"), a.settings.get("release-list")
	if key == "" && path == "" {
		return nil
	}
	const name = "program"
	bad := func(err error) []check {
		remedy := "set release-key and release-list, or neither"
		var own advice
		if errors.As(err, &own) {
			remedy = own.remedy
		}
		return []check{{name, failed, err.Error(), remedy}}
	}
	running, err := programOf(nil)
	if err != nil {
		return bad(err)
	}
	list, found, err := findReleased(path, key, running)
	if err != nil {
		return bad(err)
	}
	entries, err := s.RegisterEntries(ctx)
	if err != nil || len(entries) == 0 {
		return []check{{name, failed, "the register cannot be read", "see the daemon's log"}}
	}
	reg, err := trust.Replay(entries, trust.GenesisFingerprint(entries[0]))
	if err != nil {
		return bad(err)
	}
	evidence := found.Name + " of " + list.Version
	if _, ok := reg.Release(list.Version); !ok {
		return []check{{name, warning, evidence + "; the register does not have this release", "ask the root holders whether they sign releases into the register"}}
	}
	if _, err := inRegister(reg, list); err != nil {
		return bad(err)
	}
	return []check{{name, passed, evidence + ", as the register has it", ""}}
}
