package cli

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"schakel/clients/schakel"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
)

const rootLife = 365 * 24 * time.Hour

type registerInitFlags struct {
	root      rootFlags
	relay     string
	agreement string
	threshold int
	roots     int
	witnesses []string
	quorum    int
}

func (a *app) registerInitCommand() *cobra.Command {
	var f registerInitFlags
	c := &cobra.Command{
		Use: "init", Short: "Make the root keys and the beginning of the register",
		Long: "Makes the root keys, the genesis of the register and the entry of the relay. With --roots 5\n" +
			"--threshold 3 it makes five key files in five folders: give each to another person, offline,\n" +
			"and keep none here. Any three of them admit a partner.",
		Example: `  schakel register init --dir root --relay relay.json --threshold 3 --roots 5`,
		Args:    arguments(),
		RunE:    func(*cobra.Command, []string) error { return a.registerInit(f) },
	}
	c.Flags().StringVar(&f.root.dir, "dir", "", "folder to make: genesis.txt, register.txt and the keys")
	c.Flags().StringVar(&f.root.passphraseFile, "key-passphrase-file", "", "file with a passphrase to wrap the root keys under")
	c.Flags().StringVar(&f.relay, "relay", "", "relay.json, as `schakel-relay init` wrote it")
	c.Flags().StringVar(&f.agreement, "agreement", "", "agreement file that the root names (default the protocol of this program)")
	c.Flags().IntVar(&f.threshold, "threshold", 1, "how many root holders must sign")
	c.Flags().IntVar(&f.roots, "roots", 1, "how many root keys to make")
	c.Flags().StringArrayVar(&f.witnesses, "witness", nil, "verifier key of a witness, as `schakel witness init` printed it (repeat for several)")
	c.Flags().IntVar(&f.quorum, "quorum", 0, "how many witnesses must cosign the register (default 0: none)")
	return c
}

func (a *app) registerInit(f registerInitFlags) error {
	if f.root.dir == "" || f.relay == "" {
		return usage(errors.New("--dir and --relay are needed"))
	}
	if f.threshold < 1 || f.roots < f.threshold || f.roots > trust.MaxHolders {
		return usage(fmt.Errorf("--threshold %d of --roots %d: take 1 to %d roots and no more signatures than roots", f.threshold, f.roots, trust.MaxHolders))
	}
	if entries, _, err := f.root.signed(); err == nil {
		a.sayf("kept: the root keys and the register in %s", f.root.dir)
		a.printf("%s\n", trust.GenesisFingerprint(entries[0]))
		return nil
	}
	witnesses, err := f.named()
	if err != nil {
		return err
	}
	relay, err := readRelay(f.relay)
	if err != nil {
		return err
	}
	agreed, err := readAgreement(f.agreement)
	if err != nil {
		return err
	}
	keys, err := a.makeRootKeys(f)
	if err != nil {
		return err
	}
	root := trust.Root{Version: 1, Threshold: f.threshold, Witnesses: witnesses, Quorum: f.quorum, Agreement: agreed.Digest()}
	entries, err := a.genesis(root, keys, relay)
	if err != nil {
		return err
	}
	content := trust.FormatEntries("Schakel register: what the root holders signed. Public.", entries)
	for _, path := range []string{f.root.genesisFile(), f.root.registerFile()} {
		if err := writeNew(path, content, 0o644); err != nil {
			return err
		}
	}
	a.sayRoots(f)
	a.printf("%s\n", trust.GenesisFingerprint(entries[0]))
	return nil
}

