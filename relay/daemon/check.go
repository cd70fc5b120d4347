package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"schakel/relay/queue"
	"schakel/relay/queue/boltqueue"
	"schakel/relay/register"
)

// finding is the result of one check.
type finding struct {
	name, result, remedy string
	ok                   bool
}

func (a *app) checkCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use: "check", Short: "Check configuration, keys, register, mailboxes and disk, running or not",
		Long: "Checks this relay. With --format nagios it prints one line, and the exit code is 0 for OK and 2\n" +
			"for CRITICAL, as monitoring expects.",
		Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := oneOf("text", "nagios")(format); err != nil {
				return fmt.Errorf("%w: --format: %w", errUsage, err)
			}
			return a.check(c.Context(), format == "nagios")
		},
	}
	c.Flags().StringVar(&format, "format", "text", "text or nagios")
	return c
}

var errUnhealthy = errors.New("not healthy")

func (a *app) check(ctx context.Context, nagios bool) error {
	var bad []string
	for _, f := range a.findings(ctx) {
		mark := "ok  "
		if !f.ok {
			mark = "FAIL"
			bad = append(bad, f.name+": "+f.result)
		}
		if !nagios {
			fmt.Fprintf(a.Out, "%s  %-12s %s\n", mark, f.name, f.result)
			if !f.ok && f.remedy != "" {
				fmt.Fprintf(a.Out, "      %-12s -> %s\n", "", f.remedy)
			}
		}
	}
	switch {
	case nagios && len(bad) == 0:
		fmt.Fprintln(a.Out, "SCHAKEL-RELAY OK")
	case nagios:
		fmt.Fprintln(a.Out, "SCHAKEL-RELAY CRITICAL: "+strings.Join(bad, "; "))
		return errCritical
	case len(bad) > 0:
		return fmt.Errorf("%w: %d checks failed", errUnhealthy, len(bad))
	}
	return nil
}

func (a *app) findings(ctx context.Context) []finding {
	own, err := a.own()
	list := []finding{result("keys", err, "relay "+own.file.ID, "schakel-relay init makes what is missing")}
	if err != nil {
		return list
	}
	list = append(list, a.checkRegister(own))
	if a.settings["store"] == "redis" {
		list = append(list, a.checkShared(ctx))
	}
	list = append(list, a.checkDisk(), a.checkBlobs(ctx))
	list = append(list, a.checkPaging())
	running, serving := a.checkServing(ctx)
	list = append(list, serving)
	if !running {
		list = append(list, a.checkMailboxes(ctx))
	}
	return list
}

func result(name string, err error, good, remedy string) finding {
	if err != nil {
		return finding{name: name, result: err.Error(), remedy: remedy}
	}
	return finding{name: name, result: good, ok: true}
}

func (a *app) checkRegister(own ownKeys) finding {
	size := uint64(0)
	err := a.withLog(func(log *register.Log) error {
		size = log.Size()
		return fits(log.Register(), own)
	})
	return result("register", err, fmt.Sprintf("%d entries, names this relay", size), "")
}

// checkShared compares the register's file with what the relays of one Redis share.
// A file that is shorter while this relay does not run is nothing: it takes over
// what it lacks when it starts.
func (a *app) checkShared(ctx context.Context) finding {
	good := ""
	store, err := a.openRedis(ctx, slog.New(slog.DiscardHandler))
	if err == nil {
		err = a.withLog(func(log *register.Log) error {
			order, _ := store.(register.Order)
			good, err = compared(ctx, log, order)
			return err
		})
		err = errors.Join(err, store.Close())
	}
	return result("relays", err, good, "see docs/operations.md, Several relays")
}

func compared(ctx context.Context, log *register.Log, order register.Order) (string, error) {
	shared, err := order.Rows(ctx, log.Size())
	if err != nil {
		return "", err
	}
	if !log.Agrees(shared) {
		return "", register.ErrFork
	}
	return fmt.Sprintf("%d entries here, %d shared with the other relays", log.Size(), shared.End), nil
}

func (a *app) checkDisk() finding {
	var s syscall.Statfs_t
	err := syscall.Statfs(a.settings["data"], &s)
	free := int64(s.Bavail) * int64(s.Bsize) //nolint:unconvert // differs by platform
	if least := a.settings.size("min-free"); err == nil && free < 2*least {
		err = fmt.Errorf("%d MiB free; below %d MiB envelopes are refused", free>>20, least>>20)
	}
	return result("disk", err, fmt.Sprintf("%d MiB free", free>>20), "make room on the disk of "+a.settings["data"])
}

// checkServing asks the running relay, if one answers.
func (a *app) checkServing(ctx context.Context) (running bool, f finding) {
	const name = "serving"
	if a.settings["admin"] == "off" {
		return false, finding{name: name, result: "not asked: admin is off", ok: true}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a.settings["admin"]+"/readyz", nil)
	if err != nil {
		return false, result(name, err, "", "")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, finding{name: name, result: "no relay answers at " + a.settings["admin"], ok: false, remedy: "start it: schakel-relay serve"}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
		return true, finding{name: name, result: "running and " + strings.TrimSpace(string(said)), remedy: "it is starting or draining, or paging is silent; see its log"}
	}
	return true, finding{name: name, result: "ready", ok: true}
}

// checkQueue opens the mailboxes of a relay that does not run.
func (a *app) checkQueue() finding {
	path := a.settings.path(fileQueue)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return finding{name: "mailboxes", result: "none yet", ok: true}
	}
	store, err := boltqueue.Open(boltqueue.Config{Path: path, MinFree: 1})
	if errors.Is(err, queue.ErrInUse) {
		return finding{name: "mailboxes", result: "in use by a running relay", ok: true}
	}
	if err == nil {
		err = store.Close()
	}
	return result("mailboxes", err, "open and sound", strings.TrimPrefix(remedy(err), ": "))
}
