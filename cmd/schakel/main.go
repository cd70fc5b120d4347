// Command schakel is a partner's end of the chain: the command line and the daemon
// of one device.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"schakel/clients/cli"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return cli.Main(ctx, os.Args[1:], cli.System())
}
