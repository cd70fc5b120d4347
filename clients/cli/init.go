package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"schakel/clients/schakel"
	"schakel/clients/store"
	"schakel/clients/store/vault"
	"schakel/crypto/identity"
)

type initFlags struct {
	org, name, oin, desk, role, region, phone string
	out                                       string
}

func (a *app) initCommand() *cobra.Command {
	var f initFlags
	c := &cobra.Command{
		Use: "init", Short: "Make this device's keys and its request to the root holders",
		Long: "Makes the organisation's key, the device's keys and the encrypted store, and writes the\n" +
			"request that the root holders admit. Run again, it keeps what is there and writes the same\n" +
			"request. The recovery passphrase comes from --passphrase-file or the terminal: keep it on\n" +
			"paper in a safe. Nobody else has it.",
		Example: `  schakel init --org vt20 --name "Veilig Thuis Utrecht" --oin 00000099000000020000 \
    --desk vt20/crisis --role veilig-thuis --region VT20 --phone +31600000007`,
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error { return a.init(c.Context(), f) },
	}
	flags := c.Flags()
	flags.StringVar(&f.org, "org", "", "organisation: a short name in a-z, 0-9 and hyphens")
	flags.StringVar(&f.name, "name", "", "the organisation's name as partners know it")
	flags.StringVar(&f.oin, "oin", "", "its OIN (20 digits)")
	flags.StringVar(&f.desk, "desk", "", "this desk: organisation/desk")
	flags.StringVar(&f.role, "role", "", "the desk's role in the chain, such as veilig-thuis or politie")
	flags.StringVar(&f.region, "region", "NL", "its region, such as VT20 or RE03; NL where it serves the whole country")
	flags.StringVar(&f.phone, "phone", "", "the desk's telephone number, answered day and night")
	flags.StringVar(&f.out, "out", "", "where the request goes (default request.txt in the home folder)")
	flags.BoolVar(&a.makePhrase, "make-passphrase", false, "make the recovery passphrase, and show it once")
	suggest(c, map[string]completer{"role": words(roleNames())})
	return c
}

func (a *app) init(ctx context.Context, f initFlags) error {
	o, err := f.options()
	if err != nil {
		return err
	}
	if err := o.Check(); err != nil { // before anything is made, and a passphrase chosen
		return usage(err)
	}
	st, kept, err := a.createStore(ctx, a.unattendedWays)
	if err != nil {
		return err
	}
	defer st.Close()
	request, err := schakel.Init(ctx, st, o, a.Now())
	if err != nil {
		return err
	}
	a.sayMade(kept)
	path := f.out
	if path == "" {
		path = filepath.Join(a.settings.get("home"), "request.txt")
	}
	return a.leave(path, request,
		"next: send the request to the root holders; they answer with an invitation, and read its",
		"      fingerprint out by telephone. Then: schakel join INVITATION --fingerprint \"...\"")
}

func (a *app) sayMade(kept bool) {
	verb := "made"
	if kept {
		verb = "kept"
	}
	a.sayf("%s: the store and the keys in %s", verb, a.settings.get("home"))
}

// leave writes a request where it is not there already, and says what comes next.
func (a *app) leave(path string, request []byte, next ...string) error {
	there, err := os.ReadFile(path)
	switch {
	case err == nil && bytes.Equal(there, request):
		a.sayf("kept: the request")
	case err == nil:
		return advise(fmt.Errorf("%w: %s holds something else", errExists, path), "give another place with --out")
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("failed to look for the request: %w", err)
	default:
		if err := os.WriteFile(path, request, 0o644); err != nil {
			return fmt.Errorf("failed to write the request: %w", err)
		}
	}
	for _, line := range next {
		a.sayf("%s", line)
	}
	a.printf("%s\n", path)
	return nil
}

// options checks every field before a key is made.
func (f initFlags) options() (schakel.InitOptions, error) {
	o := schakel.InitOptions{OrgName: f.name, OIN: f.oin, Region: f.region, Telephone: f.phone}
	for _, required := range [][2]string{{"org", f.org}, {"name", f.name}, {"oin", f.oin}, {"desk", f.desk}, {"role", f.role}, {"phone", f.phone}} {
		if required[1] == "" {
			return o, usage(fmt.Errorf("--%s is missing", required[0]))
		}
	}
	var err error
	if o.Org, err = identity.ParseOrgID(f.org); err != nil {
		return o, usage(err)
	}
	if o.Desk, err = identity.ParseDeskID(f.desk); err != nil {
		return o, usage(err)
	}
	if o.Desk.Org() != o.Org {
		return o, usage(fmt.Errorf("desk %s is not of organisation %s", o.Desk, o.Org))
	}
	if o.Role, err = identity.ParseRole(f.role); err != nil {
		return o, usage(fmt.Errorf("%w%s", err, didYouMean(f.role, roleNames())))
	}
	return o, nil
}

func roleNames() (names []string) {
	for _, r := range identity.Roles() {
		names = append(names, string(r))
	}
	return names
}

// createStore opens the store that is there, or makes one that the ways open.
func (a *app) createStore(ctx context.Context, ways func() ([]vault.Way, error)) (st *store.Store, kept bool, err error) {
	if a.hasStore() {
		st, err = a.openStore(ctx)
		return st, true, err
	}
	open, err := ways()
	if err != nil {
		return nil, false, err
	}
	if err := os.MkdirAll(a.settings.get("home"), 0o700); err != nil {
		return nil, false, fmt.Errorf("failed to make the device's folder: %w", err)
	}
	st, err = store.Create(ctx, a.storeFolder(), store.CreateOptions{Keys: open})
	switch {
	case err == nil:
	case errors.Is(err, store.ErrExists), errors.Is(err, vault.ErrExists):
		err = advise(fmt.Errorf("%w: %w", errExists, err), "if no other init runs, an earlier one was cut short: delete "+a.storeFolder()+" and run this again")
	default: // the folder is this call's, and nothing is in it yet
		err = errors.Join(err, os.RemoveAll(a.storeFolder()))
	}
	if errors.Is(err, vault.ErrTooShort) {
		err = advise(usage(err), "take at least 12 characters; six random words are better")
	}
	return st, false, err
}

// unattendedWays open a device of the office: its daemon starts by itself.
func (a *app) unattendedWays() ([]vault.Way, error) {
	phrase, err := a.newPhrase(a.makePhrase)
	return []vault.Way{vault.Passphrase{Phrase: phrase}, a.unattendedWay()}, err
}

// unattendedWay opens a store without a person: with the key that systemd hands over, or a
// key file.
func (a *app) unattendedWay() vault.Way {
	if folder := a.env("CREDENTIALS_DIRECTORY"); folder != "" {
		if _, err := os.Stat(filepath.Join(folder, credentialKey)); err == nil {
			return vault.Credential{Folder: folder, Name: credentialKey}
		}
	}
	return vault.KeyFile{Path: a.settings.get("key-file")}
}

// attendedWay opens a light device.
func (a *app) attendedWay() ([]vault.Way, error) {
	phrase, err := a.officersPhrase(true)
	return []vault.Way{vault.Attended{Phrase: phrase}}, err
}
