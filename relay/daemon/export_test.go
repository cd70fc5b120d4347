package daemon

import (
	"context"
	"crypto/tls"
	"log/slog"
	"time"

	"github.com/spf13/pflag"
)

// Report tells a watchdog that the environment names what works says, until ctx ends.
func Report(ctx context.Context, environ []string, works func(context.Context) error) error {
	w, err := watchdogOf(environ)
	if err == nil {
		w.report(ctx, works, slog.New(slog.DiscardHandler))
	}
	return err
}

// Keys are the names of all settings and their defaults.
func Keys() map[string]string {
	m := make(map[string]string)
	for _, k := range keys() {
		m[k.name] = k.fallback
	}
	return m
}

// Configure returns the settings that flags and environment give.
func Configure(args, environ []string) (map[string]string, error) {
	a := &app{Std: Std{Environ: environ}}
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	settingFlags(flags)
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	err := a.configure(flags)
	return a.settings, err
}

// Certificates returns what serves certificates from a data folder, and looks at
// the files each time.
func Certificates(data string) (func() (*tls.Certificate, error), error) {
	a := &app{settings: settings{"data": data}}
	first, err := a.certificate()
	if err != nil {
		return nil, err
	}
	c := newCertificates(a, first, slog.New(slog.DiscardHandler))
	return func() (*tls.Certificate, error) {
		c.mu.Lock()
		c.looked = time.Time{}
		c.mu.Unlock()
		return c.get(nil)
	}, nil
}
