package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"schakel/relay"
	"schakel/relay/queue"
	"schakel/relay/queue/boltqueue"
	"schakel/relay/register"
)

// A running relay holds its files. It hands out copies of them, each of one moment, and
// takes plans away, on a socket in the data folder: who may open that may read and change
// the files as well, and nobody else may learn from them who writes to whom.
const fileCopies = "copies.sock"

// slowest is how long one write of a copy may wait for its reader. While a copy is
// being made, the file grows instead of using its pages again.
const slowest = 10 * time.Second

// serveOperator serves the operator until stop is called. A relay that cannot is a relay
// still: it says so, and is copied while it stands still.
func (a *app) serveOperator(r *relay.Relay, registered *register.Log, store queue.Store, log *slog.Logger) (stop func()) {
	path := a.settings.path(fileCopies)
	_ = os.Remove(path) // of a killed relay: this one has the register's lock
	listener, err := net.Listen("unix", path)
	if err == nil {
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		log.Warn("no backup can be made, and no plan taken away, while the relay runs", "error", err.Error())
		return func() {}
	}
	routes := http.NewServeMux()
	routes.Handle("GET /"+fileRegister, copies(log, func(_ context.Context, w io.Writer) error { return registered.Copy(w) }))
	if embedded, ok := store.(*boltqueue.Store); ok {
		routes.Handle("GET /"+fileQueue, copies(log, embedded.Copy))
	}
	routes.Handle("DELETE "+pathPlans+"{desk...}", plans(r.RemovePlan, log))
	server := &http.Server{Handler: routes, ReadTimeout: slowest}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) }) // ends by Close, and only by that
	return func() {
		_ = server.Close()
		serving.Wait()
	}
}

// copies answers with a copy, one reader at a time.
func copies(log *slog.Logger, write func(context.Context, io.Writer) error) http.Handler {
	var one sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !one.TryLock() {
			http.Error(w, "another copy is being made", http.StatusConflict)
			return
		}
		defer one.Unlock()
		if err := write(r.Context(), patient{w, http.NewResponseController(w)}); err != nil {
			log.Warn("copy was not finished", "error", err.Error())
			panic(http.ErrAbortHandler) // the reader must not take what it has for all
		}
	})
}

// patient gives every write its own deadline.
type patient struct {
	io.Writer
	control *http.ResponseController
}

func (p patient) Write(b []byte) (int, error) {
	if err := p.control.SetWriteDeadline(time.Now().Add(slowest)); err != nil {
		return 0, err
	}
	return p.Writer.Write(b)
}

// askRunning asks the running relay. The answer is nil when none runs.
func (a *app) askRunning(ctx context.Context, method, path string) (*http.Response, error) {
	dialer := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", a.settings.path(fileCopies))
	}
	client := &http.Client{Transport: &http.Transport{DialContext: dialer, DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(ctx, method, "http://relay"+path, nil)
	if err != nil {
		return nil, err
	}
	answer, err := client.Do(request)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("failed to ask the running relay: %w", err)
	}
	return answer, nil
}

// fetchCopy has the running relay write a copy of one of its files. It reports
// false when no relay runs.
func (a *app) fetchCopy(ctx context.Context, name string, w io.Writer) (running bool, err error) {
	answer, err := a.askRunning(ctx, http.MethodGet, "/"+name)
	if answer == nil {
		return err != nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return true, fmt.Errorf("%w: the running relay gives no copy of %s now: %s", errLocked, name, answer.Status)
	}
	if _, err := io.Copy(w, answer.Body); err != nil {
		return true, fmt.Errorf("failed to copy %s from the running relay: %w", name, err)
	}
	return true, nil
}
