package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"schakel/clients/schakel"
	"schakel/crypto/trust"
)

func (a *app) deviceListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the devices of this organisation",
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error { return a.devices(c.Context()) },
	}
}

type devicesDocument struct {
	Schema  string           `json:"schema"`
	Devices []schakel.Device `json:"devices"`
}

func (a *app) devices(ctx context.Context) error {
	return a.with(ctx, false, func(s *session) error {
		devices, err := s.Devices(ctx)
		if err != nil {
			return err
		}
		if a.json {
			return a.writeJSON(devicesDocument{"schakel.devices/1", list(devices)})
		}
		rows := [][]cell{heads("DEVICE", "DESK", "VALID UNTIL", "STATE", "FINGERPRINT")}
		for _, d := range devices {
			rows = append(rows, []cell{{d.ID.String(), bold}, {string(d.Desk), plain}, {a.when(d.Until), plain}, deviceState(d), {orDash(d.Fingerprint), dim}})
		}
		a.table(rows)
		return nil
	})
}

func deviceState(d schakel.Device) cell {
	switch {
	case !d.Active:
		return cell{"not active", red}
	case !d.Waits.IsZero():
		return cell{"new: confirm it", yellow}
	case d.Here:
		return cell{"this device", green}
	case d.Light:
		return cell{"active, light", plain}
	}
	return cell{"active", plain}
}

func (a *app) deviceRevokeCommand() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use: "revoke DEVICE", Short: "End a device of this organisation for good: lost, stolen, worn out",
		Long: "Enters a revocation into the register: nobody seals to the device or believes it any more. It\n" +
			"cannot be undone. Do it at once when a device is lost; what it already holds, it holds.",
		Args: arguments("DEVICE"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.revoke(c.Context(), trust.Subject("device/"+args[0]), reason)
		},
	}
	reasonFlag(c, &reason)
	return c
}

func (a *app) personRevokeCommand() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use: "revoke PERSON", Short: "End a person's key for good: gone, or the PIN known to others",
		Args: arguments("PERSON"),
		RunE: func(c *cobra.Command, args []string) error { return a.revokePerson(c.Context(), args[0], reason) },
	}
	reasonFlag(c, &reason)
	return c
}

func reasons() []string {
	return []string{string(trust.ReasonCompromised), string(trust.ReasonLost), string(trust.ReasonRetired), string(trust.ReasonMistake)}
}

func reasonFlag(c *cobra.Command, reason *string) {
	c.Flags().StringVar(reason, "reason", "", strings.Join(reasons(), ", "))
}

func parseReason(s string) (trust.Reason, error) {
	if !slices.Contains(reasons(), s) {
		return "", usage(fmt.Errorf("--reason %q is not one of %s%s", s, strings.Join(reasons(), ", "), didYouMean(s, reasons())))
	}
	return trust.Reason(s), nil
}

// revokePerson takes the name of a person of this device, or an identifier.
func (a *app) revokePerson(ctx context.Context, who, reason string) error {
	id := who
	err := a.with(ctx, false, func(s *session) error {
		persons, err := s.Persons(ctx)
		for _, p := range persons {
			if strings.EqualFold(p.Name, who) {
				id = p.ID.String()
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	return a.revoke(ctx, trust.Subject("person/"+id), reason)
}

func (a *app) revoke(ctx context.Context, subject trust.Subject, why string) error {
	reason, err := parseReason(why)
	if err != nil {
		return err
	}
	return a.with(ctx, true, func(s *session) error {
		if _, err := a.settled(ctx, s); err != nil { // the newest register: the revocation follows on it
			return err
		}
		if err := s.Revoke(ctx, subject, reason); err != nil {
			return err
		}
		a.sayf("revoked: %s. Every partner sees it with the next entries of the register.", subject)
		return nil
	})
}

func (a *app) registerRevokeCommand() *cobra.Command {
	var f rootFlags
	var subject, reason, log, out string
	c := &cobra.Command{
		Use: "revoke", Short: "Sign the end of a relay, an organisation, a desk, a device, a person or a release",
		Long: "Signs a revocation as root holders; --log is needed for what the root did not sign itself (a\n" +
			"device, a person): any device writes it with `schakel register export`. Hand the result to\n" +
			"`schakel register publish`, or to the operator for `schakel-relay register import`.",
		Example: `  schakel register revoke --dir root --subject org/vt20 --reason compromised --out revoke.txt`,
		Args:    arguments(),
		RunE: func(*cobra.Command, []string) error {
			return a.registerRevoke(f, trust.Subject(subject), reason, log, out)
		},
	}
	f.add(c)
	c.Flags().StringVar(&subject, "subject", "", "what ends, such as org/vt20, desk/vt20/crisis, device/019a... or release/v1.0.0")
	c.Flags().StringVar(&log, "log", "", "the whole register, from `schakel register export`")
	c.Flags().StringVar(&out, "out", "", "where the entry goes")
	reasonFlag(c, &reason)
	return c
}

func (a *app) registerRevoke(f rootFlags, subject trust.Subject, why, log, out string) error {
	if subject == "" || out == "" {
		return usage(errors.New("--subject and --out are needed"))
	}
	reason, err := parseReason(why)
	if err != nil {
		return err
	}
	own, reg, err := f.signed()
	if err != nil {
		return err
	}
	if log != "" {
		if reg, err = wholeRegister(log, own[0]); err != nil {
			return err
		}
	}
	holders, err := a.holders(f)
	if err != nil {
		return err
	}
	entry, err := trust.Revoke{Of: subject, Reason: reason, Effective: a.Now()}.Sign(reg.Next(subject), byRoot(holders)...)
	if err != nil {
		return usage(err)
	}
	if _, err := reg.Check(entry); err != nil {
		return advise(fmt.Errorf("%w: the register would skip this: %w", errRefused, err),
			"give the register as it is with --log, and enough keys with --key")
	}
	if err := writeNew(out, trust.FormatEntries("signed by the root holders", [][]byte{entry}), 0o644); err != nil {
		return err
	}
	a.sayf("next: schakel register publish %s", out)
	a.printf("%s\n", out)
	return nil
}

func byRoot(holders []trust.Signer) (by []trust.By) {
	for _, h := range holders {
		by = append(by, trust.ByRoot(h))
	}
	return by
}

// wholeRegister replays a register that somebody else wrote down. It proves itself
// up to the genesis, which must be the root holders' own.
func wholeRegister(path string, genesis []byte) (*trust.Register, error) {
	entries, err := readEntries(path)
	if err != nil {
		return nil, err
	}
	reg, err := trust.Replay(entries, trust.GenesisFingerprint(genesis))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errUnverified, path, err)
	}
	return reg, nil
}
