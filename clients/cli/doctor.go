package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"schakel/clients/desk"
	"schakel/clients/schakel"
	"schakel/crypto/trust"
)

func (a *app) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use: "doctor", Short: "Check this device: every check with its evidence and its remedy",
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error { return a.doctor(c.Context()) },
	}
}

// result of a check.
type result string

const (
	passed  result = "ok"
	warning result = "warn"
	failed  result = "fail"
	skipped result = "skip" // could not be made, because of another that failed
)

type check struct {
	Name     string `json:"name"`
	Result   result `json:"result"`
	Evidence string `json:"evidence"`
	Remedy   string `json:"remedy,omitempty"`
}

type doctorDocument struct {
	Schema string  `json:"schema"`
	Checks []check `json:"checks"`
}

func (a *app) doctor(ctx context.Context) error {
	checks := append(a.checkFiles(), a.checkDevice(ctx)...)
	if a.json {
		if err := a.writeJSON(doctorDocument{"schakel.doctor/1", checks}); err != nil {
			return err
		}
	} else {
		a.showChecks(checks)
	}
	bad := 0
	for _, c := range checks {
		if c.Result == failed {
			bad++
		}
	}
	if bad > 0 {
		return advise(fmt.Errorf("%w: %d of %d", errChecks, bad, len(checks)), "do what stands beside each failed check, then run doctor again")
	}
	return nil
}

func (a *app) showChecks(checks []check) {
	paint := map[result]colour{passed: green, warning: yellow, failed: red, skipped: dim}
	for _, c := range checks {
		a.printf("%s  %s: %s\n", a.in(paint[c.Result], fmt.Sprintf("%-4s", c.Result)), c.Name, inertLine(c.Evidence))
		if c.Remedy != "" {
			a.printf("      do: %s\n", inertLine(c.Remedy))
		}
	}
}

// checkDevice opens the store or asks the daemon, and judges what it says.
func (a *app) checkDevice(ctx context.Context) []check {
	s, err := a.open(ctx, true)
	if err != nil {
		remedy := cmp.Or(desk.ProblemOf(err).Remedy, "see `schakel help`")
		var own advice
		if errors.As(err, &own) {
			remedy = own.remedy
		}
		return []check{{"store", failed, err.Error(), remedy}, {"relay", skipped, "the store is not open", ""}}
	}
	defer s.close()
	store := check{"store", passed, "opens", ""}
	if s.daemon {
		store.Evidence = "open in the daemon, which answers"
	}
	st, err := a.settled(ctx, s)
	if errors.Is(err, schakel.ErrNotEnrolled) {
		return []check{store, {"enrolment", failed, "this device has not joined the chain", "run `schakel join` with the invitation of the root holders"}}
	}
	if err != nil {
		return []check{store, {"status", failed, err.Error(), "see the daemon's log"}}
	}
	now := a.Now()
	checks := []check{store, checkDaemon(s.daemon), checkRelay(st), checkClock(st), checkRegister(st), checkFreshness(st), checkRoot(st, now), checkNewDevices(st), checkKeys(st, now),
		a.checkOutbox(ctx, s, now), checkBackup(ctx, s, st, now), checkRecovery(ctx, s, st, now), a.checkAlarms(ctx, s), checkRefused(st), checkRota(st), checkPlan(st), a.checkOnCall(ctx, s)}
	return append(checks, a.checkProgram(ctx, s)...)
}

// settled returns the status once the connection stands, or after a few seconds
// without: a node in this process has only just begun.
func (a *app) settled(ctx context.Context, s *session) (schakel.Status, error) {
	events, cancel := s.Subscribe()
	defer cancel()
	patience := time.NewTimer(a.settings.duration("wait"))
	defer patience.Stop()
	for {
		st, err := s.Status(ctx)
		if err != nil || st.Connected || s.daemon && st.LastError != "" {
			return st, err
		}
		again := time.NewTimer(200 * time.Millisecond)
		select {
		case <-ctx.Done():
			return st, ctx.Err()
		case <-patience.C:
			return st, nil
		case <-events:
		case <-again.C:
		}
	}
}

