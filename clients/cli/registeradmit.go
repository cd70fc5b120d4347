package cli

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
)

type admitFlags struct {
	root rootFlags
	out  string
	told string
	key  bool // the request brings another key of an organisation that is there
}

func (a *app) registerAdmitCommand() *cobra.Command {
	var f admitFlags
	c := &cobra.Command{
		Use: "admit REQUEST", Short: "Admit a partner's desk and write its invitation",
		Long: "Signs the organisation and the role of the desk into the register and writes the invitation\n" +
			"file. Compare the request's fingerprint with the partner by telephone first.\n\n" +
			"With fewer keys than the threshold it writes a draft: the next holder adds a signature with\n" +
			"`schakel register cosign`, and the last one runs admit again with the draft.\n\n" +
			"With --replace-key the request brings another key of an organisation that is in the register:\n" +
			"after a theft or a loss. Whoever has the old key can then change nothing any more.",
		Example: `  schakel register admit --dir root --key a/root.key --key b/root.key request.txt --out invitation.txt`,
		Args:    arguments("REQUEST"),
		RunE:    func(_ *cobra.Command, args []string) error { return a.admit(f, args[0]) },
	}
	f.root.add(c)
	c.Flags().StringVar(&f.out, "out", "", "where the invitation goes")
	c.Flags().StringVar(&f.told, "fingerprint", "", "what the partner read out, to compare with the request")
	c.Flags().BoolVar(&f.key, "replace-key", false, "give an organisation that is there the key of the request")
	return c
}

func (a *app) admit(f admitFlags, path string) error {
	if f.out == "" {
		return usage(errors.New("--out is missing"))
	}
	entries, reg, err := f.root.signed()
	if err != nil {
		return err
	}
	holders, err := a.holders(f.root)
	if err != nil {
		return err
	}
	added, desk, err := a.admission(f, path, reg, holders)
	if err != nil {
		return err
	}
	if err := a.keepEntries(f.root, entries, added, f.out+".entries"); err != nil {
		return err
	}
	return a.invite(f.out, desk, append(entries, added...), holders)
}

// admission returns the entries that admit a desk: made from a request, or from a
// draft that other holders signed.
func (a *app) admission(f admitFlags, path string, reg *trust.Register, holders []trust.Signer) ([][]byte, identity.DeskID, error) {
	raw, err := readFile(path, maxInvitation)
	if err != nil {
		return nil, "", err
	}
	request, err := trust.ParseAdmissionRequest(raw)
	if err != nil {
		if draft, draftErr := readEntries(path); draftErr == nil {
			return cosignDraft(draft, reg, holders)
		}
		return nil, "", fmt.Errorf("%w: %w", errUnverified, err)
	}
	if err := a.compare(request, f.told); err != nil {
		return nil, "", err
	}
	if f.key {
		entry, err := request.Rekey(reg, holders...)
		if err != nil {
			return nil, "", fmt.Errorf("%w: %w", errUnverified, err)
		}
		return [][]byte{entry}, request.Desk.ID, nil
	}
	entries, err := request.Admit(reg, holders...)
	if err != nil {
		return nil, "", advise(fmt.Errorf("%w: %w", errExists, err), "if the partner lost the invitation, send the old file again")
	}
	return entries, request.Desk.ID, nil
}

// compare shows who asks, and refuses when the partner read out something else.
func (a *app) compare(r trust.AdmissionRequest, told string) error {
	a.sayf("organisation  %s (%s), OIN %s", inertLine(r.Org.Name), r.Org.ID, r.Org.OIN)
	a.sayf("desk          %s, role %s, region %s, telephone %s", r.Desk.ID, r.Desk.Role, orDash(r.Desk.Region), r.Desk.Phone)
	a.sayf("fingerprint   %s", r.Fingerprint())
	if told == "" {
		if in, ok := a.In.(*os.File); !ok || !term.IsTerminal(int(in.Fd())) {
			a.sayf("%s", a.in(red, "NOT COMPARED: nobody confirmed this fingerprint by telephone (--fingerprint)."))
			return nil
		}
		fmt.Fprint(a.Err, "Type the fingerprint that the partner reads out: ")
		line, err := bufio.NewReader(a.In).ReadString('\n')
		if err != nil {
			return fmt.Errorf("failed to read the fingerprint: %w", err)
		}
		told = strings.TrimSpace(line)
	}
	if !identity.SameFingerprint(r.Fingerprint(), told) {
		return advise(fmt.Errorf("%w: the partner read out another fingerprint", errUnverified),
			"do not admit: somebody may have changed the request; let the partner send it again another way")
	}
	return nil
}

