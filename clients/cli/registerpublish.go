package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"schakel/clients/schakel"
	"schakel/crypto/trust"
	"schakel/relay/wire"
)

const publishTimeout = 15 * time.Second

func (a *app) registerPublishCommand() *cobra.Command {
	var f rootFlags
	c := &cobra.Command{
		Use: "publish FILE", Short: "Hand finished entries to the running relay",
		Long: "Hands each entry to the relay that the register names, over TLS with the pinned key. Entries\n" +
			"prove themselves, so anybody may hand them over; the relay refuses what the register would skip.",
		Example: `  schakel register publish --dir root revoke.txt`,
		Args:    arguments("FILE"),
		RunE:    func(c *cobra.Command, args []string) error { return a.publish(c.Context(), f, args[0]) },
	}
	c.Flags().StringVar(&f.dir, "dir", "", "folder of the root holders, which names the relay")
	return c
}

func (a *app) publish(ctx context.Context, f rootFlags, path string) error {
	_, reg, err := f.signed()
	if err != nil {
		return err
	}
	relay, ok := reg.Relay()
	if !ok {
		return fmt.Errorf("%w: the register names no relay", errUnverified)
	}
	entries, err := readEntries(path)
	if err != nil {
		return err
	}
	transport := &http.Transport{TLSClientConfig: wire.PinnedTLS(relay.TLS)}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: publishTimeout}
	for i, e := range entries {
		if err := post(ctx, client, relay.Relay, e); err != nil {
			if i > 0 {
				err = errors.Join(errPartly, err)
			}
			return fmt.Errorf("failed at entry %d of %d: %w", i+1, len(entries), err)
		}
	}
	a.sayf("published: %d entries", len(entries))
	return nil
}

func post(ctx context.Context, client *http.Client, relay trust.Relay, entry []byte) error {
	url := strings.Replace(relay.URL, "ws", "http", 1) + wire.RegisterPath
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(entry))
	if err != nil {
		return fmt.Errorf("failed to make a request: %w", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("%w: %w", schakel.ErrUnreachable, err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<10))
	switch {
	case resp.StatusCode/100 == 2:
		return nil
	case resp.StatusCode == http.StatusUnprocessableEntity:
		return advise(fmt.Errorf("%w: everybody would skip this entry", errRefused),
			"sign it anew after `schakel register export`: the register has moved on")
	}
	return fmt.Errorf("%w: it answered %s", schakel.ErrUnreachable, resp.Status)
}

func (a *app) registerExportCommand() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use: "export", Short: "Write down the whole register as this device verified it",
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error { return a.registerExport(c.Context(), out) },
	}
	c.Flags().StringVar(&out, "out", "", "where the entries go")
	return c
}

func (a *app) registerExport(ctx context.Context, out string) error {
	if out == "" {
		return usage(errors.New("--out is missing"))
	}
	return a.with(ctx, false, func(s *session) error {
		entries, err := s.RegisterEntries(ctx)
		if err != nil {
			return err
		}
		if err := writeNew(out, trust.FormatEntries("the register as one device verified it", entries), 0o644); err != nil {
			return err
		}
		a.sayf("written: %d entries", len(entries))
		return nil
	})
}
