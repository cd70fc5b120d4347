package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
	"schakel/relay/ladder"
	"schakel/relay/rota"
)

func (a *app) oncallCommand() *cobra.Command {
	return noun("oncall", "See and change who is on call", a.oncallNowCommand(), a.oncallRotaCommand(), a.oncallSwapCommand(), a.oncallTakeCommand(),
		a.oncallTestCommand(), a.oncallDrillCommand(), a.oncallReadinessCommand(), a.oncallLogCommand())
}

// How times are written to these commands, and which part of a day a date means.
const (
	timeHelp = "as 2026-12-24T18:00 on the clock in the Netherlands, or with an offset; a date, or a time of day to come"
	midnight = "00:00"
	noon     = "12:00" // of a date the shift counts that is going on at noon, or else begins next
)

// instant reads a time; part is the time of day that a bare date means.
func (a *app) instant(flag, text, part string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	for _, local := range []string{text, text + "T" + part} {
		if t, err := rota.Local(local).Instant(); err == nil {
			return t, nil
		}
	}
	today := a.Now().In(rota.Zone())
	for day := range 2 {
		if t, err := rota.Local(today.AddDate(0, 0, day).Format("2006-01-02") + "T" + text).Instant(); err == nil && t.After(a.Now()) {
			return t, nil
		}
	}
	return time.Time{}, usage(fmt.Errorf("--%s %q: write a time %s", flag, text, timeHelp))
}

// onClock shows an instant as the clock in the Netherlands does: that is how a rota is
// written, wherever this machine stands.
func onClock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.In(rota.Zone()).Format("Mon 2006-01-02 15:04")
}

func (a *app) oncallNowCommand() *cobra.Command {
	var at, other string
	c := &cobra.Command{
		Use: "now", Short: "Show who is on call, now or at another moment",
		Long: "Shows who of this desk is called first, who is the backup, and who is called where nobody is.\n" +
			"Of another desk only its telephone number is known here: who answers it is their affair.",
		Example: "  schakel oncall now\n  schakel oncall now --at 2026-12-24T20:00\n  schakel oncall now --desk vt20/crisis",
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if other != "" {
				return a.deskOnCall(c.Context(), other)
			}
			t, err := a.instant("at", at, noon)
			if err != nil {
				return err
			}
			return a.onCall(c.Context(), t)
		},
	}
	c.Flags().StringVar(&at, "at", "", "another moment, "+timeHelp)
	c.Flags().StringVar(&other, "desk", "", "another desk: organisation/desk")
	suggest(c, map[string]completer{"desk": a.deskNames()})
	return c
}

type onCallDocument struct {
	Schema string `json:"schema"`
	schakel.OnCall
}

func (a *app) onCall(ctx context.Context, at time.Time) error {
	return a.with(ctx, false, func(s *session) error {
		got, err := s.OnCall(ctx, at)
		if err != nil {
			return err
		}
		if a.json {
			got.Levels, got.Fallback = list(got.Levels), list(got.Fallback)
			return a.writeJSON(onCallDocument{"schakel.oncall/1", got})
		}
		a.showOnCall(got)
		return nil
	})
}

func (a *app) showOnCall(got schakel.OnCall) {
	rows := [][]cell{heads("WHO", "NAME", "TELEPHONE", "UNTIL")}
	open := false
	for _, d := range got.Levels {
		name, phone := cell{orDash(inertLine(d.Name)), bold}, inertLine(d.Telephone)
		if d.Contact == "" {
			name, open = cell{"nobody", red}, true
		}
		rows = append(rows, []cell{{levelName(d.Level), dim}, name, {orDash(phone), plain}, {onClock(d.Until), plain}})
	}
	for _, d := range got.Fallback {
		rows = append(rows, []cell{{"fallback", dim}, {orDash(inertLine(d.Name)), plain}, {orDash(inertLine(d.Telephone)), plain}, {"", plain}})
	}
	a.table(rows)
	for _, w := range got.Short {
		mark := ""
		if w.Exercise {
			mark = protocol.ExerciseMark().NL + " "
		}
		a.printf("%s%s  %s  %s\n", mark, short(w.Message), inertLine(string(w.Urgency)), a.in(yellow, confirmedBy(w.Confirmations)))
	}
	if len(got.Short) > 0 {
		a.sayf("more persons must confirm these: see `schakel ack`")
	}
	if open {
		a.sayf("where nobody is on call the fallback is called; `schakel oncall take` puts you there")
	}
}

// levelName is what people call a level.
func levelName(level int) string {
	switch level {
	case ladder.Everyone:
		return "everyone"
	case 0:
		return "on call"
	case 1:
		return "backup"
	}
	return fmt.Sprintf("backup %d", level)
}