// makeRootKeys puts one key in the folder itself, or each of several in its own.
func (a *app) makeRootKeys(f registerInitFlags) ([]trust.Signer, error) {
	phrase, err := a.rootPhrase(f.root)
	if err != nil {
		return nil, err
	}
	var keys []trust.Signer
	for i := range f.roots {
		folder := f.root.dir
		if f.roots > 1 {
			folder = filepath.Join(f.root.dir, fmt.Sprintf("root-%d", i+1))
		}
		k := newRootKey()
		if err := k.write(folder, phrase); err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// named are the witnesses that the root is to name.
func (f registerInitFlags) named() (all []trust.VKey, err error) {
	if f.quorum < 0 || f.quorum > len(f.witnesses) || len(f.witnesses) > trust.MaxWitnesses {
		return nil, usage(fmt.Errorf("--quorum %d of %d --witness: take at most %d witnesses, and a quorum of no more than there are", f.quorum, len(f.witnesses), trust.MaxWitnesses))
	}
	for _, line := range f.witnesses {
		v, err := trust.ParseWitnessKey(strings.TrimSpace(line))
		if err != nil {
			return nil, usage(err)
		}
		all = append(all, v)
	}
	return all, nil
}

func (a *app) genesis(root trust.Root, keys []trust.Signer, relay trust.Relay) ([][]byte, error) {
	root.Issued, root.Expires = a.Now(), a.Now().Add(rootLife)
	for _, k := range keys {
		root.Keys = append(root.Keys, k.Public())
	}
	first, err := root.Sign(trust.First(), keys...)
	if err != nil {
		return nil, err
	}
	second, err := relay.Sign(trust.First(), keys...)
	if err != nil {
		return nil, err
	}
	return [][]byte{first, second}, nil
}

func (a *app) sayRoots(f registerInitFlags) {
	if f.roots == 1 {
		a.sayf("%s", a.in(red, "ONE root key, 1 of 1: whoever has "+filepath.Join(f.root.dir, rootKeyFile)+" decides alone who is in the chain."))
		a.sayf("  That is for demonstrations and tests. For partners: --threshold 3 --roots 5.")
	} else {
		a.sayf("%d root keys, %d must sign. Give each folder root-N to another person, offline, and delete it here.", f.roots, f.threshold)
	}
	if len(f.witnesses) > 0 {
		a.sayf("Witnesses: %s.", schakel.QuorumWord(f.quorum, len(f.witnesses)))
	}
	a.sayf("next: hand genesis.txt to the relay (schakel-relay register import), and read this fingerprint")
	a.sayf("      out by telephone to every partner:")
}

// relayFile is what `schakel-relay init` says about a relay.
type relayFile struct {
	ID      string       `json:"id"`
	URL     string       `json:"url"`
	SPKI    string       `json:"spki"` // SHA-256 of the SubjectPublicKeyInfo, base64 or hexadecimal
	Receipt identity.Key `json:"receipt"`
	Log     string       `json:"log"`
}

func readRelay(path string) (trust.Relay, error) {
	raw, err := readFile(path, 64<<10)
	if err != nil {
		return trust.Relay{}, err
	}
	var f relayFile
	if err := json.Unmarshal(raw, &f); err != nil {
		return trust.Relay{}, fmt.Errorf("%w: %s: %w", errUnverified, path, err)
	}
	pin, err := parsePin(f.SPKI)
	if err != nil {
		return trust.Relay{}, fmt.Errorf("%w: %s: %w", errUnverified, path, err)
	}
	log, err := trust.ParseLogKey(f.Log)
	if err != nil {
		return trust.Relay{}, fmt.Errorf("%w: %s: %w", errUnverified, path, err)
	}
	return trust.Relay{ID: f.ID, URL: f.URL, TLS: pin, Receipt: f.Receipt, Log: log}, nil
}

func parsePin(s string) (pin trust.Hash, err error) {
	b, err := hex.DecodeString(s)
	if err != nil {
		b, err = base64.StdEncoding.DecodeString(s)
	}
	if err != nil || len(b) != sha256.Size {
		return pin, fmt.Errorf("the pin of the relay's TLS key is not SHA-256 in base64 or hexadecimal")
	}
	return trust.Hash(b), nil
}

func (a *app) registerRelayCommand() *cobra.Command {
	var f rootFlags
	var relay, out string
	c := &cobra.Command{
		Use: "relay", Short: "Sign a new entry for the relay: another address or key",
		Args: arguments(),
		RunE: func(*cobra.Command, []string) error { return a.registerRelay(f, relay, out) },
	}
	f.add(c)
	c.Flags().StringVar(&relay, "relay", "", "relay.json of the relay as it will be")
	c.Flags().StringVar(&out, "out", "", "where the entry goes, for schakel-relay register import")
	return c
}

func (a *app) registerRelay(f rootFlags, path, out string) error {
	if path == "" || out == "" {
		return usage(errors.New("--relay and --out are needed"))
	}
	entries, reg, err := f.signed()
	if err != nil {
		return err
	}
	relay, err := readRelay(path)
	if err != nil {
		return err
	}
	holders, err := a.holders(f)
	if err != nil {
		return err
	}
	entry, err := relay.Sign(reg.Next(relay.Subject()), holders...)
	if err != nil {
		return err
	}
	return a.keepEntries(f, entries, [][]byte{entry}, out)
}

// keepEntries adds finished entries to what the root holders signed; entries that
// lack signatures go to a draft only.
func (a *app) keepEntries(f rootFlags, old, added [][]byte, draft string) error {
	if missing := missingSignatures(old, added); missing != nil {
		if err := os.WriteFile(draft, trust.FormatEntries("draft: not enough signatures yet", added), 0o644); err != nil {
			return fmt.Errorf("failed to write the draft: %w", err)
		}
		a.sayf("draft: %v", missing)
		a.sayf("next: let another root holder run `schakel register cosign %s --key ...`", draft)
		a.printf("%s\n", draft)
		return advise(fmt.Errorf("%w: the entries need more signatures", errPartly), "collect them with `schakel register cosign`, then run this command again with the draft")
	}
	if err := os.WriteFile(draft, trust.FormatEntries("signed by the root holders", added), 0o644); err != nil {
		return fmt.Errorf("failed to write the entries: %w", err)
	}
	return replaceFile(f.registerFile(), trust.FormatEntries("Schakel register: what the root holders signed. Public.", append(old, added...)))
}

// missingSignatures is why the first of added would not count, or nil.
func missingSignatures(old, added [][]byte) error {
	reg, err := trust.Replay(old, trust.GenesisFingerprint(old[0]))
	if err != nil {
		return err
	}
	for _, e := range added {
		if err := reg.Apply(e); err != nil {
			return err
		}
	}
	return nil
}

// replaceFile writes a file so that a crash leaves the old one or the new one.
func replaceFile(path string, content []byte) error {
	next := path + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("failed to replace %s: %w", path, err)
	}
	if err := writeNew(next, content, 0o644); err != nil {
		return err
	}
	return os.Rename(next, path)
}
