package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

// maxDeviceRequest bounds the file of a further device: one register entry.
const maxDeviceRequest = 16 << 10

func (a *app) deviceCommand() *cobra.Command {
	return noun("device", "The devices of this organisation, and a test of the line", a.deviceListCommand(), a.deviceRequestCommand(),
		a.deviceVouchCommand(), a.deviceRevokeCommand(), a.deviceTestCommand())
}

func (a *app) deviceRequestCommand() *cobra.Command {
	var desk, out string
	var light bool
	c := &cobra.Command{
		Use: "request", Short: "On a new machine: make keys for a further device of a desk",
		Long: "Makes the store and the keys of a further device of a desk that is in the chain already, and\n" +
			"writes its request. A device with the organisation's key vouches for it (`schakel device\n" +
			"vouch`); then this one joins with the desk's invitation, like the first.\n\n" +
			"With --light it is a light device: a laptop that the officer on call carries. It opens with a\n" +
			"passphrase that somebody types and nothing else, locks itself, keeps little, and cannot export,\n" +
			"vouch, revoke or add persons.",
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error { return a.requestDevice(c.Context(), desk, out, light) },
	}
	c.Flags().BoolVar(&light, "light", false, "a light device, for the officer on call at home")
	c.Flags().StringVar(&desk, "desk", "", "the desk: organisation/desk")
	c.Flags().StringVar(&out, "out", "", "where the request goes (default device.txt in the home folder)")
	return c
}

func (a *app) requestDevice(ctx context.Context, name, out string, light bool) error {
	id, err := identity.ParseDeskID(name)
	if err != nil {
		return usage(err)
	}
	ways := a.unattendedWays
	if light {
		ways = a.attendedWay
	}
	st, kept, err := a.createStore(ctx, ways)
	if err != nil {
		return err
	}
	defer st.Close()
	if st.Attended() != light {
		return advise(fmt.Errorf("%w: a store of the other kind is in %s", errExists, a.settings.get("home")), "give another --home: a device stays what it was made as")
	}
	request, err := schakel.RequestDevice(ctx, st, id, a.Now())
	if err != nil {
		return err
	}
	a.sayMade(kept)
	fingerprint, err := schakel.DeviceFingerprint(request)
	if err != nil {
		return err
	}
	if out == "" {
		out = filepath.Join(a.settings.get("home"), "device.txt")
	}
	return a.leave(out, request,
		"next: bring the file to a device with the organisation's key, and read this fingerprint out there:",
		"      "+fingerprint)
}

func (a *app) deviceVouchCommand() *cobra.Command {
	var told string
	c := &cobra.Command{
		Use: "vouch REQUEST", Short: "Let a further device of this organisation in",
		Long: "Enters a further device into the register. From then on it reads everything that is sent to\n" +
			"its desk: compare the fingerprint with whoever holds it, in person or by telephone.",
		Args: arguments("REQUEST"),
		RunE: func(c *cobra.Command, args []string) error { return a.vouch(c.Context(), args[0], told) },
	}
	c.Flags().StringVar(&told, "fingerprint", "", "what the holder of the new device reads out")
	return c
}

func (a *app) vouch(ctx context.Context, path, told string) error {
	request, err := readFile(path, maxDeviceRequest)
	if err != nil {
		return err
	}
	fingerprint, err := schakel.DeviceFingerprint(request)
	if err != nil {
		return err
	}
	if told == "" {
		return advise(usage(errors.New("--fingerprint is missing")), "let the holder of the new device read it out")
	}
	if !identity.SameFingerprint(fingerprint, told) {
		return advise(fmt.Errorf("%w: the holder read out another fingerprint", errUnverified), "do not let it in: the file is of another device")
	}
	if schakel.RequestsLight(request) {
		a.sayf("this is a light device: it travels, and is to be revoked the hour it is missed")
	}
	return a.with(ctx, true, func(s *session) error {
		if err := s.Vouch(ctx, request); err != nil {
			return err
		}
		a.sayf("vouched. The new device can join now, with the desk's invitation.")
		return nil
	})
}

func (a *app) deviceTestCommand() *cobra.Command {
	return &cobra.Command{
		Use: "test DESK", Short: "Send an empty test delivery to a desk: it pages nobody and enters no case",
		Args: arguments("DESK"),
		RunE: func(c *cobra.Command, args []string) error { return a.testDelivery(c.Context(), args[0]) },
	}
}

func (a *app) testDelivery(ctx context.Context, name string) error {
	id, err := identity.ParseDeskID(name)
	if err != nil {
		return usage(err)
	}
	return a.with(ctx, true, func(s *session) error {
		if _, err := a.settled(ctx, s); err != nil {
			return err
		}
		if err := a.whileNoKeys(ctx, func() error { return s.SendTest(ctx, id) }); err != nil {
			return suggestDesk(ctx, s, []identity.DeskID{id}, err)
		}
		a.sayf("sent: it shows there as a test, and nothing comes back")
		return nil
	})
}

// whileNoKeys tries again while the public keys of a desk are on their way, for as
// long as a command waits for the relay.
func (a *app) whileNoKeys(ctx context.Context, try func() error) error {
	patient, cancel := context.WithTimeout(ctx, a.settings.duration("wait"))
	defer cancel()
	for {
		err := try()
		if !errors.Is(err, schakel.ErrNoKeys) {
			return err
		}
		select {
		case <-patient.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}
