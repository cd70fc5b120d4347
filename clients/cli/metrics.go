package cli

import (
	"context"
	"log/slog"
	"net"

	"golang.org/x/sync/errgroup"

	"schakel/clients/desk/metrics"
	"schakel/clients/schakel"
)

// counters are the metrics of a daemon.
type counters struct {
	site *metrics.Site
	ln   net.Listener
}

// openMetrics opens them, or returns nil where they are off.
func (a *app) openMetrics(node *schakel.Node, site *webDesk, log *slog.Logger) (*counters, error) {
	if a.settings.get("metrics") == webOff {
		return nil, nil
	}
	ln, err := a.listenHere("metrics", "127.0.0.1:9464", metrics.ErrOpen)
	if err != nil {
		return nil, err
	}
	c := metrics.Config{Source: node, Folder: a.storeFolder(), Now: a.Now, Log: log}
	if site != nil {
		c.Certificate = site.ends
	}
	return &counters{metrics.New(c), ln}, nil
}

// serve adds them to the tasks of a daemon.
func (c *counters) serve(ctx context.Context, tasks *errgroup.Group, log *slog.Logger) {
	if c != nil {
		log.Info("metrics open", "address", c.ln.Addr())
		tasks.Go(func() error { return c.site.Serve(ctx, c.ln) })
	}
}
