// Command schakel-relay keeps and passes on sealed envelopes that it cannot read.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"schakel/relay/daemon"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return daemon.Main(ctx, os.Args[1:], daemon.System())
}
