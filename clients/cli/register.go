package cli

import (
	"bytes"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"schakel/clients/schakel"
	"schakel/crypto/trust"
)

func (a *app) registerCommand() *cobra.Command {
	return noun("register", "The ceremony of the root holders, by files", a.registerInitCommand(), a.registerAdmitCommand(),
		a.registerCosignCommand(), a.registerRootCommand(), a.registerRelayCommand(), a.registerReleaseCommand(), a.registerRevokeCommand(), a.registerPublishCommand(),
		a.registerExportCommand(), a.registerShowCommand(), a.registerEvidenceCommand(), a.registerFingerprintCommand())
}

// rootFlags say where the root holders' files are.
type rootFlags struct {
	dir            string
	keys           []string
	passphraseFile string
}

func (f *rootFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.dir, "dir", "", "folder of the root holders: genesis.txt, register.txt")
	f.addKeys(c, "; default root.key in --dir")
}

func (f *rootFlags) addKeys(c *cobra.Command, otherwise string) {
	c.Flags().StringArrayVar(&f.keys, "key", nil, "root key file (repeat for several"+otherwise+")")
	c.Flags().StringVar(&f.passphraseFile, "key-passphrase-file", "", "file with the passphrase of the root keys")
}

func (f rootFlags) genesisFile() string  { return filepath.Join(f.dir, "genesis.txt") }
func (f rootFlags) registerFile() string { return filepath.Join(f.dir, "register.txt") }

// holders reads the key files.
func (a *app) holders(f rootFlags) ([]trust.Signer, error) {
	paths := f.keys
	if len(paths) == 0 {
		paths = []string{filepath.Join(f.dir, rootKeyFile)}
	}
	var holders []trust.Signer
	for _, path := range paths {
		k, err := a.readRootKey(path, f.passphraseFile)
		if err != nil {
			return nil, err
		}
		holders = append(holders, k)
	}
	return holders, nil
}

// signed reads what the root holders signed so far and replays it.
func (f rootFlags) signed() ([][]byte, *trust.Register, error) {
	if f.dir == "" {
		return nil, nil, usage(fmt.Errorf("--dir is missing"))
	}
	entries, err := readEntries(f.registerFile())
	if err != nil {
		return nil, nil, err
	}
	reg, err := trust.Replay(entries, trust.GenesisFingerprint(entries[0]))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %s: %w", errUnverified, f.registerFile(), err)
	}
	if skipped := reg.Skipped(0); len(skipped) > 0 {
		return nil, nil, fmt.Errorf("%w: %s, entry %d: %w", errUnverified, f.registerFile(), skipped[0].Index, skipped[0].Reason)
	}
	return entries, reg, nil
}

func (a *app) registerShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show FILE", Short: "Show what is in an invitation, a request or an entries file",
		Args: arguments("FILE"),
		RunE: func(_ *cobra.Command, args []string) error { return a.registerShow(args[0]) },
	}
}

type registerDocument struct {
	Schema      string     `json:"schema"`
	Fingerprint string     `json:"fingerprint"`
	Entries     []subjects `json:"entries"`
}

type subjects struct {
	Subject string `json:"subject"`
	Seq     uint64 `json:"seq"`
	Text    string `json:"text"`
}

func (a *app) registerShow(path string) error {
	entries, fingerprint, err := entriesOf(path)
	if err != nil {
		return err
	}
	d := registerDocument{Schema: "schakel.register/1", Fingerprint: fingerprint, Entries: []subjects{}}
	for i, raw := range entries {
		e, err := trust.ParseEntry(raw)
		if err != nil {
			return fmt.Errorf("%w: entry %d: %w", errUnverified, i, err)
		}
		text, _, _ := bytes.Cut(raw, []byte("\n\n"))
		d.Entries = append(d.Entries, subjects{string(e.Body.Subject()), e.Seq, string(text)})
	}
	if a.json {
		return a.writeJSON(d)
	}
	a.printf("fingerprint %s\n", d.Fingerprint)
	for _, e := range d.Entries {
		a.printf("\n%s\n", inert(e.Text))
	}
	return nil
}

// entriesOf reads whichever of the three kinds of file path is, and the
// fingerprint that is compared by telephone for that kind.
func entriesOf(path string) (entries [][]byte, fingerprint string, err error) {
	raw, err := readFile(path, trust.MaxEntriesFile)
	if err != nil {
		return nil, "", err
	}
	if i, err := trust.ParseInvitation(raw); err == nil {
		return i.Entries, trust.GenesisFingerprint(i.Genesis()), nil
	}
	if r, err := trust.ParseAdmissionRequest(raw); err == nil {
		return nil, r.Fingerprint(), nil
	}
	entries, err = readEntries(path)
	if _, device := schakel.DeviceFingerprint(raw); err != nil && device == nil {
		return nil, "", advise(fmt.Errorf("%w: %s is the file of a device", errUnverified, path), "its holder reads the fingerprint out: give that to `schakel device vouch`")
	}
	if err != nil {
		return nil, "", advise(fmt.Errorf("%w: %s is no invitation, request or entries file", errUnverified, path), "ask for the file again")
	}
	return entries, trust.GenesisFingerprint(entries[0]), nil
}

func (a *app) registerFingerprintCommand() *cobra.Command {
	return &cobra.Command{
		Use: "fingerprint FILE", Short: "Show the fingerprint to read out by telephone",
		Long: "For an invitation or genesis.txt: the fingerprint of the register, which the root holders read\n" +
			"out. For a request: the fingerprint of the organisation's key, which the partner reads out.",
		Args: arguments("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			_, fingerprint, err := entriesOf(args[0])
			if err == nil {
				a.printf("%s\n", fingerprint)
			}
			return err
		},
	}
}
