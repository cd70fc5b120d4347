package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/spf13/cobra"

	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// pathPlans is where the socket of a running relay takes a plan away: the file that holds
// it is the relay's while it runs.
const pathPlans = "/plans/"

func (a *app) onCallCommand() *cobra.Command {
	c := &cobra.Command{Use: "oncall", Short: "The plans by which desks are called", Args: cobra.ArbitraryArgs, RunE: needsCommand}
	c.AddCommand(&cobra.Command{
		Use: "remove DESK", Short: "Take away the plan of a desk, with the contact points in it",
		Long: "Takes away the plan of a desk, with the contact points in it, while the relay runs or not. Until the\n" +
			"desk publishes another, which its devices do within a day, the operator is called for what waits for\n" +
			"it, and its senders are told. To keep it from publishing, suspend its organisation first.\n" +
			"The plan of a desk that is revoked in the register goes by itself.",
		Args: exactly("DESK"),
		RunE: func(c *cobra.Command, args []string) error { return a.removePlan(c.Context(), args[0]) },
	})
	return c
}

func (a *app) removePlan(ctx context.Context, name string) error {
	desk, err := identity.ParseDeskID(name)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	answer, err := a.askRunning(ctx, http.MethodDelete, pathPlans+string(desk))
	if answer == nil && err == nil {
		return a.removed(a.removeStill(ctx, desk))
	} else if err != nil {
		return err
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusNoContent:
		return a.removed(true, nil)
	case http.StatusNotFound:
		return a.removed(false, nil)
	}
	return fmt.Errorf("the running relay did not take the plan away: %s: try again, its store may be away", answer.Status)
}

func (a *app) removed(had bool, err error) error {
	if err == nil && !had {
		err = fmt.Errorf("%w: that desk has no plan here", errNotFound)
	}
	return err
}

// removeStill takes the plan away where no relay runs on this data folder.
func (a *app) removeStill(ctx context.Context, desk identity.DeskID) (had bool, err error) {
	if _, err := a.own(); err != nil { // "no plan here" would be believed of a folder that is another's
		return false, err
	}
	var store queue.Store
	switch {
	case a.settings["store"] == "redis":
		if store, err = a.openRedis(ctx, slog.New(slog.DiscardHandler)); err != nil {
			return false, fmt.Errorf("failed to open the mailboxes: %w%s", err, remedy(err))
		}
		defer store.Close()
	case !a.settings.exists(fileTimers):
		return false, nil
	}
	journal, closed, err := a.openTimers(store)
	if err != nil {
		return false, fmt.Errorf("failed to open the timers: %w", err)
	}
	had, err = journal.Remove(ctx, desk)
	return had, errors.Join(err, closed())
}

// plans takes plans away by the running relay.
func plans(remove func(context.Context, identity.DeskID) (bool, error), log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		desk, err := identity.ParseDeskID(r.PathValue("desk"))
		if err != nil {
			http.Error(w, "no such desk", http.StatusBadRequest)
			return
		}
		switch had, err := remove(r.Context(), desk); {
		case err != nil:
			log.Warn("a plan was not taken away", "desk", string(desk), "error", err.Error())
			http.Error(w, "the timers cannot be written now", http.StatusServiceUnavailable)
		case !had:
			http.Error(w, "no plan", http.StatusNotFound)
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	})
}
