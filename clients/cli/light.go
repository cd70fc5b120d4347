package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"schakel/clients/desk"
	"schakel/clients/schakel"
	"schakel/clients/store"
	"schakel/clients/store/vault"
)

const (
	flagBecause = "because"
	// shutPatience bounds how long locking waits for what is going on to end in good
	// order. The store survives being cut off; the officer's laptop must not stay open.
	shutPatience = 5 * time.Second
)

// errLocking ends the tasks of an open light device.
var errLocking = errors.New("locking")

// opened is a light device while it is open.
type opened struct {
	node  *schakel.Node
	store *store.Store
}

// runLight is the daemon of a light device. It begins with nothing but a socket, and
// opens once. To lock is to start over: the process is replaced by a fresh one, and the
// kernel takes back all memory of the old one, whatever the garbage collector or a
// library would have left in it.
//
// It does not hold the store's lock while it is locked; the one beside the socket keeps a
// second daemon out.
func (a *app) runLight(ctx context.Context, because string) error {
	if !slices.Contains(desk.Reasons(), desk.Because(because)) {
		return usage(fmt.Errorf("--%s %q is no reason", flagBecause, because))
	}
	log, socket := a.logger(), a.settings.get("socket")
	keepNoCore()
	ln, err := desk.Listen(socket)
	if err != nil {
		return err
	}
	inside, opening := make(chan opened, 1), make(chan error, 1)
	door := desk.NewDoor(desk.DoorConfig{Because: desk.Because(because), Log: log, Open: func(ctx context.Context, phrase string) (desk.Node, error) {
		o, err := a.openLight(ctx, phrase, log)
		if errors.As(err, new(halfOpen)) {
			opening <- err // room for one: what comes after it is a fresh process
		}
		if err != nil {
			return nil, err
		}
		inside <- o // room for one: a door opens once
		return o.node, nil
	}})
	if a.settings.get("web") != webOff {
		log.Warn("web desk off: a light device serves none, so that nothing but its lock opens it")
	}
	if a.settings.get("api") != webOff {
		log.Warn("API off: a light device serves none")
	}
	if a.settings.get("metrics") != webOff {
		log.Warn("metrics off: a light device serves none")
	}
	log.Info("locked", "because", because, "socket", socket)
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error { return door.Serve(ctx, ln) })
	tasks.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case err := <-opening:
			door.Shut()
			if errors.Is(err, schakel.ErrRefused) {
				because = string(desk.BecauseRefused)
			}
			log.Warn("not opened, and locked again", "because", because)
			return errLocking
		case o := <-inside:
			why, err := a.whileOpen(ctx, door, o, log)
			because = string(why)
			return cmp.Or(err, errLocking)
		}
	})
	if err := tasks.Wait(); !errors.Is(err, errLocking) {
		return err
	}
	if because == "" || a.StartOver == nil {
		log.Info("ended")
		return nil
	}
	return a.StartOver(append(withoutBecause(a.args), "--"+flagBecause+"="+because))
}

// openLight opens store and node. It pages nobody: who has it open is awake. The node takes no context of the request: it lives on.
func (a *app) openLight(ctx context.Context, phrase string, log *slog.Logger) (o opened, err error) {
	err = whileInUse(ctx, commandPatience, func() (err error) {
		o.store, err = store.Open(ctx, a.storeFolder(), store.Unlock{Keys: []vault.Way{vault.Attended{Phrase: phrase}}})
		return err
	})
	if err != nil {
		return o, err
	}
	if o.node, err = a.newNode(ctx, o.store, log, nil); err != nil {
		return o, halfOpen{errors.Join(err, o.store.Close())}
	}
	return o, nil
}

// halfOpen is a device that did not open although its passphrase fitted, such as one that
// the relay refuses: the keys were in memory, and only starting over takes them out.
type halfOpen struct{ error }

func (h halfOpen) Unwrap() error { return h.error }

// whileOpen runs an open device until something locks it, and says what did; "" when
// the daemon is to end, with the error that the node ended with, if it did.
func (a *app) whileOpen(ctx context.Context, door *desk.Door, o opened, log *slog.Logger) (because desk.Because, err error) {
	log.Info("open", "device", o.node.Device(), "desk", o.node.Desk())
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error {
		because = a.untilLocked(ctx, door, o)
		door.Shut()
		return errLocking
	})
	tasks.Go(func() error { return unlessEnded(ctx, o.node.Run(ctx)) })
	ended := make(chan error, 1)
	go func() {
		err := tasks.Wait()
		if because != "" {
			a.tellLocking(context.WithoutCancel(ctx), o, because, log)
		}
		if closing := o.store.Close(); closing != nil {
			log.Error("store not closed in good order", "err", closing)
		}
		ended <- err
	}()
	<-ctx.Done()
	select {
	case err = <-ended:
	case <-time.After(shutPatience):
		log.Warn("cut off")
	}
	if errors.Is(err, errLocking) {
		err = nil
	}
	return because, err
}

// untilLocked waits for the first reason to lock.
func (a *app) untilLocked(ctx context.Context, door *desk.Door, o opened) desk.Because {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	first := make(chan desk.Because, 1)
	go func() { first <- door.AwaitLock(ctx, a.settings.duration("lock-after"), a.Now) }()
	select {
	case because := <-first:
		return because
	case <-o.node.Refused():
		return desk.BecauseRefused
	}
}

// tellLocking warns when a device locks over messages that nobody took: locked is not
// silent, and the log is where that is seen when nobody asked for the lock.
func (a *app) tellLocking(ctx context.Context, o opened, because desk.Because, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if acute, err := desk.Acute(ctx, o.node); err == nil && acute > 0 {
		log.Warn("locking with acute messages unattended: the ladder goes on", "because", string(because), "acute", acute)
	}
}

// withoutBecause are the arguments of this daemon without an earlier reason.
func withoutBecause(args []string) []string {
	return slices.DeleteFunc(slices.Clone(args), func(a string) bool { return strings.HasPrefix(a, "--"+flagBecause+"=") })
}
