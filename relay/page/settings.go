package page

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"os"
	"strings"
)

// The settings of a pager, as both programs name them.
const (
	SettingHook         = "oncall-hook"
	SettingAllow        = "oncall-allow"
	SettingCA           = "oncall-ca"
	SettingMailServer   = "mail-server"
	SettingMailSecurity = "mail-security"
	SettingMailFrom     = "mail-from"
	SettingMailUser     = "mail-user"
	SettingMailPassword = "mail-password-file"
)

// Setting is one of them with what it is for.
type Setting struct{ Name, Fallback, Help string }

// Settings are those of a pager, in the order in which people read them.
func Settings() []Setting {
	return []Setting{
		{SettingMailServer, "", "mail server that pages go out by, such as mail.example:587; empty: none"},
		{SettingMailSecurity, StartTLS, "how it is spoken to: starttls, tls, or none on this machine only"},
		{SettingMailFrom, "", "address that pages come from; the server is greeted with its domain"},
		{SettingMailUser, "", "user at the mail server; empty: no login"},
		{SettingMailPassword, "", "file with the user's password, read at each page"},
		{SettingHook, "", "program of this machine that hears of every page, by its absolute path; empty: none"},
		{SettingAllow, "", "private networks that contact points may lie in, such as 10.1.2.0/24, with spaces between; empty: none"},
		{SettingCA, "", "certificates in PEM that contact points and the mail server are believed by; empty: those of the system"},
	}
}

// maxCA bounds a file of certificates.
const maxCA = 1 << 20

// Read makes a Config of settings. It refuses what no page could go out by.
func Read(get func(name string) string) (Config, error) {
	c := Config{Hook: get(SettingHook)}
	if server := get(SettingMailServer); server != "" {
		c.Mail = &Mail{Server: server, Security: get(SettingMailSecurity), From: get(SettingMailFrom), User: get(SettingMailUser), PasswordFile: get(SettingMailPassword)}
	}
	for network := range strings.FieldsSeq(get(SettingAllow)) {
		p, err := netip.ParsePrefix(network)
		if err != nil || p != p.Masked() {
			return c, fmt.Errorf("%w: %s: %.60q is no network such as 10.1.2.0/24", ErrPoint, SettingAllow, network)
		}
		c.Allow = append(c.Allow, p)
	}
	if path := get(SettingCA); path != "" {
		pem, err := os.ReadFile(path)
		if err != nil {
			return c, fmt.Errorf("%w: %s: %w", ErrPoint, SettingCA, err)
		}
		c.Roots = x509.NewCertPool()
		if len(pem) > maxCA || !c.Roots.AppendCertsFromPEM(pem) {
			return c, fmt.Errorf("%w: %s: no certificates in PEM", ErrPoint, SettingCA)
		}
	}
	return c, nil
}

// ParsePoint reads a point as an operator writes it: channel and target with = between,
// such as ntfy=https://ntfy.example/topic.
func ParsePoint(s string) (Point, error) {
	channel, target, ok := strings.Cut(s, "=")
	p := Point{Channel: channel, Target: target}
	if !ok {
		return p, fmt.Errorf("%w: write channel=target, such as smtp=piket@relay.example", ErrPoint)
	}
	return p, p.Check()
}
