package daemon

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"sync/atomic"

	"github.com/spf13/cobra"

	"schakel/crypto/trust"
	"schakel/relay"
	"schakel/relay/queue"
	"schakel/relay/register"
	"schakel/relay/wire"
)

func (a *app) serveCommand() *cobra.Command {
	var demo bool
	c := &cobra.Command{
		Use: "serve", Short: "Serve devices until SIGTERM, then drain",
		Long: "Serves devices. SIGTERM or SIGINT drains: devices are told to come back, everything taken is\n" +
			"answered for, and the program ends within --drain.",
		Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error { return a.serve(c.Context(), demo) },
	}
	c.Flags().BoolVar(&demo, "demo", false, "play the dishonest relay on request")
	_ = c.Flags().MarkHidden("demo") // in docs/operations.md; the flag exists two lines up
	return c
}

func (a *app) serve(ctx context.Context, demo bool) error {
	log := a.settings.logger(a.Std)
	var serving atomic.Pointer[relay.Relay]
	unwatch, err := a.startReports(ctx, &serving, log)
	if err != nil {
		return err
	}
	defer unwatch()
	own, err := a.own()
	if err != nil {
		return err
	}
	store, err := a.openStore(ctx, log)
	if err != nil {
		return fmt.Errorf("failed to open the mailboxes: %w%s", err, remedy(err))
	}
	defer store.Close()
	registered, err := a.openRegister(ctx, own, store, log)
	if err != nil {
		return err
	}
	defer registered.Close()
	config, err := a.relayConfig(own, registered, store, log)
	if err != nil {
		return err
	}
	attachments, shut, err := a.openBlobs(ctx, log)
	if err != nil {
		return fmt.Errorf("failed to open the attachments: %w", err)
	}
	defer shut()
	config.Blobs = attachments
	if demo {
		log.Warn("DEMO: this relay damages envelopes on request; never use it for real")
		d, err := newDemonstration(a.settings, log)
		if err != nil {
			return err
		}
		defer d.close()
		config.Tap = d.tap
	}
	paging, closed, err := a.openPaging(store)
	if err != nil {
		return fmt.Errorf("failed to open the timers: %w", err)
	}
	defer closed()
	config.Paging = paging
	r, err := relay.New(config)
	if err != nil {
		return err
	}
	defer a.serveOperator(r, registered, store, log)()
	serving.Store(r)
	return r.Run(ctx)
}

// remedy says what to do about a store that does not open.
func remedy(err error) string {
	switch {
	case errors.Is(err, queue.ErrDamaged):
		return ": move queue.db aside and start again; senders offer everything that nobody has received"
	case errors.Is(err, queue.ErrInUse):
		return ": is the relay running already?"
	}
	return ""
}

// ownKeys is what makes this relay the one in the register.
type ownKeys struct {
	file         relayFile
	receipt, log signingKey
	cert         *tls.Certificate
}

func (a *app) own() (ownKeys, error) {
	var own ownKeys
	var err error
	if own.file, err = a.loadRelay(); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: no relay in %s: run schakel-relay init --data %s first", errConfig, a.settings["data"], a.settings["data"])
		}
		return own, err
	}
	if own.receipt, err = loadKey(a.settings.path(fileReceipt)); err != nil {
		return own, err
	}
	if own.log, err = loadKey(a.settings.path(fileLog)); err != nil {
		return own, err
	}
	own.cert, err = a.certificate()
	return own, err
}

// certificate reads the configured certificate, or the one that init made.
func (a *app) certificate() (*tls.Certificate, error) {
	cert, key := a.certificatePaths()
	return loadCertificate(cert, key)
}

func (a *app) certificatePaths() (cert, key string) {
	cert, key = a.settings["tls-cert"], a.settings["tls-key"]
	if cert == "" {
		cert = a.settings.path(fileTLSCert)
	}
	if key == "" {
		key = a.settings.path(fileTLSKey)
	}
	return cert, key
}

