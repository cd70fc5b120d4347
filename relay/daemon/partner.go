package daemon

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/relay/register"
)

// partner is one organisation as `partner list --json` gives it.
type partner struct {
	Org       identity.OrgID `json:"org"`
	Desks     int            `json:"desks"`
	Devices   int            `json:"devices"`
	Standing  string         `json:"standing"`  // by the register: active, suspended or revoked
	Suspended bool           `json:"suspended"` // by this relay's operator
}

func (a *app) partnerList() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "list", Short: "List the organisations with their desks and devices",
		Args: exactly(),
		RunE: func(*cobra.Command, []string) error {
			return a.withLog(func(log *register.Log) error { return a.printPartners(log, asJSON) })
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

func (a *app) printPartners(log *register.Log, asJSON bool) error {
	blocked := newSuspensions(a.settings.path(fileSuspended), nil)
	if err := blocked.read(); err != nil {
		return err
	}
	list := partners(log.Register(), blocked)
	if asJSON {
		return json.NewEncoder(a.Out).Encode(struct {
			Schema   string    `json:"schema"`
			Partners []partner `json:"partners"`
		}{"schakel-relay/partners/v1", list})
	}
	for _, p := range list {
		standing := p.Standing
		if p.Suspended {
			standing += ", suspended here"
		}
		fmt.Fprintf(a.Out, "%s\t%d desks\t%d devices\t%s\n", p.Org, p.Desks, p.Devices, standing)
	}
	return nil
}

func partners(reg *trust.Register, blocked *suspensions) []partner {
	byOrg := make(map[identity.OrgID]*partner)
	var order []identity.OrgID
	if reg == nil {
		return nil
	}
	for _, desk := range reg.Desks() {
		id := desk.Org()
		if byOrg[id] == nil {
			org, _ := reg.Org(id)
			byOrg[id] = &partner{Org: id, Standing: standing(org.Standing), Suspended: blocked.has(id)}
			order = append(order, id)
		}
		byOrg[id].Desks++
		byOrg[id].Devices += len(reg.DevicesOf(desk))
	}
	list := make([]partner, 0, len(order))
	for _, id := range order {
		list = append(list, *byOrg[id])
	}
	return list
}

func standing(s trust.Standing) string {
	switch {
	case s.Revoked != 0:
		return "revoked"
	case s.Suspended:
		return "suspended"
	}
	return "active"
}

func (a *app) partnerSuspend() *cobra.Command {
	return &cobra.Command{
		Use: "suspend ORG", Short: "Stop serving an organisation on this relay: its sessions end within seconds",
		Long: "Stops serving an organisation on this relay until `partner resume`. This is the operator's brake.\n" +
			"Partners go on believing its devices: to end that, have the root holders suspend or revoke it.",
		Args: exactly("ORG"),
		RunE: func(_ *cobra.Command, args []string) error { return a.changeSuspended(args[0], true) },
	}
}

func (a *app) partnerResume() *cobra.Command {
	return &cobra.Command{
		Use: "resume ORG", Short: "Serve a suspended organisation again",
		Args: exactly("ORG"),
		RunE: func(_ *cobra.Command, args []string) error { return a.changeSuspended(args[0], false) },
	}
}

func (a *app) changeSuspended(name string, suspend bool) error {
	id, err := identity.ParseOrgID(name)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	blocked := newSuspensions(a.settings.path(fileSuspended), nil)
	if err := blocked.read(); err != nil {
		return err
	}
	if blocked.has(id) == suspend {
		a.sayf("kept: %s", name)
		return nil
	}
	if suspend {
		if err := a.mustKnow(id); err != nil {
			return err
		}
		blocked.list[id] = struct{}{}
	} else {
		delete(blocked.list, id)
	}
	text := "# organisations that this relay does not serve; schakel-relay partner suspend|resume\n"
	var ids []string
	for id := range blocked.list {
		ids = append(ids, string(id))
	}
	slices.Sort(ids)
	for _, id := range ids {
		text += id + "\n"
	}
	return replaceFile(a.settings.path(fileSuspended), []byte(text), 0o600)
}

func (a *app) mustKnow(id identity.OrgID) error {
	return a.withLog(func(log *register.Log) error {
		if reg := log.Register(); reg != nil {
			if _, ok := reg.Org(id); ok {
				return nil
			}
		}
		return fmt.Errorf("%w: organisation %s is not in the register", errNotFound, id)
	})
}
