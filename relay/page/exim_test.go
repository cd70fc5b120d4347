package page_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"schakel/relay/page"
)

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

// startExim runs Exim in the foreground on a port and in a folder of its own.
func startExim(t *testing.T, ca *authority) (address, box string) {
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
	cert := ca.issue("127.0.0.1")
	key, err := x509.MarshalECPrivateKey(cert.PrivateKey.(*ecdsa.PrivateKey))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "cert.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: key}), 0o644))
	address = closedAddress(t)
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

// A mail server that we did not write takes the page and puts it in somebody's box.
func TestRealMailServer(t *testing.T) {
	ca := newAuthority(t)
	address, box := startExim(t, ca)
	c := mailing(t, ca, address, "", 30*time.Second)
	must(t, notify(t, c, page.SMTP, "piket@desk.example", acute))
	var raw []byte
	eventually(t, "the mail is in the box", func() bool { raw, _ = os.ReadFile(box); return strings.Contains(string(raw), "Attention") })
	silent(t, "mail as it arrived", string(raw))
	_, mbox, _ := strings.Cut(string(raw), "\n")
	got, err := mail.ReadMessage(strings.NewReader(mbox))
	must(t, err)
	if s := got.Header.Get("Subject"); s != "Schakel: acuut" {
		t.Errorf("subject %q", s)
	}
	if r := got.Header.Get("Received"); !strings.Contains(r, "helo=relay.example") || !strings.Contains(strings.ToLower(r), "tls") {
		t.Errorf("received %q", r)
	}
	for _, to := range []string{"nobody@desk.example", "piket@elsewhere.example"} {
		if err := notify(t, c, page.SMTP, to, acute); page.OutcomeOf(err) != page.Refused {
			t.Errorf("%s: %v", to, err)
		}
	}
	if err := notify(t, mailing(t, newAuthority(t), address, "", 30*time.Second), page.SMTP, "piket@desk.example", acute); page.OutcomeOf(err) != page.Untrusted {
		t.Errorf("a certificate of somebody else: %v", err)
	}
	if err := notify(t, mailing(t, ca, address, page.NoTLS, 30*time.Second), page.SMTP, "piket@desk.example", acute); page.OutcomeOf(err) != page.Refused {
		t.Errorf("without TLS: %v", err)
	}
	fmt.Fprintln(t.Output(), "mail arrived:", len(raw), "bytes")
}