// openRegister opens the log and checks that the register means this relay: one
// whose keys devices do not expect would only look like an attack to them.
func (a *app) openRegister(ctx context.Context, own ownKeys, store queue.Store, logger *slog.Logger) (*register.Log, error) {
	log, err := a.openShared(ctx, own, store, logger)
	if err != nil {
		return nil, err
	}
	if err := fits(log.Register(), own); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return log, nil
}

// openShared opens the log with what the other relays of a shared store appended.
func (a *app) openShared(ctx context.Context, own ownKeys, store queue.Store, logger *slog.Logger) (*register.Log, error) {
	c := a.registerConfig(own)
	c.Order, _ = store.(register.Order)
	c.Log = logger
	log, err := register.Open(c)
	if err != nil {
		return nil, err
	}
	if err := log.Follow(ctx, a.Now()); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return log, nil
}

// openLog opens the log as it is on this machine.
func (a *app) openLog(own ownKeys) (*register.Log, error) {
	return register.Open(a.registerConfig(own))
}

func (a *app) registerConfig(own ownKeys) register.Config {
	return register.Config{Path: a.settings.path(fileRegister), LogName: logName(own.file.ID), LogKey: own.log}
}

func fits(reg *trust.Register, own ownKeys) error {
	const remedy = "import what the root holders signed: schakel-relay register import genesis.txt"
	if reg == nil {
		return fmt.Errorf("%w: the register is empty: %s", errConfig, remedy)
	}
	entry, ok := reg.Relay()
	if !ok {
		return fmt.Errorf("%w: the register names no relay: %s", errConfig, remedy)
	}
	for _, c := range []struct {
		what string
		same bool
	}{
		{"id", entry.ID == own.file.ID},
		{"TLS key", entry.TLS == wire.Pin(own.cert.Leaf)},
		{"receipt key", entry.Receipt == own.receipt.Public()},
		{"log key", entry.Log.Key == own.log.Public()},
	} {
		if !c.same {
			return fmt.Errorf("%w: the register names another %s for the relay: restore the data folder, or have the root holders "+
				"sign this relay.json (schakel register relay) and import that", errConfig, c.what)
		}
	}
	return nil
}

func (a *app) relayConfig(own ownKeys, registered *register.Log, store queue.Store, log *slog.Logger) (relay.Config, error) {
	certs := newCertificates(a, own.cert, log)
	blocked := newSuspensions(a.settings.path(fileSuspended), log)
	if err := blocked.read(); err != nil {
		return relay.Config{}, err
	}
	c := relay.Config{
		ID: own.file.ID, Store: store, Register: registered, Receipts: own.receipt, Log: log, Now: a.Now,
		TLS:       &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: certs.get},
		Suspended: blocked.has,
		Limits: relay.Limits{
			MaxSessions: a.settings.count("max-sessions"), MaxPending: a.settings.count("max-pending"),
			MaxPerHost: a.settings.count("max-pending-per-host"), PutsPerSecond: a.settings.count("puts-per-second"),
			EntriesPerMin: a.settings.count("entries-per-minute"), Drain: a.settings.duration("drain"),
		},
	}
	listen, err := a.address(own.file)
	if err != nil {
		return c, err
	}
	if c.Listener, err = net.Listen("tcp", listen); err != nil {
		return c, fmt.Errorf("failed to listen: %w", err)
	}
	if admin := a.settings["admin"]; admin != "off" {
		if c.Admin, err = net.Listen("tcp", admin); err != nil {
			return c, errors.Join(fmt.Errorf("failed to listen for health and metrics: %w", err), c.Listener.Close())
		}
	}
	return c, nil
}

func (a *app) quota() queue.Quota {
	return queue.Quota{
		DeskRecords: a.settings.count("desk-envelopes"), DeskBytes: a.settings.size("desk-bytes"),
		SealerRecords: a.settings.count("org-envelopes"), SealerBytes: a.settings.size("org-bytes"),
	}
}
