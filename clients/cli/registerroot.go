package cli

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
)

// purposeHolder is the purpose of the fingerprint of a root holder's key.
const purposeHolder = "root holder key"

func (a *app) registerRootCommand() *cobra.Command {
	return noun("root", "Pass the root on: other holders, another threshold, witnesses or agreement, or a later expiry",
		a.rootKeyCommand(), a.rootDraftCommand(), a.rootFinishCommand())
}

func (a *app) rootKeyCommand() *cobra.Command {
	var f rootFlags
	c := &cobra.Command{
		Use: "key", Short: "Make the key of a new root holder, on that holder's own medium",
		Long: "Makes root.key in the folder and prints the public key, for `schakel register root draft --holder`.\n" +
			"The fingerprint beside it is for reading out by telephone to who makes the draft.",
		Example: `  schakel register root key --dir /media/holder-4 --key-passphrase-file phrase`,
		Args:    arguments(),
		RunE:    func(*cobra.Command, []string) error { return a.rootKey(f) },
	}
	c.Flags().StringVar(&f.dir, "dir", "", "folder for root.key, on a medium that this holder keeps")
	c.Flags().StringVar(&f.passphraseFile, "key-passphrase-file", "", "file with a passphrase to wrap the key under")
	return c
}

func (a *app) rootKey(f rootFlags) error {
	if f.dir == "" {
		return usage(errors.New("--dir is missing"))
	}
	phrase, err := a.rootPhrase(f)
	if err != nil {
		return err
	}
	k := newRootKey()
	if err := k.write(f.dir, phrase); err != nil {
		return advise(err, "a root key is never replaced: name another folder")
	}
	public := k.Public()
	a.printf("%s\n", public)
	a.sayf("fingerprint %s", identity.Fingerprint(purposeHolder, public[:]))
	a.sayf("next: hand the line above to who makes the draft, and read out the fingerprint by telephone")
	return nil
}

// rootPhrase is what new root keys are wrapped under; empty where nothing was asked.
func (a *app) rootPhrase(f rootFlags) (string, error) {
	if f.passphraseFile == "" {
		return "", nil
	}
	return a.read(secret{what: "passphrase of the root keys", file: f.passphraseFile})
}

type rootDraftFlags struct {
	root      rootFlags
	holders   []string
	threshold int
	witnesses []string
	none      bool
	quorum    int
	agreement string
	expires   string
	out       string
}

func (a *app) rootDraftCommand() *cobra.Command {
	var f rootDraftFlags
	c := &cobra.Command{
		Use: "draft", Short: "Draft the next root, and sign it as far as the keys are here",
		Long: "What is not named stays as it is in the root in force; --holder names all holders of the next\n" +
			"root, those who stay too. It counts when as many holders as the old root demands *and* as many as\n" +
			"the new one demands signed: each adds a signature with `schakel register cosign`, on a machine of\n" +
			"their own, and `schakel register root finish` ends it.",
		Example: "  schakel register root draft --dir root --key a/root.key --holder KEY1 --holder KEY2 --holder KEY3 --threshold 2 --out root-2.txt\n" +
			"  schakel register root draft --dir root --key a/root.key --out root-2.txt   # the same root, for a year more",
		Args: arguments(),
		RunE: func(*cobra.Command, []string) error { return a.rootDraft(f) },
	}
	f.root.add(c)
	flags := c.Flags()
	flags.StringArrayVar(&f.holders, "holder", nil, "public key of a holder of the next root (repeat for all of them; default those of now)")
	flags.IntVar(&f.threshold, "threshold", 0, "how many of them must sign (default as now)")
	flags.StringArrayVar(&f.witnesses, "witness", nil, "verifier key of a witness (repeat for all of them; default those of now)")
	flags.BoolVar(&f.none, "no-witnesses", false, "the next root names no witnesses")
	flags.IntVar(&f.quorum, "quorum", -1, "how many witnesses a checkpoint needs (default as now)")
	flags.StringVar(&f.agreement, "agreement", "", "agreement file that the next root names (default the one of now)")
	flags.StringVar(&f.expires, "expires", "", "last day on which it rules, such as 2027-06-01 (default a year from now)")
	flags.StringVar(&f.out, "out", "", "where the draft goes")
	return c
}

func (a *app) rootDraft(f rootDraftFlags) error {
	if f.out == "" {
		return usage(errors.New("--out is missing"))
	}
	entries, reg, err := f.root.signed()
	if err != nil {
		return err
	}
	next, err := a.nextRoot(f, reg.Authority())
	if err != nil {
		return err
	}
	holders, err := a.holders(f.root)
	if err != nil {
		return err
	}
	entry, err := next.Sign(reg.Next(next.Subject()), holders...)
	if err != nil {
		return usage(err)
	}
	if err := writeNew(f.out, trust.FormatEntries("draft of a root", [][]byte{entry}), 0o644); err != nil {
		return err
	}
	return a.keepRoot(f.root, entries, reg, entry, f.out)
}

