package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"schakel/clients/desk"
)

// lockPatience bounds how long `lock` waits for the daemon to have started over.
const lockPatience = 15 * time.Second

func (a *app) lockCommand() *cobra.Command {
	return &cobra.Command{
		Use: "lock", Short: "Lock this light device at once",
		Long: "Locks a light device: the daemon forgets everything by starting over, and answers nothing\n" +
			"until `schakel unlock`. It does so by itself when nobody used it for `lock-after`, when the\n" +
			"machine slept, and when the relay says that the device was revoked.\n\n" +
			"Locked is not silent: what comes stays at the relay, and its ladder calls on.",
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error { return a.lock(c.Context()) },
	}
}

func (a *app) unlockCommand() *cobra.Command {
	return &cobra.Command{
		Use: "unlock", Short: "Open this light device with its officer's passphrase",
		Long: "Opens a light device whose daemon runs. The passphrase is typed, or comes over standard input\n" +
			"(--passphrase-file -); it is kept nowhere.",
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error { return a.unlock(c.Context()) },
	}
}

type lockDocument struct {
	Schema string `json:"schema"`
	desk.LockState
}

func (a *app) lock(ctx context.Context) error {
	client, err := a.dial(ctx)
	if errors.Is(err, desk.ErrNoDaemon) {
		a.sayf("no daemon runs: nothing is open")
		return a.showLock(desk.LockState{Locked: true, Because: desk.BecauseStarted})
	}
	if err != nil {
		return err
	}
	defer client.Close()
	state, err := client.Lock(ctx)
	if err != nil {
		return err
	}
	if err := a.startedOver(ctx); err != nil {
		return err
	}
	return a.showLock(state)
}

// startedOver waits until a fresh daemon answers, or none: only then the memory of the
// old one is gone.
func (a *app) startedOver(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	for {
		client, err := desk.Dial(ctx, a.settings.get("socket"))
		if err == nil {
			state, stateErr := client.LockState(ctx)
			_ = client.Close()
			if stateErr == nil && state.Locked && state.Because != "" {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			if errors.Is(err, desk.ErrNoDaemon) {
				return nil
			}
			return fmt.Errorf("%w: the daemon answers nothing any more, and did not start over within %s; end it", errNotYet, lockPatience)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (a *app) unlock(ctx context.Context) error {
	client, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	state, err := client.LockState(ctx)
	if err != nil {
		return err
	}
	if state.Locked {
		if state.Because == desk.BecauseRefused {
			a.sayf("the relay said that this device is admitted no more: it opens only when the relay takes it back")
		}
		phrase, err := a.officersPhrase(false)
		if err != nil {
			return err
		}
		if state, err = client.Unlock(ctx, phrase); err != nil {
			return err
		}
	}
	return a.showLock(state)
}

func (a *app) showLock(state desk.LockState) error {
	if a.json {
		return a.writeJSON(lockDocument{"schakel.lock/1", state})
	}
	if !state.Locked {
		a.printf("open; it locks itself when nobody used it for %s\n", a.settings.get("lock-after"))
		if state.Acute > 0 {
			a.printf("%s\n", a.in(red, fmt.Sprintf("%d acute: see `schakel inbox --to-ack`", state.Acute)))
		}
		return nil
	}
	a.printf("locked\n")
	if state.Acute > 0 {
		a.sayf("%s", a.in(red, fmt.Sprintf("%d acute messages wait for an acknowledgement: nobody has them, and the ladder calls on. Telephone your backup.", state.Acute)))
	}
	return nil
}
