package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"schakel/clients/schakel"
)

// completer is what cobra asks for the words that may come next.
type completer = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

// completionTime is how long a shell may have to wait for a suggestion.
const completionTime = 2 * time.Second

// words completes from a fixed list.
func words(list []string) completer {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return list, cobra.ShellCompDirectiveNoFileComp
	}
}

// asked completes from what the device says. Whatever goes wrong, there is nothing
// to suggest: a shell shows no errors here.
func (a *app) asked(ask func(context.Context, *session) ([]string, error)) completer {
	return func(c *cobra.Command, args []string, _ string) (found []string, _ cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(c.Context(), completionTime)
		defer cancel()
		if a.configure(c.Flags()) == nil {
			_ = a.with(ctx, false, func(s *session) (err error) {
				found, err = ask(ctx, s)
				return err
			})
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// messageNames completes the first argument with the messages of a box.
func (a *app) messageNames(f schakel.Filter) completer {
	names := a.asked(func(ctx context.Context, s *session) (names []string, err error) {
		messages, err := s.List(ctx, f)
		for _, m := range messages {
			names = append(names, short(m.Hash)+"\t"+inertLine(m.Class+" "+others(m)))
		}
		return names, err
	})
	return func(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return names(c, args, typed)
	}
}

func (a *app) deskNames() completer {
	return a.asked(func(ctx context.Context, s *session) (names []string, err error) {
		desks, err := s.Directory(ctx)
		for _, d := range desks {
			names = append(names, string(d.ID)+"\t"+inertLine(d.Org))
		}
		return names, err
	})
}

func (a *app) personNames() completer {
	return a.asked(func(ctx context.Context, s *session) (names []string, err error) {
		persons, err := s.Persons(ctx)
		for _, p := range persons {
			names = append(names, inertLine(p.Name)+"\t"+inertLine(p.Function))
		}
		return names, err
	})
}

// suggest gives flags their completers. A flag that does not exist is a mistake in
// this program.
func suggest(c *cobra.Command, flags map[string]completer) {
	for name, f := range flags {
		if err := c.RegisterFlagCompletionFunc(name, f); err != nil {
			panic(err)
		}
	}
}
