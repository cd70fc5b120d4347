package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/sync/errgroup"

	"schakel/clients/desk"
	"schakel/clients/desk/api"
	"schakel/clients/desk/once"
	"schakel/clients/desk/token"
	"schakel/clients/desk/web"
	"schakel/clients/desk/webhook"
	"schakel/clients/schakel"
	"schakel/clients/store"
)

// unixPrefix begins the setting api where it names a socket.
const unixPrefix = "unix:"

// gate is what a daemon has for the programs of its organisation.
type gate struct {
	tokens   *token.Keeper
	webhooks *webhook.Office
	site     *api.Site    // nil: the API is off
	ln       net.Listener // of the site
}

// openGate opens the API, where it is on. Tokens and webhooks are kept in any case.
func (a *app) openGate(ctx context.Context, node *schakel.Node, st *store.Store, log *slog.Logger) (*gate, error) {
	allow, err := targets(a.settings.get("webhook-targets"))
	if err != nil {
		return nil, fmt.Errorf("%w: webhook-targets: %w", errConfig, err)
	}
	p := &gate{tokens: token.New(token.Config{Store: st, People: node, Now: a.Now}),
		webhooks: webhook.New(webhook.Config{Store: st, Events: node, Allow: allow, Now: a.Now, Log: log})}
	if a.settings.get("api") == webOff {
		return p, nil
	}
	secret, err := cursorSecret(ctx, st)
	if err != nil {
		return nil, err
	}
	p.site, err = api.New(api.Config{Node: node, Tokens: p.tokens, Answers: once.New(st, a.Now), Secret: secret, Now: a.Now, Log: log})
	if err != nil {
		return nil, err
	}
	p.ln, err = a.listenHere("api", "127.0.0.1:8478", api.ErrOpen)
	return p, err
}

// listenHere listens where a setting says, which must be on this machine.
func (a *app) listenHere(setting, example string, open error) (net.Listener, error) {
	address := a.settings.get(setting)
	if path, unix := strings.CutPrefix(address, unixPrefix); unix {
		return desk.Listen(path)
	}
	if !web.Loopback(address) {
		return nil, advise(fmt.Errorf("%w: %w: %s", errConfig, open, address), "set `"+setting+"` to an address on this machine such as "+example+", or to unix: and a path")
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, advise(fmt.Errorf("failed to open what `%s` names: %w", setting, err), "set `"+setting+"` to another port, or to off")
	}
	return ln, nil
}

// close is for a daemon that does not start.
func (p *gate) close() error {
	if p.ln == nil {
		return nil
	}
	return p.ln.Close()
}

// serve adds what these programs need to the tasks of a daemon.
func (p *gate) serve(ctx context.Context, tasks *errgroup.Group, log *slog.Logger) {
	tasks.Go(func() error { return p.webhooks.Run(ctx) })
	if p.site != nil {
		log.Info("API open", "address", p.ln.Addr())
		tasks.Go(func() error { return p.site.Serve(ctx, p.ln) })
	}
}

// settingCursors is where the key lies that seals cursors: a program that leafs through a
// list need not begin again because the daemon did.
const settingCursors = "api-cursors"

func cursorSecret(ctx context.Context, st *store.Store) (secret [32]byte, err error) {
	err = st.Update(ctx, func(tx *store.Tx) error {
		b, err := tx.Setting(settingCursors)
		switch {
		case err == nil && len(b) == len(secret):
			copy(secret[:], b)
			return nil
		case err != nil && !errors.Is(err, store.ErrNotFound):
			return err
		}
		_, _ = rand.Read(secret[:]) // never fails (crypto/rand)
		return tx.SetSetting(settingCursors, secret[:])
	})
	return secret, err
}

// targets reads the networks that webhooks may go to, beside this machine.
func targets(text string) (out []netip.Prefix, err error) {
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		p, err := netip.ParsePrefix(word)
		if ip, single := netip.ParseAddr(word); single == nil {
			p, err = netip.PrefixFrom(ip, ip.BitLen()), nil
		}
		if err != nil || p != p.Masked() {
			return nil, fmt.Errorf("%q is no network such as 10.1.2.0/24, and no address", word)
		}
		out = append(out, p)
	}
	return out, nil
}

// hereAddress is where something listens for this machine alone, or off.
func hereAddress(example string) func(string) error {
	return func(v string) error {
		if path, unix := strings.CutPrefix(v, unixPrefix); unix && path != "" {
			return nil
		}
		if address(v) != nil {
			return fmt.Errorf("%q is no address such as %s, no unix: with a path, and not off", v, example)
		}
		return nil
	}
}
