// Package daemon is the command line of the relay: it makes a relay's keys, takes
// in its register, checks its machine, and serves.
//
// [Main] runs one command and returns its exit code; cmd/schakel-relay is nothing
// but a call of it. Standard output is for results, standard error for logs and
// remarks. Everything of one relay lies in one folder, the data folder:
//
//	relay.json    public: what the root holders enter into the register
//	tls.key tls.crt receipt.key log.key   private, mode 0600, one key per purpose
//	register.db   the register's log; public content
//	queue.db      the mailboxes
//	blobs         sealed attachments, unless they are elsewhere
//	suspended     organisations that the operator does not serve, one a line
//	copies.sock   while the relay runs: where backup gets its copies, and plans are taken away
//
// Who can read the private keys can pose as this relay: withhold, delay, promise
// what he does not keep, show different registers to different clients. He cannot
// read an envelope or forge one.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"schakel/relay/queue"
	"schakel/relay/register"
)

// Exit codes, as all of Schakel's programs use them.
const (
	Done      = 0
	Failed    = 1
	Usage     = 2
	Critical  = 2 // check --format nagios: what monitoring expects
	NotFound  = 4
	Refused   = 5
	Locked    = 6
	Conflict  = 9
	BadConfig = 10
)

// Causes that have an exit code of their own.
var (
	errUsage    = errors.New("usage")
	errConfig   = errors.New("invalid configuration")
	errNotFound = errors.New("not found")
	errLocked   = errors.New("in use")
	errConflict = errors.New("does not fit what is there")
	errCritical = errors.New("critical")
)

// Std is the world around a command.
type Std struct {
	Out, Err io.Writer
	Environ  []string
	Now      func() time.Time
}

// System is the world of a process.
func System() Std {
	return Std{Out: os.Stdout, Err: os.Stderr, Environ: os.Environ(), Now: time.Now}
}

// Main runs one command until it is done or ctx ends.
func Main(ctx context.Context, args []string, std Std) int {
	a := &app{Std: std}
	root := a.commands()
	root.SetArgs(args)
	root.SetOut(std.Out)
	root.SetErr(std.Err)
	err := root.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintf(std.Err, "schakel-relay: %v\n", err)
	}
	return exitCode(err)
}

func exitCode(err error) int {
	switch {
	case err == nil:
		return Done
	case errors.Is(err, errUsage):
		return Usage
	case errors.Is(err, errCritical):
		return Critical
	case errors.Is(err, errConfig), errors.Is(err, queue.ErrUnsafe), errors.Is(err, register.ErrFork), errors.Is(err, register.ErrNewer):
		return BadConfig
	case errors.Is(err, errNotFound):
		return NotFound
	case errors.Is(err, errLocked), errors.Is(err, queue.ErrInUse), errors.Is(err, register.ErrInUse):
		return Locked
	case errors.Is(err, errConflict):
		return Conflict
	}
	return Failed
}

// app is one run of the program.
type app struct {
	Std
	settings settings
}

func (a *app) commands() *cobra.Command {
	root := &cobra.Command{
		Use:   "schakel-relay",
		Short: "Keeps and passes on sealed envelopes that it cannot read",
		Long: "schakel-relay keeps and passes on sealed envelopes between the desks of a chain.\n" +
			"It holds no key that opens them, and does not contain the code to.",
		SilenceUsage: true, SilenceErrors: true,
		PersistentPreRunE: func(c *cobra.Command, _ []string) error { return a.configure(c.Flags()) },
		Args:              cobra.ArbitraryArgs, RunE: needsCommand,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w: %w", errUsage, err) })
	settingFlags(root.PersistentFlags())
	registers := &cobra.Command{Use: "register", Short: "The register's log in this relay", Args: cobra.ArbitraryArgs, RunE: needsCommand}
	registers.AddCommand(a.registerImport(), a.registerList())
	partners := &cobra.Command{Use: "partner", Short: "The organisations that this relay serves", Args: cobra.ArbitraryArgs, RunE: needsCommand}
	partners.AddCommand(a.partnerList(), a.partnerSuspend(), a.partnerResume())
	root.AddCommand(a.serveCommand(), a.initCommand(), a.checkCommand(), a.backupCommand(), a.restoreCommand(), a.redisCommand(), registers, partners, a.onCallCommand())
	return root
}

func needsCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return c.Help()
	}
	hint := ""
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		hint = fmt.Sprintf("; did you mean %q?", near[0])
	}
	return fmt.Errorf("%w: no command %q for %q%s", errUsage, args[0], c.CommandPath(), hint)
}

// exactly takes n arguments, named in the message when they are missing.
func exactly(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return fmt.Errorf("%w: %s needs %d arguments %v, got %d", errUsage, c.CommandPath(), len(names), names, len(args))
		}
		return nil
	}
}

// sayf tells a person something on standard error.
func (a *app) sayf(format string, args ...any) { fmt.Fprintf(a.Err, format+"\n", args...) }
