package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"schakel/clients/desk"
	"schakel/clients/program"
	"schakel/clients/redis"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

// readiness is how long a program gets to answer after its start, on however busy a
// machine.
const readiness = time.Minute

// Prefix begins the name of every folder that a demonstration makes.
const Prefix = "schakel-demo-"

// LocalConfig is what a chain on this machine needs.
type LocalConfig struct {
	Scenario Scenario
	Program  string // path of schakel
	Relay    string // path of schakel-relay
	Parent   string // where the folder goes; default the system's temporary folder
	Redis    bool   // the relay's mailboxes are in a redis-server, not in a file
	Web      bool   // every desk that has persons opens its web desk
}

// Local is a chain of separate processes on this machine: one relay and the desks
// of a scenario, each with its own keys in its own folder.
type Local struct {
	cfg     LocalConfig
	dir     string
	address string
	redis   *redis.Server // nil without LocalConfig.Redis
	relay   *program.Program

	admission sync.Mutex // one admission at a time: the root holders have one table

	mu    sync.Mutex // guards what follows
	desks map[identity.DeskID]*local
}

// local is one desk's device.
type local struct {
	home   string
	web    string           // address of its web desk; empty: it opens none
	daemon *program.Program // nil while it is away
	client *desk.Client
}

var _ World = (*Local)(nil)

// Start makes the folder, starts the relay, holds the ceremony of the root
// holders, and lets every desk join and run. Whatever happens, Close must follow.
func Start(ctx context.Context, cfg LocalConfig) (*Local, error) {
	dir, err := os.MkdirTemp(cfg.Parent, Prefix)
	if err != nil {
		return nil, fmt.Errorf("failed to make a folder: %w", err)
	}
	l := &Local{cfg: cfg, dir: dir, desks: map[identity.DeskID]*local{}}
	if err := l.found(ctx); err != nil {
		return l, err
	}
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.SetLimit(2) // each desk's passphrase takes a second and 256 MiB on purpose
	for _, d := range cfg.Scenario.Desks {
		tasks.Go(func() error { return l.enrol(ctx, d) })
	}
	return l, tasks.Wait()
}

// Dir is the folder of everything.
func (l *Local) Dir() string { return l.dir }

// Home is the folder of a desk's device.
func (l *Local) Home(id identity.DeskID) string { return l.file("desks", string(id.Org())) }

func (l *Local) file(parts ...string) string {
	return filepath.Join(append([]string{l.dir}, parts...)...)
}

// environ keeps the settings of the person who looks on out of the demonstration.
func (l *Local) environ() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + l.dir, "SCHAKEL_CONFIG=" + l.file("client.toml"),
		"SCHAKEL_RELAY_CONFIG=" + l.file("client.toml"),
		"SCHAKEL_COOLING_OFF=0s"} // all its devices are minutes old
}

