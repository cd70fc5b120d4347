package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

func (a *app) desksCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "desks", Short: "List the desks that this desk may write to",
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error { return a.desks(c.Context()) },
	}
	c.AddCommand(a.desksVerifyCommand(), a.desksRefuseCommand(), a.desksConfirmCommand())
	return c
}

func (a *app) desksVerifyCommand() *cobra.Command {
	var f signer
	var heard string
	c := &cobra.Command{
		Use: "verify DESK", Short: "Note that you heard a desk's fingerprint by telephone",
		Long: "Notes that somebody of the desk read out the fingerprint of its organisation's key (`schakel\n" +
			"status` shows it there), on a number that you had before. After a key changed nothing is sent to\n" +
			"that organisation until you did. It counts on this device.",
		Example: "  schakel desks verify politie-mn/meldkamer --fingerprint \"12345 67890 ...\" --person \"P. Iket\" --pin-file pin",
		Args:    arguments("DESK"),
		RunE: func(c *cobra.Command, args []string) error {
			if heard == "" {
				return advise(usage(errors.New("--fingerprint is missing")), "let somebody of that desk read it out")
			}
			return a.compareDesk(c.Context(), args[0], f, func(s *session, id identity.DeskID, by schakel.By) error {
				return s.VerifyDesk(c.Context(), id, heard, by)
			})
		},
	}
	f.flags(c)
	c.Flags().StringVar(&heard, "fingerprint", "", "what somebody of that desk reads out")
	suggest(c, map[string]completer{"person": a.personNames()})
	return c
}

func (a *app) desksRefuseCommand() *cobra.Command {
	var f signer
	c := &cobra.Command{
		Use: "refuse DESK", Short: "Note that a desk's key is not theirs: nothing goes there any more",
		Example: "  schakel desks refuse politie-mn/meldkamer --person \"P. Iket\" --pin-file pin",
		Args:    arguments("DESK"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.compareDesk(c.Context(), args[0], f, func(s *session, id identity.DeskID, by schakel.By) error { return s.RefuseDesk(c.Context(), id, by) })
		},
	}
	f.flags(c)
	suggest(c, map[string]completer{"person": a.personNames()})
	return c
}

func (a *app) desksConfirmCommand() *cobra.Command {
	var f signer
	var device, called string
	c := &cobra.Command{
		Use: "confirm DESK", Short: "Note that you telephoned about a desk's new device, and that it is theirs",
		Long: "A device that comes to a desk gets nothing from this one for a day, so that a device which\n" +
			"somebody sneaked in is noticed first. Telephone the desk on a number that you had before, let them\n" +
			"say that the device is theirs (they compare the fingerprint in `schakel device list`), and confirm\n" +
			"it: what waits goes at once. If it is not theirs, use `schakel desks refuse` and call the root\n" +
			"holders. It counts on this device.",
		Example: "  schakel desks confirm politie-mn/meldkamer --called +31600000001 --person \"P. Iket\" --pin-file pin",
		Args:    arguments("DESK"),
		RunE: func(c *cobra.Command, args []string) error {
			if called == "" {
				return advise(usage(errors.New("--called is missing")), "telephone the desk, and name the number that you called")
			}
			return a.compareDesk(c.Context(), args[0], f, func(s *session, id identity.DeskID, by schakel.By) error {
				one, err := newDeviceOf(c.Context(), s, id, device)
				if err != nil {
					return err
				}
				return s.ConfirmDevice(c.Context(), id, one, called, by)
			})
		},
	}
	f.flags(c)
	c.Flags().StringVar(&device, "device", "", "identifier of the device; needed where several are new")
	c.Flags().StringVar(&called, "called", "", "telephone number that you called")
	suggest(c, map[string]completer{"person": a.personNames()})
	return c
}