func cosignDraft(entries [][]byte, reg *trust.Register, holders []trust.Signer) ([][]byte, identity.DeskID, error) {
	var desk identity.DeskID
	signed, err := cosignEntries(entries, holders)
	if err != nil {
		return nil, "", err
	}
	for _, raw := range signed {
		e, err := trust.ParseEntry(raw)
		if err != nil {
			return nil, "", fmt.Errorf("%w: %w", errUnverified, err)
		}
		switch b := e.Body.(type) {
		case trust.Desk:
			desk = b.ID
		case trust.Org: // another key of one that is there: any of its desks can invite
			for _, id := range reg.Desks() {
				if id.Org() == b.ID && desk == "" {
					desk = id
				}
			}
		}
	}
	if desk == "" {
		return nil, "", fmt.Errorf("%w: the draft admits no desk", errUnverified)
	}
	return signed, desk, nil
}

func cosignEntries(entries [][]byte, holders []trust.Signer) ([][]byte, error) {
	var signed [][]byte
	for _, e := range entries {
		for _, h := range holders {
			next, err := trust.Cosign(e, trust.ByRoot(h))
			if err != nil {
				return nil, fmt.Errorf("%w: %w", errUnverified, err)
			}
			e = next
		}
		signed = append(signed, e)
	}
	return signed, nil
}

func (a *app) invite(out string, desk identity.DeskID, entries [][]byte, holders []trust.Signer) error {
	invitation, err := trust.NewInvitation(desk, entries)
	if err != nil {
		return err
	}
	raw, err := invitation.Sign(holders...)
	if err != nil {
		return err
	}
	if err := writeNew(out, raw, 0o644); err != nil {
		return err
	}
	a.printf("%s\n", out)
	if _, err := trust.ParseInvitation(raw); err != nil {
		return advise(fmt.Errorf("%w: the invitation needs more signatures", errPartly), "let another root holder run `schakel register cosign "+out+" --key ...`")
	}
	a.sayf("next: send the invitation to %s, and read this fingerprint out to them by telephone:", desk)
	a.sayf("      %s", trust.GenesisFingerprint(invitation.Genesis()))
	return nil
}

func (a *app) registerCosignCommand() *cobra.Command {
	var f rootFlags
	c := &cobra.Command{
		Use: "cosign FILE", Short: "Add a root holder's signature to a draft or an invitation",
		Long: "Looks at nothing but the file and the key, so it can run on a machine without a network. Look\n" +
			"at the file with `schakel register show` before you sign it.",
		Args: arguments("FILE"),
		RunE: func(_ *cobra.Command, args []string) error { return a.cosign(f, args[0]) },
	}
	f.addKeys(c, "")
	return c
}

func (a *app) cosign(f rootFlags, path string) error {
	if len(f.keys) == 0 {
		return usage(errors.New("--key is missing"))
	}
	holders, err := a.holders(f)
	if err != nil {
		return err
	}
	raw, err := readFile(path, maxInvitation)
	if err != nil {
		return err
	}
	signed, err := trust.CosignInvitation(raw, holders...)
	if err != nil {
		entries, draftErr := readEntries(path)
		if draftErr != nil {
			return fmt.Errorf("%w: %s is neither an invitation nor a draft", errUnverified, path)
		}
		if entries, err = cosignEntries(entries, holders); err != nil {
			return err
		}
		signed = trust.FormatEntries("draft", entries)
	}
	if err := replaceFile(path, signed); err != nil {
		return err
	}
	a.sayf("signed: %s", path)
	return nil
}
