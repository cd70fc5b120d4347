package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"schakel/relay"
)

// watchdog is what systemd wants to hear from a service with WatchdogSec: that it works,
// again and again (sd_notify(3), sd_watchdog_enabled(3)). It restarts one that falls silent.
type watchdog struct {
	socket string
	within time.Duration // silence after which systemd acts
}

// watchdogOf reads what systemd says in the environment; no socket: nobody wants to hear.
func watchdogOf(environ []string) (w watchdog, err error) {
	for _, line := range environ {
		name, value, _ := strings.Cut(line, "=")
		switch name {
		case "NOTIFY_SOCKET":
			w.socket = value
		case "WATCHDOG_USEC":
			n, err := strconv.ParseUint(value, 10, 40)
			if err != nil || n == 0 {
				return watchdog{}, fmt.Errorf("%w: WATCHDOG_USEC is %q: want microseconds", errConfig, value)
			}
			w.within = time.Duration(n) * time.Microsecond
		}
	}
	if w.within == 0 {
		return watchdog{}, nil
	}
	return w, nil
}

// startReports tells systemd that this process works until stop is called. Before it serves
// it may take its time: a large store opens slowly.
func (a *app) startReports(ctx context.Context, serving *atomic.Pointer[relay.Relay], log *slog.Logger) (stop func(), err error) {
	w, err := watchdogOf(a.Environ)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var reports sync.WaitGroup
	reports.Go(func() {
		w.report(ctx, func(ctx context.Context) error {
			if r := serving.Load(); r != nil {
				return r.Works(ctx)
			}
			return nil
		}, log)
	})
	return func() {
		cancel()
		reports.Wait()
	}, nil
}

// report tells systemd that the relay works, as long as it does, until ctx ends.
func (w watchdog) report(ctx context.Context, works func(context.Context) error, log *slog.Logger) {
	if w.socket == "" {
		return
	}
	every := w.within / 4
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		asked, cancel := context.WithTimeout(ctx, every)
		err := works(asked)
		cancel()
		if err == nil {
			err = w.tell("WATCHDOG=1")
		}
		if err != nil && ctx.Err() == nil {
			log.Error("the watchdog is not told that this relay works", "error", err.Error())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (w watchdog) tell(state string) error {
	// A name that begins with @ is abstract: package net reads it as systemd writes it.
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: w.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("failed to reach systemd: %w", err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("failed to tell systemd: %w", err)
	}
	return nil
}
