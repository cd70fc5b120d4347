package page

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"
)

// The channels. Exec exists in local configuration only: nobody publishes what a
// program here runs.
const (
	NTFY     = "ntfy"
	SMTP     = "smtp"
	Webhook  = "webhook"
	Shoutrrr = "shoutrrr"
	Exec     = "exec"
)

// Point is one way to reach one person: an address for ntfy, an e-mail address, an
// address with #whsec_... for a webhook, a URL of shoutrrr, and for exec the opaque
// contact that the hook is told.
type Point struct{ Channel, Target string }

// ErrPoint says that a point cannot be used, and why: before anything is sent.
var ErrPoint = errors.New("not a usable contact point")

// Config is what Channels need. The zero Config has ntfy and webhooks only.
type Config struct {
	Mail *Mail  // nil: no smtp
	Hook string // absolute path of a program; empty: no exec

	// Allow lists networks that points may lie in although they are private: the
	// operator's own SMS gateway. Nothing else that is not public is ever dialled.
	Allow []netip.Prefix

	Roots *x509.CertPool // whom to believe; default those of the system
	Limit time.Duration  // one page through one channel; default ten seconds

	// Others are channels that are built elsewhere, by name, such as shoutrrr. They do
	// their own dialling, past Allow: not for points of partners.
	Others map[string]func(target string) (Notifier, error)

	Now func() time.Time // default time.Now
}

// defaultLimit keeps one dead gateway from holding up the next rung.
const defaultLimit = 10 * time.Second

// maxTarget bounds a point's target.
const maxTarget = 512

// Channels make a Notifier of a Point. They may be used from any goroutine.
type Channels struct {
	cfg  Config
	http poster
}

// New returns Channels. It refuses a configuration that no page could go out by.
func New(cfg Config) (*Channels, error) {
	if cfg.Limit <= 0 {
		cfg.Limit = defaultLimit
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Mail != nil {
		if err := cfg.Mail.check(); err != nil {
			return nil, err
		}
	}
	if err := checkHook(cfg.Hook); err != nil {
		return nil, err
	}
	return &Channels{cfg: cfg, http: newPoster(cfg)}, nil
}

// HasHook reports whether a program of this machine is to hear of every page too.
func (c *Channels) HasHook() bool { return c.cfg.Hook != "" }

// For returns the way to a point, or ErrPoint. It dials nothing.
func (c *Channels) For(p Point) (Notifier, error) {
	n, err := c.notifier(p)
	if err != nil {
		return nil, err
	}
	return limited{n, c.cfg.Limit}, nil
}

func (c *Channels) notifier(p Point) (Notifier, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	switch p.Channel {
	case NTFY:
		return ntfy{c.http, p.Target}, nil
	case Webhook:
		return newWebhook(c.http, p.Target, c.cfg.Now)
	case SMTP:
		if c.cfg.Mail == nil {
			return nil, fmt.Errorf("%w: no mail server is configured here", ErrPoint)
		}
		return smtp{c.cfg, p.Target}, nil
	case Exec:
		if c.cfg.Hook == "" {
			return nil, fmt.Errorf("%w: no hook is configured here", ErrPoint)
		}
		return hook{c.cfg.Hook, p.Target}, nil
	}
	build, ok := c.cfg.Others[p.Channel]
	if !ok {
		return nil, fmt.Errorf("%w: this pager has no channel of that kind", ErrPoint)
	}
	return build(p.Target)
}

// Check refuses a point that could not be used anywhere. It cannot say whether a
// name leads to a place that is allowed: that shows when it is dialled.
func (p Point) Check() error {
	if len(p.Target) == 0 || len(p.Target) > maxTarget || strings.ContainsFunc(p.Target, unprintable) {
		return fmt.Errorf("%w: the target of %.16q has 1 to %d printable ASCII characters and no space", ErrPoint, p.Channel, maxTarget)
	}
	switch p.Channel {
	case NTFY:
		u, err := secureURL(p.Target)
		if err == nil && strings.Trim(u.Path, "/") == "" {
			err = fmt.Errorf("%w: an ntfy address ends in a topic", ErrPoint)
		}
		return err
	case Webhook:
		_, _, err := splitWebhook(p.Target)
		return err
	case SMTP:
		return checkAddress(p.Target)
	case Shoutrrr, Exec:
		return nil
	}
	return fmt.Errorf("%w: channel %.16q; there are ntfy, smtp, webhook, shoutrrr and exec", ErrPoint, p.Channel)
}

// Independent reports whether two of the points fail separately: of two kinds, and
// at two hosts. For what is acute one way is none: its operator has a bad night too.
func Independent(points []Point) bool {
	for i, a := range points {
		for _, b := range points[i+1:] {
			if a.Channel != b.Channel && a.host() != b.host() && a.Check() == nil && b.Check() == nil {
				return true
			}
		}
	}
	return false
}

// host is whom a point depends on.
func (p Point) host() string {
	if p.Channel == SMTP {
		_, domain, _ := strings.Cut(p.Target, "@")
		return strings.ToLower(domain)
	}
	u, err := url.Parse(p.Target)
	if err != nil || u.Host == "" {
		return p.Channel + ":" + p.Target
	}
	return strings.ToLower(u.Hostname())
}

// Domain is the registered domain of whom a point depends on: whoever has one has all
// names under it. An address, or a name that is not registered, stands for itself.
func (p Point) Domain() string {
	host := strings.TrimSuffix(p.host(), ".")
	if domain, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil && net.ParseIP(host) == nil {
		return domain
	}
	return host
}

func unprintable(r rune) bool { return r <= ' ' || r > '~' }

// secureURL parses an https address. The error does not quote it.
func secureURL(target string) (*url.URL, error) {
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "" {
		return nil, fmt.Errorf("%w: the address must begin with https:// and a host", ErrPoint)
	}
	return u, nil
}

// limited gives a channel its deadline and keeps its errors to the sentinels.
type limited struct {
	Notifier
	limit time.Duration
}

func (l limited) Notify(ctx context.Context, p Page) error {
	if err := p.check(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, l.limit)
	defer cancel()
	return l.Notifier.Notify(ctx, p)
}