func checkDaemon(runs bool) check {
	if runs {
		return check{"daemon", passed, "runs", ""}
	}
	return check{"daemon", warning, "does not run: messages arrive only while a command runs", "start `schakel run`, as a service"}
}

func checkRelay(st schakel.Status) check {
	if st.Connected {
		return check{"relay", passed, st.Relay + " proved the key that the register names for it, and let this device in", ""}
	}
	why := st.LastError
	if why == "" {
		why = "no answer yet"
	}
	return check{"relay", failed, st.Relay + ": " + why, "check the network, then telephone the operator of the relay"}
}

// clockSlack is how far two honest clocks may differ: a message from further ahead
// is not accepted.
const clockSlack = 2 * time.Minute

func checkClock(st schakel.Status) check {
	evidence := fmt.Sprintf("the relay's is %s ahead of this one", st.ClockAhead)
	switch {
	case st.ClockBehind > clockSlack:
		return check{"clock", warning, fmt.Sprintf("this one is %s behind what the witnesses of the register signed; their moment counts", st.ClockBehind.Round(time.Second)),
			"set this machine's clock right, and find out who set it back"}
	case !st.Connected:
		return check{"clock", skipped, "no relay to compare with", ""}
	case st.ClockAhead.Abs() > clockSlack:
		return check{"clock", warning, evidence, "compare this machine's clock with a telephone; if it is right, tell the operator of the relay"}
	}
	return check{"clock", passed, evidence, ""}
}

func checkRegister(st schakel.Status) check {
	evidence := fmt.Sprintf("%d entries verified, %d skipped; witnesses: %s", st.RegisterSize, st.RegisterSkipped, st.Witnesses)
	switch {
	case st.RegisterSize == 0:
		return check{"register", failed, evidence, "run `schakel join` again"}
	case st.RegisterSkipped > 0:
		return check{"register", warning, evidence, "an entry was not authorised: see `schakel alarms` and telephone the root holders"}
	}
	return check{"register", passed, evidence, ""}
}

func checkFreshness(st schakel.Status) check {
	age := st.RegisterAge
	seen := "the witnesses never vouched for the register of this device"
	if !age.Vouched.IsZero() {
		seen = "the quorum of witnesses saw the register last on " + age.Vouched.UTC().Format(time.RFC3339)
	}
	if age.Witnesses != "" && age.State != schakel.Stale {
		return check{"freshness", failed, seen + "; " + witnessFault(age.Witnesses), "telephone the root holders, who know the witnesses, and the operator of the relay: after three days sending stops"}
	}
	switch age.State {
	case schakel.Fresh:
		return check{"freshness", passed, seen, ""}
	case schakel.Ageing:
		return check{"freshness", warning, seen + ", more than a day ago", "see whether the relay is reached; if it is, telephone its operator: after three days sending stops"}
	case schakel.Stale:
		return check{"freshness", failed, seen + ": nothing is sent", "telephone the operator of the relay and the root holders; what is acute goes with `schakel send --called`"}
	}
	return check{"freshness", warning, "the root names no witnesses: only the relay says that nothing is missing", "ask the root holders for witnesses; until then compare the number of entries with another partner by telephone"}
}

func checkRoot(st schakel.Status, now time.Time) check {
	expires := st.RegisterAge.RootExpires
	evidence := "the root of the register rules until " + expires.UTC().Format(time.DateOnly)
	switch {
	case st.RegisterAge.RootExpired:
		return check{"root", failed, evidence + ": it has expired, and nothing is sent", "telephone the root holders: `schakel register root draft` renews it"}
	case expires.Sub(now) <= trust.RootWarning:
		return check{"root", warning, evidence, "telephone the root holders: `schakel register root draft` renews it"}
	}
	return check{"root", passed, evidence, ""}
}

func checkNewDevices(st schakel.Status) check {
	if st.NewDevices == 0 {
		return check{"new devices", passed, "none that waits, at the desks that this one writes to", ""}
	}
	return check{"new devices", warning, fmt.Sprintf("%d get nothing yet", st.NewDevices),
		"see `schakel desks`; telephone the desk on a number that you had before, then `schakel desks confirm`"}
}

