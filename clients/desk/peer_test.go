//go:build linux

package desk_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"schakel/clients/desk"
)

// TestPeer asks the kernel about a connection of this process to itself.
func TestPeer(t *testing.T) {
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("unix", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	peer, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	self := func(uid int) bool { return uid == os.Getuid() }
	if err := desk.CheckPeer(peer, self); err != nil {
		t.Errorf("the owner is refused: %v", err)
	}
	if err := desk.CheckPeer(peer, func(uid int) bool { return !self(uid) }); !errors.Is(err, desk.ErrStranger) {
		t.Errorf("a stranger is let in: %v", err)
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if err := desk.CheckPeer(a, self); !errors.Is(err, desk.ErrStranger) {
		t.Errorf("what is no unix socket is let in: %v", err)
	}
}
