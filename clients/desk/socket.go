package desk

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// maxSocketPath is what sun_path holds on Linux, its final zero byte not counted.
const maxSocketPath = 107

// ErrOtherDaemon says that a daemon of this device runs already.
var ErrOtherDaemon = errors.New("another daemon answers there, or begins to: end that one first")

// ErrStranger is wrapped when the other end of a connection is another user.
var ErrStranger = errors.New("another user asks")

// Listen makes the socket at path, in a folder that only its owner may enter.
// A socket that nobody answers is what a killed daemon left, and is replaced. Of two that
// start in the same instant one gets ErrOtherDaemon: a locked light device holds no
// store whose lock would part them.
func Listen(path string) (_ net.Listener, err error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("socket path of %d bytes, at most %d: set `socket` to a shorter one", len(path), maxSocketPath)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("failed to make the socket's folder: %w", err)
	}
	if err := checkFolder(filepath.Dir(path)); err != nil {
		return nil, err
	}
	mine, err := claim(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = mine.Close()
		}
	}()
	if err := removeStale(path); err != nil {
		return nil, err
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("failed to make the socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = ln.Close()
		return nil, fmt.Errorf("failed to close the socket to others: %w", err)
	}
	return &ownersOnly{ln, mine}, nil
}

// checkFolder refuses a folder in which another user could put a socket of his own
// in the place of ours, and be told a PIN.
func checkFolder(path string) error {
	st, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("failed to look at the socket's folder: %w", err)
	}
	if st.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s: others may write there (mode %04o): set `socket` to a path in a folder of your own", path, st.Mode().Perm())
	}
	return nil
}

func removeStale(path string) error {
	st, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("failed to look at the socket: %w", err)
	}
	if st.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("%s is in the way: it is no socket", path)
	}
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		_ = c.Close()
		return fmt.Errorf("%s: %w", path, ErrOtherDaemon)
	}
	return os.Remove(path)
}

// ownersOnly refuses every connection of another user than this process's own and
// root. The mode of the socket says so too; this holds where a copy of the path,
// a bind mount or a mistaken chmod does not.
type ownersOnly struct {
	net.Listener
	claim *os.File
}

// Close gives the place up once the socket is gone.
func (l *ownersOnly) Close() error {
	err := l.Listener.Close()
	_ = l.claim.Close()
	return err
}

func (l *ownersOnly) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if checkPeer(c, ownUser) == nil {
			return c, nil
		}
		_ = c.Close()
	}
}

// ownUser accepts this process's own user, and root.
func ownUser(uid int) bool { return uid == os.Getuid() || uid == 0 }

// dial connects to the daemon, and says ErrNoDaemon where none answers. The client
// asks the kernel as well: what answers is about to be told PINs and messages. Root
// also speaks to the daemon of whoever owns the socket's folder.
func dial(ctx context.Context, path string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoDaemon, err)
	}
	trusted := func(uid int) bool { return ownUser(uid) || os.Getuid() == 0 && ownsFolder(uid, path) }
	if err := checkPeer(c, trusted); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}
