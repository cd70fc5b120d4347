package daemon

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"

	"github.com/spf13/cobra"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/relay/wire"
)

// Files of the data folder.
const (
	fileRelay     = "relay.json"
	fileTLSKey    = "tls.key"
	fileTLSCert   = "tls.crt"
	fileReceipt   = "receipt.key"
	fileLog       = "log.key"
	fileRegister  = "register.db"
	fileQueue     = "queue.db"
	fileTimers    = "oncall.db"
	fileSuspended = "suspended"
)

// relayFile is relay.json: what the root holders enter into the register.
type relayFile struct {
	ID      string       `json:"id"`
	URL     string       `json:"url"`
	SPKI    string       `json:"spki"` // SHA-256 of the TLS key's SubjectPublicKeyInfo, base64
	Receipt identity.Key `json:"receipt"`
	Log     string       `json:"log"` // note verifier key (C2SP signed-note)
}

func (a *app) initCommand() *cobra.Command {
	var id, address string
	c := &cobra.Command{
		Use: "init", Short: "Make the keys of a relay and relay.json, which says what is public of them",
		Long: "Makes what is missing in the data folder and keeps what is there. Hand relay.json to the root\n" +
			"holders; they make the register's beginning from it (schakel register init), which comes back\n" +
			"with `schakel-relay register import`.",
		Example: "  schakel-relay init --data /var/lib/schakel-relay --listen 0.0.0.0:8443 --id relay-1 --url wss://relay.example:8443",
		Args:    exactly(),
		RunE:    func(*cobra.Command, []string) error { return a.init(id, address) },
	}
	c.Flags().StringVar(&id, "id", "relay-1", "name of the relay in the register")
	c.Flags().StringVar(&address, "url", "", "where devices find it (default wss:// and --listen)")
	return c
}

func (a *app) init(id, address string) error {
	if _, err := identity.ParseOrgID(id); err != nil {
		return fmt.Errorf("%w: --id: %w", errUsage, err)
	}
	if err := os.MkdirAll(a.settings["data"], 0o700); err != nil {
		return fmt.Errorf("failed to make the data folder: %w", err)
	}
	for _, name := range []string{fileTLSKey, fileReceipt, fileLog} {
		kept, err := makeKey(a.settings.path(name))
		if err != nil {
			return err
		}
		a.sayKept(kept, name)
	}
	kept, err := makeCertificate(a.settings.path(fileTLSCert), a.settings.path(fileTLSKey), a.Now())
	if err != nil {
		return err
	}
	a.sayKept(kept, fileTLSCert)
	return a.initPublic(id, address)
}

func (a *app) sayKept(kept bool, name string) {
	verb := "made"
	if kept {
		verb = "kept"
	}
	a.sayf("%s: %s", verb, a.settings.path(name))
}

// initPublic writes relay.json, unless the one that is there already says the same.
func (a *app) initPublic(id, address string) error {
	if address == "" && a.settings["listen"] != "" {
		address = "wss://" + a.settings["listen"]
	}
	old, err := a.loadRelay()
	switch {
	case err == nil && address == "":
		address = old.URL
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case address == "":
		return fmt.Errorf("%w: say where devices find the relay: --url wss://host:port, or --listen", errUsage)
	}
	f, err := a.describe(id, address)
	if err != nil {
		return err
	}
	content, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("failed to write relay.json: %w", err)
	}
	content = append(content, '\n')
	path := a.settings.path(fileRelay)
	was, _ := os.ReadFile(path)
	a.sayKept(bytes.Equal(was, content), fileRelay)
	if len(was) > 0 && !bytes.Equal(was, content) {
		a.sayf("note: it says something else than before. Devices go by the register: have the root holders sign it")
		a.sayf("      (schakel register relay --relay relay.json) and import that, or they cannot find this relay")
	}
	if !bytes.Equal(was, content) {
		if err := replaceFile(path, content, 0o644); err != nil {
			return err
		}
	}
	fmt.Fprintln(a.Out, path)
	return nil
}

func (a *app) describe(id, address string) (relayFile, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "wss" || u.Port() == "" || u.Path != "" {
		return relayFile{}, fmt.Errorf("%w: --url %q: write it as wss://host:port", errUsage, address)
	}
	cert, err := a.certificate()
	if err != nil {
		return relayFile{}, err
	}
	receipt, err := loadKey(a.settings.path(fileReceipt))
	if err != nil {
		return relayFile{}, err
	}
	log, err := loadKey(a.settings.path(fileLog))
	if err != nil {
		return relayFile{}, err
	}
	vkey, err := trust.LogKey(logName(id), log.Public())
	if err != nil {
		return relayFile{}, fmt.Errorf("failed to name the log: %w", err)
	}
	pin := wire.Pin(cert.Leaf)
	return relayFile{ID: id, URL: address, SPKI: base64.StdEncoding.EncodeToString(pin[:]), Receipt: receipt.Public(), Log: vkey.String()}, nil
}

// logName is the origin of a relay's checkpoints.
func logName(id string) string { return "schakel.example/" + id }

// loadRelay reads relay.json.
func (a *app) loadRelay() (relayFile, error) {
	path := a.settings.path(fileRelay)
	raw, err := os.ReadFile(path)
	if err != nil {
		return relayFile{}, fmt.Errorf("failed to read what is public of this relay: %w", err)
	}
	var f relayFile
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return relayFile{}, fmt.Errorf("%w: %s: %w", errConfig, path, err)
	}
	return f, nil
}

// address is where to listen: as configured, or where relay.json sends devices.
func (a *app) address(f relayFile) (string, error) {
	if l := a.settings["listen"]; l != "" {
		return l, nil
	}
	u, err := url.Parse(f.URL)
	if err != nil || u.Port() == "" {
		return "", fmt.Errorf("%w: relay.json has no address to listen on: set listen", errConfig)
	}
	return net.JoinHostPort(u.Hostname(), u.Port()), nil
}
