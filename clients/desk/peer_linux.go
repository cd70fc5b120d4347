package desk

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// checkPeer returns nil when the process at the other end of c runs as a trusted
// user, by the kernel's word (SO_PEERCRED, unix(7)).
func checkPeer(c net.Conn, trusted func(uid int) bool) error {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return fmt.Errorf("%w: not a unix socket", ErrStranger)
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrStranger, err)
	}
	var cred *unix.Ucred
	var asked error
	if err := raw.Control(func(fd uintptr) {
		cred, asked = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil || asked != nil {
		return fmt.Errorf("%w: the kernel does not say who", ErrStranger)
	}
	if !trusted(int(cred.Uid)) {
		return fmt.Errorf("%w: user %d", ErrStranger, cred.Uid)
	}
	return nil
}

// ownsFolder reports whether the folder of a path is a user's own.
func ownsFolder(uid int, path string) bool {
	st, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return false
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	return ok && int(sys.Uid) == uid
}