// found makes the relay and the register.
func (l *Local) found(ctx context.Context) (err error) {
	if l.cfg.Redis { // first: it is what may be missing on this machine
		if l.redis, err = redis.Start(ctx, l.file("redis")); err != nil {
			return err
		}
	}
	for path, content := range map[string]string{"client.toml": "", "passphrase": "alles hier is fictief\n", "pin": PIN + "\n"} {
		if err := os.WriteFile(l.file(path), []byte(content), 0o600); err != nil {
			return fmt.Errorf("failed to prepare: %w", err)
		}
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	l.address = address
	for _, step := range [][]string{
		{l.cfg.Relay, "init", "--data", l.file("relay"), "--listen", address, "--id", "relay-1"},
		{l.cfg.Program, "register", "init", "--dir", l.file("root"), "--relay", l.file("relay", "relay.json")},
		append([]string{l.cfg.Relay, "register", "import", "--data", l.file("relay"), l.file("root", "genesis.txt")}, l.redis.RelayFlags()...),
	} {
		if _, err := l.run(ctx, step[0], step[1:]...); err != nil {
			return err
		}
	}
	return l.serve(ctx)
}

// serve starts the relay, and waits until it listens.
func (l *Local) serve(ctx context.Context) (err error) {
	args := append([]string{"serve", "--data", l.file("relay"), "--admin", "off", "--demo"}, l.redis.RelayFlags()...)
	if l.relay, err = l.start("relay", l.cfg.Relay, args...); err != nil {
		return err
	}
	return program.Until(ctx, "that the relay listens", readiness, func() (bool, error) {
		c, err := net.DialTimeout("tcp", l.address, time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err == nil, l.relay.Ended()
	})
}

// start runs a program of the chain in the background.
func (l *Local) start(name, path string, args ...string) (*program.Program, error) {
	return program.Start(program.Config{Name: name, Path: path, Args: args, Dir: l.dir, Env: l.environ(),
		Log: l.file(strings.ReplaceAll(name, "/", "-") + ".log")})
}

// run runs one command to its end.
func (l *Local) run(ctx context.Context, path string, args ...string) (string, error) {
	return program.Run(ctx, program.Config{Path: path, Args: args, Dir: l.dir, Env: l.environ()})
}

func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("failed to find a free port: %w", err)
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

// enrol lets a desk join as a partner does: request, admission, fingerprint by
// telephone, invitation.
func (l *Local) enrol(ctx context.Context, d Desk) error {
	home := l.Home(d.ID)
	own := []string{"--home", home, "--passphrase-file", l.file("passphrase")}
	if _, err := l.run(ctx, l.cfg.Program, append(own, "init", "--org", string(d.ID.Org()), "--name", d.Name, "--oin", d.OIN,
		"--desk", string(d.ID), "--role", string(d.Role), "--region", d.Region, "--phone", d.Phone)...); err != nil {
		return err
	}
	invitation, fingerprint, err := l.admit(ctx, d)
	if err != nil {
		return err
	}
	if _, err := l.run(ctx, l.cfg.Program, append(own, "join", invitation, "--fingerprint", fingerprint)...); err != nil {
		return err
	}
	if l.cfg.Web && len(d.Persons) > 0 {
		if l.desk(d.ID).web, err = freeAddress(); err != nil {
			return err
		}
	}
	if err := l.Return(ctx, d.ID); err != nil {
		return err
	}
	for _, p := range d.Persons {
		if _, err := l.run(ctx, l.cfg.Program, "--home", home, "person", "add", "--name", p.Name, "--function", p.Function,
			"--phone", p.Phone, "--pin-file", l.file("pin")); err != nil {
			return err
		}
	}
	return nil
}

func (l *Local) admit(ctx context.Context, d Desk) (invitation, fingerprint string, err error) {
	l.admission.Lock()
	defer l.admission.Unlock()
	request := filepath.Join(l.Home(d.ID), "request.txt")
	told, err := l.run(ctx, l.cfg.Program, "register", "fingerprint", request)
	if err != nil {
		return "", "", err
	}
	invitation = filepath.Join(l.Home(d.ID), "invitation.txt")
	if _, err = l.run(ctx, l.cfg.Program, "register", "admit", "--dir", l.file("root"), "--fingerprint", told, "--out", invitation, request); err != nil {
		return "", "", err
	}
	fingerprint, err = l.run(ctx, l.cfg.Program, "register", "fingerprint", l.file("root", "genesis.txt"))
	return invitation, fingerprint, err
}

// Node implements World.
func (l *Local) Node(id identity.DeskID) (desk.Node, error) {
	d := l.desk(id)
	if d.daemon == nil {
		return nil, fmt.Errorf("%w: %s is away", ErrStory, id)
	}
	return d.client, d.daemon.Ended()
}

func (l *Local) desk(id identity.DeskID) *local {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.desks[id]
	if d == nil {
		d = &local{home: l.Home(id)}
		l.desks[id] = d
	}
	return d
}

// Leave implements World: the device's daemon ends.
func (l *Local) Leave(_ context.Context, id identity.DeskID) error {
	d := l.desk(id)
	if d.client != nil { // nil when it was cut short while it started
		_ = d.client.Close()
	}
	err := d.daemon.Stop()
	d.daemon, d.client = nil, nil
	return err
}

// Return implements World: the device's daemon starts, and answers.
func (l *Local) Return(ctx context.Context, id identity.DeskID) (err error) {
	d := l.desk(id)
	args := []string{"--home", d.home, "run"}
	if d.web != "" { // a name of its own: browsers keep no cookies apart by port
		args = append(args, "--web", d.web, "--web-names", string(id.Org())+".localhost")
	}
	d.daemon, err = l.start(string(id), l.cfg.Program, args...)
	if err != nil {
		return err
	}
	return program.Until(ctx, "that the device of "+string(id)+" answers", readiness, func() (bool, error) {
		if client, err := desk.Dial(ctx, filepath.Join(d.home, "desk.sock")); err == nil {
			d.client = client
			return true, nil
		}
		return false, d.daemon.Ended()
	})
}

// Link makes a link that lets a person of a desk in at its web desk, once, as a user with
// every role.
func (l *Local) Link(ctx context.Context, id identity.DeskID, person string) (string, error) {
	d := l.desk(id)
	if d.web == "" || d.client == nil {
		return "", fmt.Errorf("%w: %s opens no web desk", ErrStory, id)
	}
	link, err := d.client.Link(ctx, desk.LinkRequest{Person: person, Roles: desk.Roles()})
	return link.URL, err
}

// Tamper implements World: the relay finds the name of its victim in a file.
func (l *Local) Tamper(_ context.Context, id identity.DeskID) error {
	wish := l.file("wish")
	if err := os.WriteFile(wish, []byte(id), 0o600); err != nil {
		return fmt.Errorf("failed to ask the relay: %w", err)
	}
	return os.Rename(wish, l.file("relay", "demo-tamper-next")) // whole, or not there
}

// Seen returns what the relay saw: its own account of every envelope it took.
func (l *Local) Seen() ([]schakel.Seen, error) { return ReadSeen(l.dir) }

// Close ends every process and removes the folder. It says what did not end as it
// should, and removes the folder all the same.
func (l *Local) Close() error {
	var errs []error
	for id, d := range l.desks {
		if d.daemon != nil {
			errs = append(errs, l.Leave(context.Background(), id))
		}
	}
	errs = append(errs, l.relay.Stop(), l.redis.Stop())
	if !strings.HasPrefix(filepath.Base(l.dir), Prefix) {
		return errors.Join(append(errs, fmt.Errorf("will not remove %s", l.dir))...)
	}
	return errors.Join(append(errs, os.RemoveAll(l.dir))...)
}
