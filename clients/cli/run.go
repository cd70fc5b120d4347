package cli

import (
	"context"
	"errors"
	"log/slog"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"schakel/clients/desk"
	"schakel/clients/schakel"
	"schakel/clients/store"
)

func (a *app) runCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "run", Short: "Run the daemon of this device",
		Long: "Owns the device's store and its one connection to the relay, keeps keys and statements\n" +
			"going, and answers the other commands over a unix socket. It ends on SIGTERM or Ctrl-C,\n" +
			"with everything on disk. With the setting `web` it also serves the web desk.",
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error { return a.runDaemon(c.Context()) },
	}
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
	agreement, err := a.agreement()
	if err != nil {
		return err
	}
	node, err := schakel.New(schakel.Config{Store: st, Now: a.Now, Log: log, Catalogue: agreement})
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
	site, err := a.openWeb(node, st, agreement, log)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	log.Info("ready", "desk", status.Desk, "device", status.Device, "socket", socket)
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error { return unlessEnded(ctx, node.Run(ctx)) })
	service := desk.Config{Node: node, Log: log}
	if site != nil {
		service.Door = site.door
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
