package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"schakel/clients/release"
	"schakel/crypto/trust"
)

type registerReleaseFlags struct {
	root   rootFlags
	of, to string
}

func (a *app) registerReleaseCommand() *cobra.Command {
	var f registerReleaseFlags
	c := &cobra.Command{
		Use: "release LIST", Short: "Sign which programs a version is, so that every partner sees the same",
		Long: "Opens the signed list with the verifier key of who releases, and signs its SHA-256 into the register\n" +
			"as root holders. A version is entered once; `schakel register revoke --subject release/VERSION` ends\n" +
			"one that nobody should run. Build the commit again and compare before you sign (`make release`).\n\n" +
			"With fewer keys than the threshold it writes a draft: the next holder adds a signature with\n" +
			"`schakel register cosign`, and the last one runs this again with the draft in the place of LIST.\n" +
			"Programs of before skip such an entry, with an alarm: let partners update first.",
		Example: "  schakel register release dist/release.txt --of schakel.example/releases+1a2b3c4d+AR... --dir root --out v1.entries",
		Args:    arguments("LIST"),
		RunE:    func(_ *cobra.Command, args []string) error { return a.registerRelease(f, args[0]) },
	}
	f.root.add(c)
	c.Flags().StringVar(&f.of, "of", "", "verifier key of who releases (default the setting release-key)")
	c.Flags().StringVar(&f.to, "out", "", "where the entry goes, for `schakel register publish`")
	return c
}

func (a *app) registerRelease(f registerReleaseFlags, path string) error {
	if f.to == "" {
		return usage(errors.New("--out is missing"))
	}
	old, reg, err := f.root.signed()
	if err != nil {
		return err
	}
	holders, err := a.holders(f.root)
	if err != nil {
		return err
	}
	if draft, err := readEntries(path); err == nil {
		return a.finishRelease(f, old, draft, holders)
	}
	if f.of == "" {
		f.of = a.settings.get("release-key")
	}
	signed, err := readFile(path, release.MaxList)
	if err != nil {
		return err
	}
	list, err := release.Open(signed, f.of)
	if err != nil {
		return advise(err, releaseRemedy(err))
	}
	b := trust.Release{Version: list.Version, List: list.Digest()}
	entry, err := b.Sign(reg.Next(b.Subject()), holders...)
	if err != nil {
		return usage(err)
	}
	if _, again := reg.Release(list.Version); again {
		return advise(fmt.Errorf("%w: the register has %s already", errExists, list.Version), "give the release another version")
	}
	a.printf("%s", list.Text())
	return a.keepEntries(f.root, old, [][]byte{entry}, f.to)
}

// finishRelease takes a draft that other holders signed.
func (a *app) finishRelease(f registerReleaseFlags, old, draft [][]byte, holders []trust.Signer) error {
	if len(draft) != 1 {
		return fmt.Errorf("%w: the draft holds %d entries, want one release", errUnverified, len(draft))
	}
	if e, err := trust.ParseEntry(draft[0]); err != nil || e.Body.Kind() != trust.KindRelease {
		return fmt.Errorf("%w: the draft is of no release", errUnverified)
	}
	signed, err := cosignEntries(draft, holders)
	if err != nil {
		return err
	}
	return a.keepEntries(f.root, old, signed, f.to)
}