// keysAhead is how far the published keys must reach before somebody is warned: a
// long weekend.
const keysAhead = 4 * 24 * time.Hour

func checkKeys(st schakel.Status, now time.Time) check {
	left := st.KeysUntil.Sub(now)
	evidence := fmt.Sprintf("keys are published until %s", st.KeysUntil.UTC().Format(time.RFC3339))
	switch {
	case left <= 0:
		return check{"keys", failed, evidence, "nobody can write to this desk: let the daemon reach the relay"}
	case left < keysAhead:
		return check{"keys", warning, evidence, "let the daemon run for a while: it publishes new ones by itself"}
	}
	return check{"keys", passed, evidence, ""}
}

// outboxAge is how old a message may be that its desk has not confirmed.
const outboxAge = 4 * time.Hour

func (a *app) checkOutbox(ctx context.Context, s *session, now time.Time) check {
	messages, err := s.List(ctx, schakel.Filter{Box: "sent", Limit: 1000})
	if err != nil {
		return check{"outbox", failed, err.Error(), "see the daemon's log"}
	}
	waiting, oldest := 0, now
	for _, m := range messages {
		if st := slowest(m.Recipients).State; st == schakel.StatePrepared || st == schakel.StateAtRelay {
			waiting++
			if m.Created.Before(oldest) {
				oldest = m.Created
			}
		}
	}
	evidence := fmt.Sprintf("%d messages not yet confirmed by every desk", waiting)
	if waiting > 0 {
		evidence += ", the oldest from " + a.when(oldest)
	}
	if now.Sub(oldest) > outboxAge {
		return check{"outbox", warning, evidence, "see `schakel sent` and telephone the desks that are behind"}
	}
	return check{"outbox", passed, evidence, ""}
}

func (a *app) checkAlarms(ctx context.Context, s *session) check {
	alarms, err := s.Alarms(ctx)
	if err != nil {
		return check{"alarms", failed, err.Error(), "see the daemon's log"}
	}
	if len(alarms) > 0 {
		return check{"alarms", warning, fmt.Sprintf("%d, the oldest since %s", len(alarms), a.when(alarms[0].Since)), "see `schakel alarms`"}
	}
	return check{"alarms", passed, "none", ""}
}

func checkRota(st schakel.Status) check {
	switch {
	case !st.Rota.Known:
		return check{"rota", warning, "this desk has none: nobody is paged by it", "make one: see configs/rota.toml and `schakel oncall rota import`"}
	case st.Rota.Gaps > 0:
		return check{"rota", failed, fmt.Sprintf("nobody is on call %d times in the 14 days from now, first on %s", st.Rota.Gaps, onClock(st.Rota.Gap)),
			"see `schakel oncall rota show`, and find somebody with `schakel oncall take` or `schakel oncall rota override`"}
	case st.Rota.Contested:
		return check{"rota", warning, "two people changed it at the same time", "look at it with `schakel oncall rota show`, and save it with `schakel oncall rota edit`"}
	}
	return check{"rota", passed, "somebody is on call at every level in the 14 days from now", ""}
}

func checkPlan(st schakel.Status) check {
	switch {
	case !st.Rota.Known:
		return check{"plan", skipped, "no rota", ""}
	case st.Rota.Refused != "":
		return check{"plan", failed, "the relay refused it: " + st.Rota.Refused, "the relay pages by an older rota: telephone its operator"}
	case st.Rota.AtRelay.IsZero():
		return check{"plan", warning, "this program has not told the relay who is on call since it began", "let the daemon reach the relay"}
	}
	return check{"plan", passed, "the relay knows who is on call, since " + onClock(st.Rota.AtRelay), ""}
}

func checkRefused(st schakel.Status) check {
	evidence := fmt.Sprintf("%d arrivals in quarantine, %d rejected", st.Quarantined, st.Rejected)
	if st.Quarantined+st.Rejected > 0 {
		return check{"arrivals", warning, evidence, "show `schakel alarms` to the security officer"}
	}
	return check{"arrivals", passed, evidence, ""}
}