type deskOnCallDocument struct {
	Schema    string          `json:"schema"`
	Desk      identity.DeskID `json:"desk"`
	Telephone string          `json:"telephone"`
}

func (a *app) deskOnCall(ctx context.Context, name string) error {
	id, err := identity.ParseDeskID(name)
	if err != nil {
		return usage(err)
	}
	return a.with(ctx, false, func(s *session) error {
		desks, err := s.Directory(ctx)
		if err != nil {
			return err
		}
		for _, d := range desks {
			if d.ID != id {
				continue
			}
			if a.json {
				return a.writeJSON(deskOnCallDocument{"schakel.oncall-desk/1", id, d.Telephone})
			}
			a.printf("%s  %s\n", id, orDash(inertLine(d.Telephone)))
			a.sayf("who is on call there is known to that desk alone: telephone it")
			return nil
		}
		return fmt.Errorf("%w: %s", schakel.ErrUnknownDesk, id)
	})
}

func (a *app) oncallTakeCommand() *cobra.Command {
	var f signer
	var until, who string
	var level int
	c := &cobra.Command{
		Use: "take", Short: "Take over at once",
		Long: "Puts you on call from now on, on every device of this desk and at the relay: until --until, or\n" +
			"as long as the shift lasts that you take over, and at most a day. Whoever had it is not asked:\n" +
			"tell them.",
		Example: `  schakel oncall take --person "P. Iket" --pin-file pin
  schakel oncall take --until 08:00 --person "P. Iket" --pin-file pin`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			to, err := a.instant("until", until, midnight)
			if err != nil {
				return err
			}
			return a.changeRota(c.Context(), schakel.RotaChange{Kind: schakel.RotaTake, Who: who, Level: level, To: to}, f)
		},
	}
	f.flags(c)
	c.Flags().StringVar(&until, "until", "", "until when, "+timeHelp)
	c.Flags().StringVar(&who, "who", "", "somebody else than --person, who asked for it: name or contact")
	c.Flags().IntVar(&level, "level", 0, "0 is who is called first, 1 the backup")
	suggest(c, map[string]completer{"person": a.personNames()})
	return c
}

func (a *app) oncallSwapCommand() *cobra.Command {
	var f signer
	var on, back, from, to string
	c := &cobra.Command{
		Use: "swap WHO OTHER", Short: "Swap two shifts, or two people for a while",
		Long: "With --on and --for: WHO's shift of that day goes to OTHER, and OTHER's of the other day to WHO.\n" +
			"A shift goes whole, also where it runs over midnight. With --from and --to: the two take each\n" +
			"other's shifts for that time, whichever those are.",
		Example: `  schakel oncall swap "P. Iket" "W. Acht" --on 2026-12-24 --for 2026-12-31 --person "P. Iket" --pin-file pin
  schakel oncall swap "P. Iket" "W. Acht" --from 2026-12-24 --to 2026-12-27 --person "P. Iket" --pin-file pin`,
		Args: arguments("WHO", "OTHER"),
		RunE: func(c *cobra.Command, args []string) error {
			change, err := a.swapOf(args[0], args[1], on, back, from, to)
			if err != nil {
				return err
			}
			return a.changeRota(c.Context(), change, f)
		},
	}
	f.flags(c)
	c.Flags().StringVar(&on, "on", "", "the day of WHO's shift, or a moment in it")
	c.Flags().StringVar(&back, "for", "", "the day of OTHER's shift, or a moment in it")
	c.Flags().StringVar(&from, "from", "", "from when they take each other's shifts")
	c.Flags().StringVar(&to, "to", "", "until when")
	suggest(c, map[string]completer{"person": a.personNames()})
	return c
}

func (a *app) swapOf(who, other, on, back, from, to string) (c schakel.RotaChange, err error) {
	c = schakel.RotaChange{Kind: schakel.RotaSwap, Who: who, Other: other}
	switch {
	case on != "" && back != "" && from == "" && to == "":
		if c.From, err = a.instant("on", on, noon); err != nil {
			return c, err
		}
		c.Back, err = a.instant("for", back, noon)
	case on == "" && back == "" && from != "" && to != "":
		c.Kind = schakel.RotaExchange
		if c.From, err = a.instant("from", from, midnight); err != nil {
			return c, err
		}
		c.To, err = a.instant("to", to, midnight)
	default:
		err = usage(errors.New("give --on and --for, or --from and --to"))
	}
	return c, err
}

// changeRota decides something about the rota, and shows what came of it.
func (a *app) changeRota(ctx context.Context, c schakel.RotaChange, f signer) error {
	by, err := a.by(f)
	if err != nil {
		return err
	}
	return a.with(ctx, true, func(s *session) error {
		got, err := s.ChangeRota(ctx, c, by)
		if err != nil {
			return suggestPerson(ctx, s, f.person, err)
		}
		return a.writeRota(got)
	})
}