// nextRoot is the root in force with what the flags change.
func (a *app) nextRoot(f rootDraftFlags, next trust.Root) (trust.Root, error) {
	next.Version++
	next.Issued = a.Now().UTC().Truncate(time.Second)
	next.Expires = next.Issued.Add(rootLife)
	if len(f.holders) > 0 {
		next.Keys = nil
	}
	for _, h := range f.holders {
		k, err := identity.ParseKeyText(h)
		if err != nil {
			return next, usage(fmt.Errorf("--holder %.80q: %w", h, err))
		}
		next.Keys = append(next.Keys, k)
	}
	if f.threshold != 0 {
		next.Threshold = f.threshold
	}
	if len(f.witnesses) > 0 || f.none {
		next.Witnesses = nil
	}
	for _, w := range f.witnesses {
		v, err := trust.ParseWitnessKey(w)
		if err != nil {
			return next, usage(fmt.Errorf("--witness: %w", err))
		}
		next.Witnesses = append(next.Witnesses, v)
	}
	switch {
	case f.quorum >= 0:
		next.Quorum = f.quorum
	case f.none:
		next.Quorum = 0
	}
	if f.agreement != "" {
		agreed, err := readAgreement(f.agreement)
		if err != nil {
			return next, err
		}
		next.Agreement = agreed.Digest()
	}
	if f.expires != "" {
		day, err := time.ParseInLocation(time.DateOnly, f.expires, time.UTC)
		if err != nil {
			return next, usage(fmt.Errorf("--expires %q is no day such as 2027-06-01", f.expires))
		}
		next.Expires = day.AddDate(0, 0, 1)
	}
	if next.Expiring(a.Now()) {
		return next, usage(fmt.Errorf("--expires %s: give a root at least %d days, or it is late at once", f.expires, int(trust.RootWarning.Hours()/24)))
	}
	return next, nil
}

func (a *app) rootFinishCommand() *cobra.Command {
	var f rootFlags
	c := &cobra.Command{
		Use: "finish DRAFT", Short: "Show what a draft of a root changes and who signed it; take it into register.txt when enough did",
		Long: "Signs with --key first, if you give one. Every holder who keeps a register.txt runs it with the\n" +
			"same finished file, so that all hold the same root.",
		Example: `  schakel register root finish --dir root root-2.txt`,
		Args:    arguments("DRAFT"),
		RunE:    func(_ *cobra.Command, args []string) error { return a.rootFinish(f, args[0]) },
	}
	c.Flags().StringVar(&f.dir, "dir", "", "folder of the root holders: genesis.txt, register.txt")
	f.addKeys(c, "; none signs nothing")
	return c
}

func (a *app) rootFinish(f rootFlags, path string) error {
	entries, reg, err := f.signed()
	if err != nil {
		return err
	}
	draft, err := readEntries(path)
	if err != nil {
		return err
	}
	if len(draft) != 1 {
		return fmt.Errorf("%w: %s holds %d entries, want one root", errUnverified, path, len(draft))
	}
	if slices.ContainsFunc(entries, func(e []byte) bool { return bytes.Equal(e, draft[0]) }) {
		a.sayf("kept: %s has this root already", f.registerFile())
		return nil
	}
	if len(f.keys) > 0 {
		holders, err := a.holders(f)
		if err != nil {
			return err
		}
		if draft, err = cosignEntries(draft, holders); err != nil {
			return err
		}
		if err := replaceFile(path, trust.FormatEntries("draft of a root", draft)); err != nil {
			return err
		}
	}
	return a.keepRoot(f, entries, reg, draft[0], path)
}

// keepRoot shows a draft, and takes it into register.txt when enough holders signed.
func (a *app) keepRoot(f rootFlags, old [][]byte, reg *trust.Register, entry []byte, path string) error {
	rotation, err := reg.Rotation(entry)
	if err != nil {
		return advise(fmt.Errorf("%w: %s: %w", errUnverified, path, err), "if another root was signed meanwhile, copy register.txt from its holders and draft anew")
	}
	a.sayRotation(rotation)
	a.printf("%s\n", path)
	if !rotation.Complete() {
		return advise(fmt.Errorf("%w: the root needs more signatures", errPartly), fmt.Sprintf(
			"let other holders run `schakel register cosign %s --key ...`, then run `schakel register root finish %s`", path, path))
	}
	content := trust.FormatEntries("Schakel register: what the root holders signed. Public.", append(old, entry))
	if err := replaceFile(f.registerFile(), content); err != nil {
		return err
	}
	a.sayf("next: publish all of it, not the root alone: what the old holders admitted must be in the register before")
	a.sayf("      the root passes on. schakel register publish --dir %s %s", f.dir, f.registerFile())
	return nil
}

// sayRotation says what changes, with fingerprints to compare by telephone.
func (a *app) sayRotation(t trust.Rotation) {
	a.sayf("root        version %d in the place of %d, until %s", t.New.Version, t.Old.Version, t.New.Expires.UTC().Format(time.DateOnly))
	a.sayf("holders     %d of %d must sign; before %d of %d", t.New.Threshold, len(t.New.Keys), t.Old.Threshold, len(t.Old.Keys))
	for _, k := range t.New.Keys {
		word := "new"
		if slices.Contains(t.Old.Keys, k) {
			word = "stays"
		}
		a.sayf("  %-7s   %s", word, identity.Fingerprint(purposeHolder, k[:]))
	}
	for _, k := range t.Old.Keys {
		if !slices.Contains(t.New.Keys, k) {
			a.sayf("  leaves    %s", identity.Fingerprint(purposeHolder, k[:]))
		}
	}
	a.sayf("witnesses   %d of %d must sign; before %d of %d", t.New.Quorum, len(t.New.Witnesses), t.Old.Quorum, len(t.Old.Witnesses))
	for _, w := range t.New.Witnesses {
		a.sayf("            %s", w)
	}
	if t.New.Agreement != t.Old.Agreement {
		a.sayf("agreement   another: sha256:%x", t.New.Agreement[:])
	}
	old, next := t.BySigned()
	a.sayf("signed      %d of %d of the old root, %d of %d of the new", len(old), t.Old.Threshold, len(next), t.New.Threshold)
	if t.New.Threshold == 1 {
		a.sayf("%s", a.in(red, "ONE signature is enough for this root: whoever has one of its keys decides alone who is in the chain."))
	}
}
