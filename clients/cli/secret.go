package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/term"
)

const maxSecret = 4 << 10

// errNoSecret is wrapped when there is no file, no credential and no terminal.
var errNoSecret = errors.New("no secret given")

// secret says where one secret may come from. There is no way to give it as a
// flag or in the environment: both are open to every process of the user, and end
// in shell histories and crash reports.
type secret struct {
	what       string // for the prompt and the refusals, such as "PIN of j.jansen"
	file       string // path, "-" for standard input, or empty
	flag       string // the flag that names the file
	credential string // name of the systemd credential (systemd.exec(5)); empty: a person gives it
	twice      bool   // ask twice on a terminal: a new secret
}

// read returns the secret without its line end.
func (a *app) read(s secret) (string, error) {
	b, err := a.interruptible(func() ([]byte, error) { return a.readSecret(s) })
	if err != nil {
		return "", err
	}
	b = bytes.TrimRight(b, "\r\n")
	if len(b) == 0 {
		return "", usage(fmt.Errorf("the %s is empty", s.what))
	}
	return string(b), nil
}

// interruptible runs a read that waits for a person, and gives up when that person
// presses Ctrl-C. The read itself cannot be stopped, so it is left behind: the
// program ends next.
func (a *app) interruptible(read func() ([]byte, error)) ([]byte, error) {
	type answer struct {
		bytes []byte
		err   error
	}
	answered, restore := make(chan answer, 1), a.terminal()
	go func() {
		b, err := read()
		answered <- answer{b, err}
	}()
	select {
	case got := <-answered:
		return got.bytes, got.err
	case <-a.done:
		restore()
		return nil, errInterrupted
	}
}

// terminal returns what puts the terminal back as it is now: a prompt that is left
// behind would leave it without echo.
func (a *app) terminal() (restore func()) {
	in, ok := a.In.(*os.File)
	if !ok {
		return func() {}
	}
	state, err := term.GetState(int(in.Fd()))
	if err != nil {
		return func() {}
	}
	return func() { _ = term.Restore(int(in.Fd()), state) }
}

func (a *app) readSecret(s secret) ([]byte, error) {
	if s.file == "-" {
		return readAtMost(a.In, s.what)
	}
	if s.file != "" {
		return readSecretFile(s.file, s.what, 0o077)
	}
	if folder := a.env("CREDENTIALS_DIRECTORY"); folder != "" && s.credential != "" {
		b, err := readSecretFile(filepath.Join(folder, s.credential), s.what, 0o007)
		if !errors.Is(err, fs.ErrNotExist) {
			return b, err
		}
	}
	if in, ok := a.In.(*os.File); ok && term.IsTerminal(int(in.Fd())) {
		return a.ask(in, s)
	}
	if s.credential == "" {
		return nil, advise(usage(fmt.Errorf("%w: the %s", errNoSecret, s.what)), fmt.Sprintf("type it at a terminal, or give --%s - for standard input", s.flag))
	}
	return nil, advise(usage(fmt.Errorf("%w: the %s", errNoSecret, s.what)),
		fmt.Sprintf("give --%s FILE (or - for standard input), the systemd credential %s, or a terminal", s.flag, s.credential))
}

// readSecretFile refuses a file that others may read: then it is no secret.
func readSecretFile(path, what string, others fs.FileMode) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("failed to read the %s: %w", what, err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("failed to read the %s: %w", what, err)
	}
	if st.Mode().Perm()&others != 0 {
		return nil, advise(fmt.Errorf("%w: %s can be read by others (mode %04o)", errRefused, path, st.Mode().Perm()),
			"chmod 600 "+path+", and change the secret if others were logged in here")
	}
	return readAtMost(f, what)
}

func readAtMost(r io.Reader, what string) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxSecret+1))
	if err != nil {
		return nil, fmt.Errorf("failed to read the %s: %w", what, err)
	}
	if len(b) > maxSecret {
		return nil, usage(fmt.Errorf("the %s is longer than %d bytes", what, maxSecret))
	}
	return b, nil
}

func (a *app) ask(in *os.File, s secret) ([]byte, error) {
	first, err := a.prompt(in, s.what)
	if err != nil || !s.twice {
		return first, err
	}
	second, err := a.prompt(in, s.what+" once more")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(first, second) {
		return nil, usage(fmt.Errorf("the %s was not the same twice", s.what))
	}
	return first, nil
}

func (a *app) prompt(in *os.File, what string) ([]byte, error) {
	fmt.Fprintf(a.Err, "%s: ", what)
	b, err := term.ReadPassword(int(in.Fd()))
	fmt.Fprintln(a.Err)
	if err != nil {
		return nil, fmt.Errorf("failed to read the %s from the terminal: %w", what, err)
	}
	return b, nil
}
