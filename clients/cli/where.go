package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"schakel/clients/protocol/routing"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

func (a *app) whereCommand() *cobra.Command {
	return &cobra.Command{
		Use: "where MUNICIPALITY", Short: "Show who serves a municipality, by its name or code",
		Long: "Show which Veilig Thuis, police unit and prosecutor serve a municipality, and which desks of\n" +
			"the register those are. A name that may mean two municipalities is answered with the choices.\n\n" +
			"The table is of " + strconv.Itoa(routing.TableYear) + ". " + routing.Attribution + ".",
		Example: "  schakel where Utrecht\n  schakel where GM0373",
		Args:    someArguments("MUNICIPALITY"),
		RunE:    func(c *cobra.Command, args []string) error { return a.where(c.Context(), strings.Join(args, " ")) },
	}
}

// someArguments demands at least one argument: a name may have spaces.
func someArguments(name string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if strings.TrimSpace(strings.Join(args, "")) != "" {
			return nil
		}
		return usage(fmt.Errorf("`%s` takes %s", c.CommandPath(), name))
	}
}

type whereDocument struct {
	Schema  string          `json:"schema"`
	Year    int             `json:"tableYear"`
	Source  string          `json:"source"`
	Choices []routing.Found `json:"choices"` // one, unless the name is of several
	Desks   []servingDesk   `json:"desks"`   // none when there is a choice to make
	Device  bool            `json:"device"`  // false: no device here, so no register to look in
}

// servingDesk is a desk to turn to. Verified: the register that this device pinned
// proves its role, region and keys. What the table says of a region proves nothing.
type servingDesk struct {
	ID        identity.DeskID `json:"id"`
	Org       string          `json:"org"`
	Role      identity.Role   `json:"role"`
	Region    string          `json:"region,omitempty"`
	Telephone string          `json:"telephone,omitempty"`
	Verified  bool            `json:"verified"`
	Reachable bool            `json:"reachable"`

	NewDevices []schakel.NewDevice `json:"newDevices,omitempty"`
}

func (a *app) where(ctx context.Context, name string) error {
	found := routing.Find(name)
	if len(found) == 0 {
		return noPlace(name)
	}
	document := whereDocument{"schakel.where/1", routing.TableYear, routing.Attribution, found, []servingDesk{}, false}
	if len(found) == 1 {
		var err error
		if document.Desks, document.Device, err = a.serving(ctx, found[0].Municipality); err != nil {
			return err
		}
	}
	if a.json {
		if err := a.writeJSON(document); err != nil {
			return err
		}
	} else {
		a.tellWhere(document)
	}
	if len(found) > 1 {
		return advise(fmt.Errorf("%w: %q", errNamesakes, name), "ask again with the code of the one you mean, such as `schakel where "+found[0].Code+"`")
	}
	return nil
}

func noPlace(name string) error {
	remedy := "write the name of the municipality, not of the village, or its code; if it is newer than " +
		strconv.Itoa(routing.TableYear) + ", telephone Veilig Thuis: 0800-2000"
	if near := routing.Suggest(name, 3); len(near) > 0 {
		remedy = "did you mean " + strings.Join(near, ", ") + "? Otherwise " + remedy
	}
	return advise(fmt.Errorf("%w: %q", errNoPlace, name), remedy)
}

// serving lists the desks that serve m, of those that this desk may write to. Without
// a device the table still answers: who looks up a region at night need not have joined.
func (a *app) serving(ctx context.Context, m routing.Municipality) (desks []servingDesk, device bool, err error) {
	desks = []servingDesk{}
	err = a.with(ctx, false, func(s *session) error {
		all, err := s.Directory(ctx)
		for _, d := range all {
			if m.Serves(d.Role, d.Region) {
				desks = append(desks, servingDesk{d.ID, d.Org, d.Role, d.Region, d.Telephone, true, d.Reachable, d.NewDevices})
			}
		}
		return err
	})
	if errors.Is(err, errNoStore) || errors.Is(err, schakel.ErrNotEnrolled) {
		return desks, false, nil
	}
	return desks, err == nil, err
}

func (a *app) tellWhere(d whereDocument) {
	rows := [][]cell{heads("MUNICIPALITY", "CODE", "PROVINCE", "VEILIG THUIS", "POLICE", "PROSECUTOR", "KNOWN AS")}
	for _, f := range d.Choices {
		rows = append(rows, []cell{{f.Name, bold}, {f.Code, plain}, {f.Province, plain}, area(f.Region), area(f.Police), {f.Prosecutor, plain}, knownAs(f)})
	}
	a.table(rows)
	if len(d.Choices) > 1 {
		return
	}
	if !d.Device {
		a.sayf("no device here, so no desks: join with `schakel join` to see their telephone numbers")
		return
	}
	rows = [][]cell{heads("DESK", "ROLE", "REGION", "ORGANISATION", "TELEPHONE", "VERIFIED", "KEY FOR NOW")}
	for _, s := range d.Desks {
		rows = append(rows, []cell{{string(s.ID), bold}, {string(s.Role), plain}, {orDash(inertLine(s.Region)), plain}, {inertLine(s.Org), plain},
			{orDash(inertLine(s.Telephone)), plain}, {"by the register", green}, reachable(schakel.Desk{Reachable: s.Reachable, NewDevices: s.NewDevices})})
	}
	a.printf("\n")
	a.table(rows)
	for _, s := range d.Desks {
		a.tellNewDevices(schakel.Desk{ID: s.ID, NewDevices: s.NewDevices})
	}
	for _, f := range d.Choices {
		if !served(d.Desks, identity.RoleVeiligThuis) {
			a.sayf("no desk of Veilig Thuis %s that this desk may write to is in the register: telephone 0800-2000", f.Region.Name)
		}
	}
}

func served(desks []servingDesk, role identity.Role) bool {
	for _, d := range desks {
		if d.Role == role {
			return true
		}
	}
	return false
}

func area(x routing.Area) cell { return cell{x.Name + " (" + x.Code + ")", plain} }

// knownAs tells a published name from one that nobody compared with a table.
func knownAs(f routing.Found) cell {
	switch f.Known {
	case routing.KnownByFormer:
		return cell{"former municipality, merged " + strconv.Itoa(f.Since) + ": check", yellow}
	case routing.KnownByPlace:
		return cell{"village in it: check", yellow}
	case routing.KnownByOther:
		return cell{"other name", plain}
	}
	return cell{"municipality", plain}
}
