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
	if err := desk.CheckPeer(peer, os.Getuid()); err != nil {
		t.Errorf("the owner is refused: %v", err)
	}
	err = desk.CheckPeer(peer, os.Getuid()+1)
	if os.Getuid() == 0 {
		if err != nil {
			t.Errorf("root is refused: %v", err)
		}
	} else if !errors.Is(err, desk.ErrStranger) {
		t.Errorf("a stranger is let in: %v", err)
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if err := desk.CheckPeer(a, os.Getuid()); !errors.Is(err, desk.ErrStranger) {
		t.Errorf("what is no unix socket is let in: %v", err)
	}
}
