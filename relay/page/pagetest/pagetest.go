//go:build unix

// Package pagetest runs a mail server that is not ours, and makes certificates, for
// tests of pages. Import it from tests only.
package pagetest

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Authority makes certificates that only its own pool believes.
type Authority struct {
	t    testing.TB
	key  *ecdsa.PrivateKey
	Cert *x509.Certificate
	Pool *x509.CertPool
}

// NewAuthority returns an authority that nothing but its Pool believes.
func NewAuthority(t testing.TB) *Authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of this test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	a := &Authority{t: t, key: key, Pool: x509.NewCertPool()}
	a.Cert, err = x509.ParseCertificate(der)
	must(t, err)
	a.Pool.AddCert(a.Cert)
	return a
}

// Issue is a certificate for names and addresses, for an hour.
func (a *Authority) Issue(names ...string) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(a.t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.Cert, key.Public(), a.key)
	must(a.t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// eximConfig is a mail server for desk.example that wants TLS before it takes mail.
const eximConfig = `
primary_hostname = mail.desk.example
spool_directory = DIR/spool
log_file_path = DIR/log/%slog
local_interfaces = 127.0.0.1
daemon_smtp_ports = PORT
tls_advertise_hosts = *
tls_certificate = DIR/cert.pem
tls_privatekey = DIR/key.pem
acl_smtp_rcpt = rcpt
message_size_limit = 64K
rfc1413_hosts =
keep_environment =
add_environment = PATH=/usr/bin
deliver_drop_privilege = true
syslog_timestamp = false
begin acl
rcpt:
  deny message = no TLS, no mail
       !encrypted = *
  accept domains = desk.example
         local_parts = piket
  deny message = no such user
begin routers
everything:
  driver = accept
  transport = box
begin transports
box:
  driver = appendfile
  file = DIR/mail/box
  create_directory = false
  mode_fail_narrower = false
`

// Exim runs Exim in the foreground on a port and in a folder of its own.
func Exim(t testing.TB, ca *Authority) (address, box string) {
	const exim = "/usr/sbin/exim4"
	if _, err := os.Stat(exim); err != nil {
		if os.Getenv("SCHAKEL_TEST_NEED_MAIL") != "" {
			t.Fatal("a mail server is needed: apt-get install exim4-daemon-light")
		}
		t.Skip("no Exim here (apt-get install exim4-daemon-light): the channel is tested without a mail server of others")
	}
	dir, err := os.MkdirTemp("", "exim") // Exim drops its rights, and must reach what is in it
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	for _, sub := range []string{"spool", "log", "mail"} {
		must(t, os.Mkdir(filepath.Join(dir, sub), 0o777))
		must(t, os.Chmod(filepath.Join(dir, sub), 0o777))
	}
	cert := ca.Issue("127.0.0.1")
	key, err := x509.MarshalECPrivateKey(cert.PrivateKey.(*ecdsa.PrivateKey))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "cert.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: key}), 0o644))
	address = free(t)
	_, port, _ := net.SplitHostPort(address)
	config := filepath.Join(dir, "exim.conf")
	must(t, os.WriteFile(config, []byte(strings.NewReplacer("DIR", dir, "PORT", port).Replace(eximConfig)), 0o644))
	cmd := exec.Command(exim, "-C", config, "-bdf", "-q1h", "-oP", filepath.Join(dir, "log", "pid"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var said strings.Builder
	cmd.Stderr = &said
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(dir, "log", "mainlog"))
			t.Logf("exim: %s\n%s", said.String(), log)
		}
	})
	eventually(t, "exim listens", func() bool {
		c, err := net.Dial("tcp", address)
		if err != nil {
			return false
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		line, _ := bufio.NewReader(c).ReadString('\n')
		return strings.HasPrefix(line, "220")
	})
	return address, filepath.Join(dir, "mail", "box")
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatal("not within time: ", what)
		}
	}
}

// PEM is the authority's certificate, as a file holds it.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Cert.Raw})
}

func free(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
