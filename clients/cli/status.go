package cli

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"schakel/clients/schakel"
	"schakel/crypto/trust"
)

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show this device, its connection and what waits",
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error { return a.status(c.Context()) },
	}
}

type statusDocument struct {
	Schema string `json:"schema"`
	Daemon bool   `json:"daemon"`
	schakel.Status
}

func (a *app) status(ctx context.Context) error {
	return a.with(ctx, false, func(s *session) error {
		st, err := s.Status(ctx)
		if err != nil {
			return err
		}
		if a.json {
			return a.writeJSON(statusDocument{"schakel.status/1", s.daemon, st})
		}
		a.showStatus(st, s.daemon)
		return nil
	})
}

func (a *app) showStatus(st schakel.Status, daemon bool) {
	rows := [][]cell{
		{{"desk", dim}, {string(st.Desk), bold}},
		{{"device", dim}, {st.Device.String(), plain}},
		{{"relay", dim}, {inertLine(st.Relay), plain}},
		{{"connection", dim}, a.connection(st, daemon)},
		{{"register", dim}, {strconv.FormatUint(st.RegisterSize, 10) + " entries; witnesses: " + orDash(inertLine(st.Witnesses)), plain}},
		{{"register seen", dim}, ageCell(st)},
		{{"root until", dim}, rootCell(st, a.Now())},
		{{"keys until", dim}, {a.when(st.KeysUntil), plain}},
		count("unread", st.Unread, bold), count("to acknowledge", st.ToAcknowledge, yellow), count("more to confirm", st.ToConfirm, yellow),
		count("not confirmed", st.Outbox, plain), count("not at the relay", st.NotAtRelay, yellow),
		count("alarms", st.Alarms, red), count("skipped entries", st.RegisterSkipped, red),
		{{"rota", dim}, rotaCell(st.Rota)},
		count("quarantined", st.Quarantined, red), count("rejected", st.Rejected, yellow),
	}
	if st.NewDevices > 0 {
		rows = append(rows, count("new devices", st.NewDevices, yellow))
	}
	if !st.DrillDue.IsZero() {
		rows = append(rows, []cell{{"monthly drill", dim}, {"due since " + onClock(st.DrillDue), yellow}})
	}
	a.table(rows)
	if st.Rota.Gaps > 0 {
		a.sayf("nobody is on call %d times in the 14 days from now, first on %s: see `schakel oncall rota show`", st.Rota.Gaps, onClock(st.Rota.Gap))
	}
	if st.NewDevices > 0 {
		a.sayf("%d new devices get nothing yet: see `schakel desks`, telephone, and confirm them with `schakel desks confirm`", st.NewDevices)
	}
	if st.Alarms > 0 {
		a.sayf("see `schakel alarms`: somebody must act")
	}
}

// ageCell says how old the register may be.
func ageCell(st schakel.Status) cell {
	switch at := onClock(st.RegisterAge.Vouched); {
	case st.RegisterAge.State == schakel.Fresh:
		return cell{"by its witnesses on " + at, green}
	case st.RegisterAge.State == schakel.Ageing:
		return cell{"by its witnesses on " + at + ": more than a day ago", yellow}
	case st.RegisterAge.State == schakel.Stale && st.RegisterAge.Vouched.IsZero():
		return cell{"never by its witnesses: nothing is sent", red}
	case st.RegisterAge.State == schakel.Stale:
		return cell{"by its witnesses on " + at + ": nothing is sent", red}
	}
	return cell{"by nobody but the relay, which can withhold what is new", yellow}
}

// rootCell says until when the root of the register rules.
func rootCell(st schakel.Status, now time.Time) cell {
	until := st.RegisterAge.RootExpires.UTC().Format(time.DateOnly)
	switch {
	case st.RegisterAge.RootExpired:
		return cell{until + ": expired, nothing is sent", red}
	case st.RegisterAge.RootExpires.Sub(now) <= trust.RootWarning:
		return cell{until + ": the root holders must renew it", yellow}
	}
	return cell{until, plain}
}

// rotaCell says in a word how the rota stands.
func rotaCell(st schakel.RotaStatus) cell {
	switch {
	case !st.Known:
		return cell{"none yet", yellow}
	case st.Gaps > 0:
		return cell{"gaps in 14 days: " + strconv.Itoa(st.Gaps), red}
	case st.Contested:
		return cell{"changed by two at once", red}
	case st.Refused != "":
		return cell{"refused by the relay: " + inertLine(st.Refused), red}
	case st.AtRelay.IsZero():
		return cell{"not at the relay since this daemon began", yellow}
	}
	return cell{"at the relay since " + onClock(st.AtRelay), green}
}

// count colours what is not zero.
func count(name string, n int, c colour) []cell {
	if n == 0 {
		c = plain
	}
	return []cell{{name, dim}, {strconv.Itoa(n), c}}
}

func (a *app) connection(st schakel.Status, daemon bool) cell {
	switch {
	case st.Connected:
		return cell{"connected since " + a.when(st.ConnectedSince), green}
	case !daemon:
		return cell{"no daemon runs", yellow}
	case st.LastError != "":
		return cell{"not connected: " + inertLine(st.LastError), red}
	}
	return cell{"not connected", red}
}
