package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

// maxInvitation bounds an invitation file: a genesis, a relay and two entries.
const maxInvitation = 256 << 10

func (a *app) joinCommand() *cobra.Command {
	var fingerprint string
	c := &cobra.Command{
		Use: "join INVITATION", Short: "Enter the chain with the invitation of the root holders",
		Long: "Checks the invitation against the fingerprint that the root holders read out by telephone,\n" +
			"enters this device into the register and publishes its first keys. Call them on a number\n" +
			"that you had before the invitation came. Run again, it says what it kept.",
		Example: `  schakel join invitation.txt --fingerprint "12345 67890 12345 67890 12345 67890 12345 67890"`,
		Args:    arguments("INVITATION"),
		RunE:    func(c *cobra.Command, args []string) error { return a.join(c.Context(), args[0], fingerprint) },
	}
	c.Flags().StringVar(&fingerprint, "fingerprint", "", "the eight groups of five digits, as heard by telephone")
	return c
}

func (a *app) join(ctx context.Context, path, fingerprint string) error {
	invitation, err := readFile(path, maxInvitation)
	if err != nil {
		return err
	}
	if fingerprint, err = a.heard(fingerprint); err != nil {
		return err
	}
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer st.Close()
	told, err := schakel.InvitationFingerprint(invitation)
	if err != nil {
		return err
	}
	if !identity.SameFingerprint(told, fingerprint) {
		return schakel.ErrFingerprint // and never what it should have been: somebody would paste it
	}
	if _, err := schakel.New(schakel.Config{Store: st, Now: a.Now}); err == nil {
		a.sayf("kept: this device has joined already")
		return nil
	}
	if err := schakel.Join(ctx, st, invitation, fingerprint, a.Now); err != nil {
		return err
	}
	open := ""
	if st.Attended() {
		open = ", open it with `schakel unlock`"
	}
	a.sayf("joined. Start the daemon with `schakel run`%s, and look with `schakel status` and `schakel doctor`.", open)
	return nil
}

// heard asks for the fingerprint on a terminal. It is never taken from the
// invitation itself: that would compare a thing with itself.
func (a *app) heard(fingerprint string) (string, error) {
	if fingerprint != "" {
		return fingerprint, nil
	}
	in, ok := a.In.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return "", advise(usage(errors.New("--fingerprint is missing")), "telephone the root holders and type what they read out")
	}
	fmt.Fprint(a.Err, "Telephone the root holders and type the eight groups they read out: ")
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("failed to read the fingerprint: %w", err)
	}
	return strings.TrimSpace(line), nil
}

// readFile reads a file of at most limit bytes.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("failed to open: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("failed to read %s: %w", path, err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%w: %s is larger than %d bytes", errRefused, path, limit)
	}
	return b, nil
}
