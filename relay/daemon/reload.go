package daemon

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"schakel/crypto/identity"
	"schakel/relay/wire"
)

// lookAgain is how often files that may change while serving are looked at.
const lookAgain = 5 * time.Second

// certificates serves the certificate and takes over a renewed one, provided it
// is for the same key: the register pins the key, and devices would refuse another.
type certificates struct {
	app *app
	log *slog.Logger

	mu      sync.Mutex // guards what follows
	current *tls.Certificate
	changed time.Time // modification time of the file behind current
	looked  time.Time
}

func newCertificates(a *app, first *tls.Certificate, log *slog.Logger) *certificates {
	path, _ := a.certificatePaths()
	c := &certificates{app: a, log: log, current: first, looked: time.Now()}
	if stat, err := os.Stat(path); err == nil {
		c.changed = stat.ModTime()
	}
	return c
}

// get implements tls.Config.GetCertificate.
func (c *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) < lookAgain {
		return c.current, nil
	}
	c.looked = time.Now()
	path, _ := c.app.certificatePaths()
	stat, err := os.Stat(path)
	if err != nil || stat.ModTime().Equal(c.changed) {
		return c.current, nil
	}
	next, err := c.app.certificate()
	switch {
	case err != nil:
		c.log.Error("new certificate cannot be read, the old one stays", "error", err.Error())
	case c.app.unfit(next.Leaf) != "":
		c.changed = stat.ModTime()
		c.log.Error("new certificate does not do, the old one stays", "reason", c.app.unfit(next.Leaf))
	case wire.Pin(next.Leaf) != wire.Pin(c.current.Leaf):
		c.changed = stat.ModTime()
		c.log.Error("new certificate has another key than the register names, the old one stays")
	default:
		c.current, c.changed = next, stat.ModTime()
		c.log.Info("certificate renewed")
	}
	return c.current, nil
}

// unfit says why a renewed certificate is not taken over, or nothing. Devices look at
// the key alone; whatever stands between, such as an inspecting proxy, may look at this.
func (a *app) unfit(leaf *x509.Certificate) string {
	now := time.Now()
	if a.Now != nil {
		now = a.Now()
	}
	switch {
	case now.Before(leaf.NotBefore):
		return "not yet valid"
	case now.After(leaf.NotAfter):
		return "expired"
	case len(leaf.ExtKeyUsage) > 0 && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) &&
		!slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny):
		return "not for a server"
	}
	return ""
}

// suspensions are the organisations that the operator does not serve for now. It
// is an operator's brake, not a revocation: only the register tells partners whom
// to believe.
type suspensions struct {
	path string
	log  *slog.Logger

	mu     sync.Mutex // guards what follows
	list   map[identity.OrgID]struct{}
	looked time.Time
}

func newSuspensions(path string, log *slog.Logger) *suspensions {
	return &suspensions{path: path, log: log}
}

// has reports whether an organisation is suspended, by the file as it was at most
// lookAgain ago.
func (s *suspensions) has(id identity.OrgID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.looked) >= lookAgain {
		if err := s.load(); err != nil {
			s.log.Error("list of suspended organisations cannot be read, the last one stays", "error", err.Error())
		}
	}
	_, found := s.list[id]
	return found
}

func (s *suspensions) read() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.load()
}

func (s *suspensions) load() error {
	s.looked = time.Now()
	raw, err := os.ReadFile(s.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("failed to read the suspended organisations: %w", err)
	}
	list := make(map[identity.OrgID]struct{})
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		id, err := identity.ParseOrgID(line)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", errConfig, s.path, err)
		}
		list[id] = struct{}{}
	}
	s.list = list
	return nil
}
