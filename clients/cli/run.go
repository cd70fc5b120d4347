package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"schakel/clients/desk"
	"schakel/clients/schakel"
	"schakel/clients/shout"
	"schakel/clients/store"
	"schakel/clients/store/vault"
	"schakel/relay/page"
)

func (a *app) runCommand() *cobra.Command {
	var because string
	c := &cobra.Command{
		Use: "run", Short: "Run the daemon of this device",
		Long: "Owns the device's store and its one connection to the relay, keeps keys and statements\n" +
			"going, and answers the other commands over a unix socket. It ends on SIGTERM or Ctrl-C,\n" +
			"with everything on disk. With the setting `web` it also serves the web desk,\n" +
			"with `api` an API for programs of your own organisation, with `metrics` what it counts.\n\n" +
			"On a light device it begins locked: it has no key until `schakel unlock` brings the officer's\n" +
			"passphrase, and locks again by itself (--lock-after). It serves no web desk. See `schakel lock`.",
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error {
			if vault.IsAttended(a.storeFolder()) {
				return a.runLight(c.Context(), because)
			}
			return a.runDaemon(c.Context())
		},
	}
	c.Flags().StringVar(&because, flagBecause, string(desk.BecauseStarted), "why this daemon was started over")
	_ = c.Flags().MarkHidden(flagBecause)
	keyFlags(c.Flags(), true)
	return c
}

func (a *app) runDaemon(ctx context.Context) error {
	log := a.logger()
	var st *store.Store
	err := whileInUse(ctx, daemonPatience, func() (err error) {
		st, err = a.openStore(ctx)
		return err
	})
	if err != nil {
		return err
	}
	defer st.Close()
	channels, err := a.channels()
	if err != nil {
		return err
	}
	node, err := a.newNode(ctx, st, log, channels)
	if err != nil {
		return err
	}
	status, err := node.Status(ctx)
	if err != nil {
		return err
	}
	socket := a.settings.get("socket")
	ln, err := desk.Listen(socket)
	if err != nil {
		return err
	}
	site, err := a.openWeb(node, st, log)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	gate, err := a.openGate(ctx, node, st, log)
	if err != nil {
		return errors.Join(err, ln.Close(), site.close())
	}
	counts, err := a.openMetrics(node, site, log)
	if err != nil {
		return errors.Join(err, ln.Close(), site.close(), gate.close())
	}
	log.Info("ready", "desk", status.Desk, "device", status.Device, "socket", socket)
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error { return unlessEnded(ctx, node.Run(ctx)) })
	service := desk.Config{Node: node, Tokens: gate.tokens, Webhooks: gate.webhooks, Log: log}
	gate.serve(ctx, tasks, log)
	counts.serve(ctx, tasks, log)
	if site != nil {
		service.Entrance = site.door
		tasks.Go(func() error { return site.site.Serve(ctx, site.ln) })
		tasks.Go(func() error { return unlessEnded(ctx, a.greet(ctx, site, log)) })
	}
	tasks.Go(func() error { return desk.New(service).Serve(ctx, ln) })
	err = tasks.Wait()
	log.Info("ended")
	return err
}

// unlessEnded drops the error of a task that was told to end: a daemon that ends
// on SIGTERM has done its work.
func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (a *app) logger() *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(a.settings.get("log-level"))) // its check let it through
	o := &slog.HandlerOptions{Level: level}
	if a.settings.get("log-format") == "json" {
		return slog.New(slog.NewJSONHandler(a.Err, o))
	}
	return slog.New(slog.NewTextHandler(a.Err, o))
}

// channels are the ways in which this device pages; nil where its pager is off.
func (a *app) channels() (schakel.Channels, error) {
	if a.settings.get("pager") == "off" {
		return nil, nil
	}
	config, err := page.Read(a.settings.get)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errConfig, err)
	}
	config.Others = map[string]func(string) (page.Notifier, error){page.Shoutrrr: shout.Channel}
	channels, err := page.New(config)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errConfig, err)
	}
	return channels, nil
}
