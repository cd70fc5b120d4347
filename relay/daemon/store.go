package daemon

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"schakel/relay/queue"
	"schakel/relay/queue/boltqueue"
	"schakel/relay/queue/redisqueue"
)

// openStore opens the mailboxes where the settings say that they are.
func (a *app) openStore(ctx context.Context, log *slog.Logger) (queue.Store, error) {
	if a.settings["store"] == "redis" {
		return a.openRedis(ctx, log)
	}
	store, err := boltqueue.Open(boltqueue.Config{
		Path: a.settings.path(fileQueue), Quota: a.quota(), MinFree: uint64(a.settings.size("min-free")), Log: log,
	})
	if err != nil {
		return nil, err // a nil *boltqueue.Store would not be a nil queue.Store
	}
	return store, nil
}

func (a *app) openRedis(ctx context.Context, log *slog.Logger) (queue.Store, error) {
	if a.settings["redis-password-file"] == "" {
		return nil, fmt.Errorf("%w: store is redis and redis-password-file is not set", errConfig)
	}
	c := redisqueue.Config{
		Address: a.settings["redis-address"], Master: a.settings["redis-master"], Cluster: a.settings["redis-cluster"] == "yes",
		Replicas: a.settings.count("redis-replicas"), User: a.settings["redis-user"], Password: passwordIn(a.settings["redis-password-file"]),
		Quota: a.quota(), Volatile: a.settings["allow-volatile"] == "yes", Log: log,
	}
	if file := a.settings["redis-admin-password-file"]; file != "" {
		c.Admin = redisqueue.Login{User: "schakel-admin", Password: passwordIn(file)}
	}
	if file := a.settings["redis-ca"]; file != "" {
		pem, err := os.ReadFile(file)
		roots := x509.NewCertPool()
		if err != nil || !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%w: redis-ca: no certificates in %s", errConfig, file)
		}
		c.TLS = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots} // Debian's Redis 7.0 may be set to either
	}
	store, err := redisqueue.Open(ctx, c)
	if err != nil {
		return nil, err
	}
	return store, nil
}

// checkMailboxes opens the mailboxes of a relay that does not run.
func (a *app) checkMailboxes(ctx context.Context) finding {
	if a.settings["store"] != "redis" {
		return a.checkQueue()
	}
	good := "redis is set up to keep its promises"
	if n := a.settings.count("redis-replicas"); n > 0 {
		good += fmt.Sprintf(", and %d of its replicas to have everything before it is acknowledged", n)
	}
	if a.settings["allow-volatile"] == "yes" {
		good = "VOLATILE: allow-volatile is set, receipts promise nothing"
	}
	store, err := a.openRedis(ctx, slog.New(slog.DiscardHandler))
	if err == nil {
		err = store.Close()
	}
	return result("mailboxes", err, good, "see docs/operations.md, Redis")
}

// redisCommand is for operators who do not let the relay load functions.
func (a *app) redisCommand() *cobra.Command {
	c := &cobra.Command{Use: "redis", Short: "What an operator of Redis needs", Args: cobra.ArbitraryArgs, RunE: needsCommand}
	c.AddCommand(&cobra.Command{
		Use: "functions", Short: "Print the functions of this version, for FUNCTION LOAD",
		Long: "Prints the functions of this version. Load them before its first start:\n" +
			"schakel-relay redis functions | redis-cli --user schakel-admin --askpass -x FUNCTION LOAD REPLACE",
		Args: exactly(),
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprint(a.Out, redisqueue.Functions())
			return err
		},
	})
	return c
}

// passwordIn reads a file at each connection, so that a password can be changed
// while the relay runs.
func passwordIn(file string) func() (string, error) {
	return func() (string, error) {
		b, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("failed to read the password: %w", err)
		}
		return strings.TrimRight(string(b), "\r\n"), nil
	}
}
