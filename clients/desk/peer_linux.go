package desk

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// checkPeer returns nil when the process at the other end of c runs as owner or
// as root, by the kernel's word (SO_PEERCRED, unix(7)).
func checkPeer(c net.Conn, owner int) error {
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
	if int(cred.Uid) != owner && cred.Uid != 0 {
		return fmt.Errorf("%w: user %d", ErrStranger, cred.Uid)
	}
	return nil
}