// newDeviceOf is the device of a desk that somebody means: the one that is named, or the
// only one that waits.
func newDeviceOf(ctx context.Context, s *session, desk identity.DeskID, named string) (id identity.DeviceID, err error) {
	if named != "" {
		if id, err = identity.ParseDeviceID(named); err != nil {
			err = usage(err)
		}
		return id, err
	}
	desks, err := s.Directory(ctx)
	var waiting []identity.DeviceID
	for _, d := range desks {
		for _, x := range d.NewDevices {
			if d.ID == desk && !x.Waits.IsZero() {
				waiting = append(waiting, x.ID)
			}
		}
	}
	own, more := s.Devices(ctx)
	for _, d := range own {
		if d.Desk == desk && !d.Waits.IsZero() && !slices.Contains(waiting, d.ID) {
			waiting = append(waiting, d.ID)
		}
	}
	if err = errors.Join(err, more); err != nil {
		return id, err
	}
	switch {
	case len(waiting) == 1:
		return waiting[0], nil
	case len(waiting) == 0:
		return id, fmt.Errorf("%w: %s", schakel.ErrNotNew, desk)
	}
	return id, advise(usage(fmt.Errorf("%d devices of %s are new", len(waiting), desk)), "name one with --device; `schakel desks` lists them")
}

func (a *app) compareDesk(ctx context.Context, name string, f signer, do func(*session, identity.DeskID, schakel.By) error) error {
	id, err := identity.ParseDeskID(name)
	if err != nil {
		return usage(err)
	}
	by, err := a.by(f)
	if err != nil {
		return err
	}
	return a.with(ctx, false, func(s *session) error {
		if err := do(s, id, by); err != nil {
			return suggestPerson(ctx, s, f.person, suggestDesk(ctx, s, []identity.DeskID{id}, err))
		}
		return nil
	})
}

type desksDocument struct {
	Schema string         `json:"schema"`
	Desks  []schakel.Desk `json:"desks"`
}

func (a *app) desks(ctx context.Context) error {
	return a.with(ctx, false, func(s *session) error {
		desks, err := s.Directory(ctx)
		if err != nil {
			return err
		}
		if a.json {
			return a.writeJSON(desksDocument{"schakel.desks/1", list(desks)})
		}
		rows := [][]cell{heads("DESK", "ROLE", "REGION", "ORGANISATION", "TELEPHONE", "DEVICES", "KEY FOR NOW")}
		for _, d := range desks {
			rows = append(rows, []cell{{string(d.ID), bold}, {string(d.Role), plain}, {orDash(inertLine(d.Region)), plain},
				{inertLine(d.Org), plain}, {orDash(inertLine(d.Telephone)), plain}, {strconv.Itoa(d.Devices), plain}, reachable(d)})
		}
		a.table(rows)
		for _, d := range desks {
			a.tellNewDevices(d)
		}
		return nil
	})
}

// tellNewDevices marks what came to a desk within two weeks.
func (a *app) tellNewDevices(d schakel.Desk) {
	for _, x := range d.NewDevices {
		state := a.in(green, "gets what the others get")
		switch {
		case !x.Waits.IsZero():
			state = a.in(yellow, "gets nothing until "+onClock(x.Waits)+": telephone, then `schakel desks confirm`")
		case x.By != "":
			state = a.in(green, "confirmed by "+inertLine(x.By)+", who called "+inertLine(x.Called))
		}
		a.printf("new at %s since %s: device %s, %s\n  fingerprint %s\n", d.ID, onClock(x.Since), x.ID, state, x.Fingerprint)
	}
}

func reachable(d schakel.Desk) cell {
	switch d.Key {
	case schakel.KeyChanged:
		return cell{"NEW KEY: telephone and compare", red}
	case schakel.KeyRefused:
		return cell{"key refused by " + inertLine(d.KeyBy), red}
	}
	waits := slices.ContainsFunc(d.NewDevices, func(x schakel.NewDevice) bool { return !x.Waits.IsZero() })
	switch {
	case waits && !d.Reachable:
		return cell{"NEW DEVICE only: telephone and confirm", red}
	case waits:
		return cell{"yes; a new device waits", yellow}
	case d.Reachable:
		return cell{"yes", green}
	}
	return cell{"no: telephone", red}
}
