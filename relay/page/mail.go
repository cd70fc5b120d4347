package page

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/textproto"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail"
)

// How a mail server is spoken to.
const (
	StartTLS = "starttls" // required; a server that does not offer it is refused
	TLS      = "tls"      // from the first byte
	NoTLS    = "none"     // for a server on this machine only
)

// Mail is the mail server of whoever pages. Partners name recipients, never servers.
type Mail struct {
	Server       string // host:port
	Security     string // StartTLS, TLS or NoTLS; default StartTLS
	From         string // address; its domain is also what the server is greeted with
	User         string // empty: no login
	PasswordFile string // read at each page, so that it can be changed meanwhile
}

func (m *Mail) check() error {
	host, port, err := net.SplitHostPort(m.Server)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n == 0 || host == "" {
		return fmt.Errorf("%w: the mail server is host:port, such as mail.example:587", ErrPoint)
	}
	switch m.Security {
	case "":
		m.Security = StartTLS
	case StartTLS, TLS:
	case NoTLS:
		if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
			return fmt.Errorf("%w: without TLS only a mail server on this machine is spoken to", ErrPoint)
		}
	default:
		return fmt.Errorf("%w: mail security is starttls, tls or none", ErrPoint)
	}
	if err := checkAddress(m.From); err != nil {
		return fmt.Errorf("%w: sender of mail", err)
	}
	if (m.User == "") != (m.PasswordFile == "") {
		return fmt.Errorf("%w: a mail user has a password file, and the other way round", ErrPoint)
	}
	return nil
}

// checkAddress takes the plain form of an address only: what a header or a command
// of SMTP could read differently is not an address of anybody on call.
func checkAddress(a string) error {
	local, domain, ok := strings.Cut(a, "@")
	if !ok || len(a) > 254 || len(local) > 64 || !words(local, "!#$%&'*+/=?^_`{|}~-") || !words(domain, "-") || strings.HasPrefix(local, "-") {
		return fmt.Errorf("%w: an e-mail address is name@domain, in plain characters", ErrPoint)
	}
	return nil
}

// words reports whether s is letters, digits and others, in parts between dots.
func words(s, others string) bool {
	for part := range strings.SplitSeq(s, ".") {
		if part == "" || strings.ContainsFunc(part, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(others, r)
		}) {
			return false
		}
	}
	return true
}

// smtp mails the page to one address.
type smtp struct {
	cfg Config
	to  string
}

var _ Notifier = smtp{}

// Notify delivers the page to the mail server.
func (s smtp) Notify(ctx context.Context, p Page) error {
	m, err := s.message(p)
	if err != nil {
		return ErrPage
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	err = c.DialAndSendWithContext(ctx, m)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return reason(ctx.Err())
	}
	return mailReason(err)
}

// message builds a mail whose every header is chosen here: left to itself a library
// names itself, this machine and its time zone.
func (s smtp) message(p Page) (*mail.Msg, error) {
	m := mail.NewMsg(mail.WithNoDefaultUserAgent(), mail.WithEncoding(mail.NoEncoding), mail.WithCharset(mail.CharsetASCII))
	if err := m.From(s.cfg.Mail.From); err != nil {
		return nil, err
	}
	if err := m.To(s.to); err != nil {
		return nil, err
	}
	var id [16]byte
	rand.Read(id[:])
	m.Subject(p.title())
	m.SetMessageIDWithValue(hex.EncodeToString(id[:]) + "@" + s.domain())
	m.SetDateWithValue(s.cfg.Now().UTC().Truncate(time.Second))
	m.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no holiday reply answers
	m.SetBodyString(mail.TypeTextPlain, p.text())
	return m, nil
}

func (s smtp) domain() string {
	_, domain, _ := strings.Cut(s.cfg.Mail.From, "@")
	return domain
}

func (s smtp) client() (*mail.Client, error) {
	host, port, _ := net.SplitHostPort(s.cfg.Mail.Server)
	number, _ := strconv.Atoi(port)
	options := []mail.Option{
		mail.WithPort(number), mail.WithHELO(s.domain()), mail.WithTimeout(s.cfg.Limit), mail.WithoutNoop(), mail.WithoutSMTPUTF8(),
		mail.WithTLSConfig(&tls.Config{ServerName: host, RootCAs: s.cfg.Roots, MinVersion: tls.VersionTLS12}),
		mail.WithDialContextFunc(dialUntil),
	}
	switch s.cfg.Mail.Security {
	case TLS:
		options = append(options, mail.WithDialContextFunc(s.dialTLS(host)))
		fallthrough
	case NoTLS:
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	default:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	}
	if s.cfg.Mail.User != "" {
		password, err := os.ReadFile(s.cfg.Mail.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("%w: the password file of the mail server cannot be read", ErrPoint)
		}
		auth := mail.SMTPAuthPlain
		if s.cfg.Mail.Security != StartTLS {
			auth = mail.SMTPAuthPlainNoEnc // the dialer is TLS already, or the server is on this machine
		}
		options = append(options, mail.WithSMTPAuth(auth), mail.WithUsername(s.cfg.Mail.User),
			mail.WithPassword(strings.TrimRight(string(password), "\r\n")))
	}
	c, err := mail.NewClient(host, options...)
	if err != nil {
		return nil, fmt.Errorf("%w: mail server", ErrPoint)
	}
	return c, nil
}

// dialUntil dials a connection that ends with ctx, whatever happens on it: the library
// moves its deadline at every step, so a server that drips would be waited for.
func dialUntil(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return until(ctx, conn), nil
}

func (s smtp) dialTLS(host string) mail.DialContextFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		d := tls.Dialer{Config: &tls.Config{ServerName: host, RootCAs: s.cfg.Roots, MinVersion: tls.VersionTLS12}}
		conn, err := d.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return until(ctx, conn), nil
	}
}

// lasting is a connection whose deadline nobody moves.
type lasting struct{ net.Conn }

func until(ctx context.Context, conn net.Conn) net.Conn {
	if end, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(end)
	}
	return lasting{conn}
}

func (lasting) SetDeadline(time.Time) error      { return nil }
func (lasting) SetReadDeadline(time.Time) error  { return nil }
func (lasting) SetWriteDeadline(time.Time) error { return nil }

// mailReason judges by the code of the server: 4yz may pass, 5yz will not (RFC 5321,
// 4.2.1). What it says beside the code quotes addresses, and stays here.
func mailReason(err error) error {
	code := 0
	if refused := new(mail.SendError); errors.As(err, &refused) {
		code = refused.ErrorCode()
	}
	if said := new(textproto.Error); errors.As(err, &said) {
		code = said.Code
	}
	switch {
	case code >= 500:
		return ErrRefused
	case code >= 400:
		return ErrBusy
	case strings.Contains(err.Error(), "STARTTLS"):
		return ErrUntrusted // the server offers none
	}
	return reason(err)
}
