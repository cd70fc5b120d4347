//go:build linux

package system_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"schakel/crypto/identity"
)

// enrolment is the ceremony by the command line, once for all tests of a run.
type enrolment struct {
	dir string
	programs
	address string
}

func enrol() (address string, err error) {
	e := enrolment{dir: filepath.Join(workshop, "template")}
	if known, err := os.ReadFile(e.file("address")); err == nil { // made by who started this process
		return string(known), nil
	}
	// Passphrases are slow on purpose, and too slow for the race detector.
	if e.programs, err = plain(); err != nil {
		return "", err
	}
	if e.address, err = freeAddress(); err != nil {
		return "", err
	}
	if err := os.MkdirAll(e.dir, 0o700); err != nil {
		return "", err
	}
	for name, content := range map[string]string{"passphrase": "alles hier is fictief\n", "pin": pin + "\n"} {
		if err := os.WriteFile(e.file(name), []byte(content), 0o600); err != nil {
			return "", err
		}
	}
	if err := e.found(); err != nil {
		return "", err
	}
	for _, m := range members {
		if err := e.admit(m.desk, m.role, m.oin); err != nil {
			return "", err
		}
	}
	if err := e.join(); err != nil {
		return "", err
	}
	return e.address, os.WriteFile(e.file("address"), []byte(e.address), 0o600)
}

// freeAddress finds a port below those that Linux gives to connections (32768 and
// up, unless told otherwise): a relay that is killed and started again must not find
// that some connection of this machine has got its port meanwhile.
func freeAddress() (string, error) {
	var err error
	for range 100 {
		var ln net.Listener
		ln, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 15000+rand.IntN(15000)))
		if err == nil {
			return ln.Addr().String(), ln.Close()
		}
	}
	return "", err
}

func (e enrolment) file(parts ...string) string {
	return filepath.Join(append([]string{e.dir}, parts...)...)
}

func (e enrolment) run(program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, errs, code := command(ctx, program, args...)
	if code != 0 {
		return "", fmt.Errorf("%s %s: exit code %d: %s", filepath.Base(program), strings.Join(args, " "), code, errs)
	}
	return out, nil
}

// found makes the relay and the register's beginning.
func (e enrolment) found() error {
	for _, step := range [][]string{
		{e.relay, "init", "--data", e.file("relay"), "--listen", e.address, "--id", "relay-1"},
		{e.schakel, "register", "init", "--dir", e.file("root"), "--relay", e.file("relay", "relay.json")},
		{e.relay, "register", "import", "--data", e.file("relay"), e.file("root", "genesis.txt")},
	} {
		if _, err := e.run(step[0], step[1:]...); err != nil {
			return err
		}
	}
	return nil
}

// admit has a desk ask for admission and the root holders grant it.
func (e enrolment) admit(id identity.DeskID, role identity.Role, oin string) error {
	home := e.file("desks", string(id.Org()))
	request, invitation := filepath.Join(home, "request.txt"), filepath.Join(home, "invitation.txt")
	if _, err := e.run(e.schakel, "--home", home, "--passphrase-file", e.file("passphrase"), "init", "--org", string(id.Org()),
		"--name", "Fictief "+string(role), "--oin", oin, "--desk", string(id), "--role", string(role), "--region", "XA",
		"--phone", "+31600000001"); err != nil {
		return err
	}
	told, err := e.run(e.schakel, "register", "fingerprint", request)
	if err != nil {
		return err
	}
	_, err = e.run(e.schakel, "register", "admit", "--dir", e.file("root"), "--fingerprint", told, "--out", invitation, request)
	return err
}

// join lets every desk in; the relay runs meanwhile.
func (e enrolment) join() error {
	fingerprint, err := e.run(e.schakel, "register", "fingerprint", e.file("root", "genesis.txt"))
	if err != nil {
		return err
	}
	var p process
	if err := p.launch(e.file("relay.log"), e.relay, "serve", "--data", e.file("relay"), "--admin", "off"); err != nil {
		return err
	}
	defer p.kill()
	if !within(patience, 10*time.Millisecond, func() bool {
		conn, err := net.DialTimeout("tcp", e.address, time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil || p.ended() != nil
	}) || p.ended() != nil {
		return fmt.Errorf("the relay does not listen: %w", p.ended())
	}
	for _, m := range members {
		home := e.file("desks", string(m.desk.Org()))
		if _, err := e.run(e.schakel, "--home", home, "join", filepath.Join(home, "invitation.txt"), "--fingerprint", fingerprint); err != nil {
			return err
		}
	}
	if _, err := e.run(e.schakel, "--home", e.file("desks", string(safe.Org())), "person", "add", "--name", officer,
		"--function", "piketdienst", "--phone", "+31600000007", "--pin-file", e.file("pin")); err != nil {
		return err
	}
	return p.stop()
}
