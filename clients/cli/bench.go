package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"schakel/clients/bench"
)

func (a *app) benchCommand() *cobra.Command {
	var cfg bench.Config
	var store string
	c := &cobra.Command{
		Use: "bench", Short: "Measure a relay on this machine beside its bare foundations",
		Long: "Starts a relay of its own in a temporary folder, with TLS, login, checks and receipts, and\n" +
			"measures durable throughput, latency, backlog and idle connections; beside it, in the same run,\n" +
			"a bare store of the same kind with the same bytes (a group commit in bbolt, or MULTI and EXEC on\n" +
			"Redis), and sealing beside bare age plus a signature.\n" +
			"Absolute figures wander with the machine: the ratios of one run are the point.",
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error { return a.bench(c.Context(), cfg, store) },
	}
	f := c.Flags()
	f.IntVar(&cfg.Senders, "senders", 8, "devices that send, and as many that receive")
	f.IntVar(&cfg.InFlight, "in-flight", 64, "envelopes on their way per sender")
	f.IntVar(&cfg.Size, "size", 6144, "bytes of the sealed part of an envelope")
	f.IntVar(&cfg.Messages, "messages", 20000, "messages for throughput and backlog")
	f.IntVar(&cfg.Rate, "rate", 2000, "messages per second while latency is measured")
	f.IntVar(&cfg.Seconds, "seconds", 5, "how long latency is measured")
	f.IntVar(&cfg.Idle, "idle", 200, "idle connections")
	f.StringVar(&store, "store", storeBolt, storeHelp)
	f.StringVar(&cfg.Relay, "relay-program", "", "path of schakel-relay (default beside this program)")
	return c
}

func (a *app) bench(ctx context.Context, cfg bench.Config, store string) (err error) {
	if err := knownStore(store); err != nil {
		return err
	}
	cfg.Redis = store == storeRedis
	if _, cfg.Relay, err = programs(cfg.Relay); err != nil {
		return err
	}
	cfg.Progress = func(what string) { a.sayf("measuring: %s", what) }
	r, err := bench.Run(ctx, cfg)
	if err != nil {
		return adviseOnRedis(err)
	}
	if a.json {
		return a.writeJSON(r)
	}
	a.showBench(r)
	return nil
}

func (a *app) showBench(r bench.Report) {
	row := func(name, format string, values ...any) []cell {
		return []cell{{name, dim}, {fmt.Sprintf(format, values...), plain}}
	}
	bare, onRedis, bareCPU := "bare bbolt", "", ""
	if r.Store == storeRedis {
		bare, onRedis = "bare redis", fmt.Sprintf(" and %.1f of Redis", r.Throughput.RedisCPU)
		bareCPU = fmt.Sprintf("; %.1f µs of Redis each", r.Bare.RedisCPU)
	}
	a.table([][]cell{
		row("load", "%d senders to %d receivers, %d in flight each, %d sealed bytes", r.Senders, r.Senders, r.InFlight, r.Size),
		row("whole relay", "%.0f messages/s; %.1f µs of relay CPU%s each; %d MiB resident",
			r.Throughput.PerSecond, r.Throughput.RelayCPU, onRedis, r.Throughput.RelayRSS>>20),
		row(bare, "%.0f messages/s of the same bytes, group commit and deletions only%s", r.Bare.PerSecond, bareCPU),
		row("ratio", "%.2f of the bare store", r.Ratio),
		row("latency", "at %d/s: stored %.1f ms (p99 %.1f), delivered %.1f ms (p99 %.1f)", r.Latency.Rate,
			r.Latency.Stored50, r.Latency.Stored99, r.Latency.Deliver50, r.Latency.Deliver99),
		row("backlog", "%d messages: in %.0f/s, out %.0f/s", r.Backlog.Messages, r.Backlog.InPerSecond, r.Backlog.OutPerSecond),
		row("idle", "%d KiB resident per connection, over %d", r.Idle.BytesEach>>10, r.Idle.Connections),
		row("seal 1 KiB", "%.0f µs; bare age plus signature %.0f µs; ratio %.2f", r.Sealing.Seal, r.Sealing.BareSeal, r.Sealing.SealRatio),
		row("open 1 KiB", "%.0f µs; bare age plus signature %.0f µs; ratio %.2f", r.Sealing.Open, r.Sealing.BareOpen, r.Sealing.OpenRatio),
	})
}
