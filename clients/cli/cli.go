// Package cli is the command line of a partner: one file per command, over one
// device of the chain.
//
// [Main] runs one command and returns its exit code:
//
//	os.Exit(cli.Main(ctx, os.Args[1:], cli.System()))
//
// A command speaks to the daemon of the device (`schakel run`) when one runs, and
// otherwise opens the store itself for as long as it takes; it cannot tell the
// difference. Standard output is what was asked for, standard error is progress
// and failures, and the exit codes are those of [Exit].
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"schakel/clients/store"
)

// Stdio is all that a command knows of the world outside.
type Stdio struct {
	In      io.Reader
	Out     io.Writer
	Err     io.Writer
	Environ []string // as os.Environ gives it
	Now     func() time.Time
	Zone    *time.Location // in which times are shown to people
	Asks    bool           // somebody sits at In, and can be asked
	Free    func(folder string) (bytes uint64, err error)

	// StartOver replaces this process by a fresh one of the same program with other
	// arguments, and does not return when it can: everything that was in memory is gone.
	// nil: the program ends instead.
	StartOver func(args []string) error
}

// System is the process's own standard streams, environment, clock and disks.
func System() Stdio {
	return Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Environ: os.Environ(), Now: time.Now, Zone: time.Local,
		Asks: term.IsTerminal(int(os.Stdin.Fd())), Free: store.Free, StartOver: startOver}
}

// app is one run of the program.
type app struct {
	Stdio
	args       []string // as typed
	settings   settings
	makePhrase bool   // the recovery passphrase is made here
	phrase     string // of a light device, once it was typed
	json       bool
	paint      bool            // colours on standard output
	done       <-chan struct{} // closed when the person pressed Ctrl-C
	outErr     error           // why standard output could not be written
}

// Main runs the command that args name and returns its exit code. It ends early
// when ctx does.
func Main(ctx context.Context, args []string, std Stdio) int {
	a := &app{Stdio: std, args: args, done: ctx.Done()}
	root := a.rootCommand()
	root.SetArgs(args)
	root.SetIn(std.In)
	root.SetOut(std.Out)
	root.SetErr(std.Err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = a.outErr
	}
	if err == nil {
		return Done
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = errInterrupted
	}
	a.explain(err)
	return Exit(err)
}

// The groups in which `schakel help` lists the commands.
const (
	groupDaily  = "daily"
	groupDevice = "device"
	groupChain  = "chain"
)

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "schakel",
		Short: "Every link counts: sealed case messages between chain partners",
		Long: "Schakel sends sealed case messages between the partners who handle forced marriage and\n" +
			"abandonment abroad, through a relay that cannot read them.\n\n" +
			"An acute message never replaces a telephone call.",
		SilenceUsage: true, SilenceErrors: true, Version: version(),
		Args:              noArguments,
		RunE:              func(c *cobra.Command, _ []string) error { return c.Help() },
		PersistentPreRunE: func(c *cobra.Command, _ []string) error { return a.configure(c.Flags()) },
	}
	root.SetVersionTemplate("schakel {{.Version}}\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	a.settingFlags(root.PersistentFlags())
	root.AddGroup(&cobra.Group{ID: groupDaily, Title: "Every day:"},
		&cobra.Group{ID: groupDevice, Title: "This device:"},
		&cobra.Group{ID: groupChain, Title: "The chain:"})
	a.add(root, groupDaily, a.sendCommand(), a.inboxCommand(), a.searchCommand(), a.readCommand(), a.attachmentCommand(), a.ackCommand(), a.forwardCommand(),
		a.waitCommand(), a.sentCommand(), a.outboxCommand(), a.caseCommand(), a.alarmsCommand(), a.statusCommand(), a.desksCommand(), a.whereCommand(), a.playbookCommand(), a.cardCommand(), a.exportCommand(),
		a.piketCommand(), a.takeCommand(), a.assignCommand(), a.noteCommand(), a.draftCommand(), a.logCommand(), a.oncallCommand())
	a.add(root, groupDevice, a.initCommand(), a.joinCommand(), a.runCommand(), a.webCommand(), a.tokenCommand(), a.webhookCommand(), a.unlockCommand(), a.lockCommand(), a.personCommand(), a.deviceCommand(), a.organisationCommand(),
		a.doctorCommand(), a.backupCommand(), a.restoreCommand(), a.recoveryCommand(), a.historyCommand(), a.awayCommand(), a.configCommand(), a.versionCommand())
	a.add(root, groupChain, a.registerCommand(), a.witnessCommand(), a.agreementCommand(), a.releaseCommand(), a.verifyCommand(), a.demoCommand(), a.benchCommand())
	return root
}

func (a *app) add(parent *cobra.Command, group string, commands ...*cobra.Command) {
	for _, c := range commands {
		c.GroupID = group
		parent.AddCommand(c)
	}
}

// noun returns a command that only holds others.
func noun(use, short string, verbs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(verbs...)
	return c
}

// noArguments refuses what follows a command that takes nothing, and says which
// command may have been meant.
func noArguments(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, sub := range c.Commands() {
		names = append(names, sub.Name())
	}
	return usage(fmt.Errorf("%q is no part of `%s`%s", args[0], c.CommandPath(), didYouMean(args[0], names)))
}

// arguments demands one argument per name.
func arguments(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		return usage(fmt.Errorf("`%s` takes %s", c.CommandPath(), cmp.Or(strings.Join(names, " "), "no arguments")))
	}
}

// stamped is the version of a release: .ci/release has the linker set it. Nothing of the
// machine that builds is in there, or nobody could build the same bytes again.
var stamped string

// version is what was stamped into the program.
func version() string {
	if stamped != "" {
		return stamped
	}
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	setting := func(key string) string {
		i := slices.IndexFunc(build.Settings, func(s debug.BuildSetting) bool { return s.Key == key })
		if i < 0 {
			return ""
		}
		return build.Settings[i].Value
	}
	v := build.Main.Version
	if v == "" {
		v = "(devel)"
	}
	if rev := setting("vcs.revision"); len(rev) >= 12 && !strings.Contains(v, rev[:12]) {
		v += " " + rev[:12]
	}
	return v
}
