package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"schakel/clients/desk"
	"schakel/clients/schakel"
	"schakel/clients/store"
	"schakel/clients/store/vault"
)

// credentialKey is the systemd credential with the key that unwraps the store.
const credentialKey = "schakel-store-key"

// session is a node for as long as one command takes.
type session struct {
	desk.Node
	daemon bool // it is the daemon's; otherwise the store is open in this process
	close  func()
}

// open connects to the daemon, or opens the store in this process when no daemon
// runs. With travel, a node in this process also keeps a connection to the relay
// until the session closes.
func (a *app) open(ctx context.Context, travel bool) (*session, error) {
	var client *desk.Client
	var st *store.Store
	err := whileInUse(ctx, commandPatience, func() (err error) {
		if client, err = a.dial(ctx); errors.Is(err, desk.ErrNoDaemon) {
			st, err = a.openStore(ctx)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if client != nil {
		return &session{Node: client, daemon: true, close: func() { _ = client.Close() }}, nil
	}
	node, err := a.newNode(ctx, st, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		_ = st.Close()
		return nil, err
	}
	stop := func() {}
	if travel {
		stop = inBackground(ctx, node.Run)
	}
	return &session{Node: node, close: func() { stop(); _ = st.Close() }}, nil
}

// restartPatience is how long the daemon of a light device is away when it locks.
const restartPatience = time.Second

// dial connects to the daemon. That of a light device starts over when it locks: who
// asks in that instant is told that it is locked, and not asked for the passphrase.
func (a *app) dial(ctx context.Context) (client *desk.Client, err error) {
	for deadline := time.Now().Add(restartPatience); ; {
		client, err = desk.Dial(ctx, a.settings.get("socket"))
		if !errors.Is(err, desk.ErrNoDaemon) || !vault.IsAttended(a.storeFolder()) || time.Now().After(deadline) {
			return client, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// newNode makes the node over an open store, by this device's settings.
func (a *app) newNode(ctx context.Context, st *store.Store, log *slog.Logger, channels schakel.Channels) (*schakel.Node, error) {
	config, err := a.nodeConfig(st)
	if err != nil {
		return nil, err
	}
	config.Log, config.Channels, config.DrillMonthly = log, channels, a.settings.get("drill") == "monthly"
	node, err := schakel.New(config)
	if err != nil {
		return nil, err
	}
	return node, node.Readmit(ctx)
}

// nodeConfig is what a node over an open store is, by this device's settings.
func (a *app) nodeConfig(st *store.Store) (schakel.Config, error) {
	agreement, err := a.agreement()
	if err != nil {
		return schakel.Config{}, err
	}
	also, err := a.also()
	if err != nil {
		return schakel.Config{}, err
	}
	wait := a.settings.duration("cooling-off")
	if wait == 0 {
		wait = -1
	}
	return schakel.Config{Store: st, Now: a.Now, CoolingOff: wait, Catalogue: agreement, Also: also, KeepFor: a.settings.duration("keep-for"),
		BackupWithin: a.settings.duration("backup-within")}, nil
}

// How long to wait for a store that another process has open: a command waits for
// a daemon that is just starting, a daemon for a command that is just ending.
const (
	commandPatience = 3 * time.Second
	daemonPatience  = 15 * time.Second
)

// whileInUse tries again while the store is another process's, until patience or
// ctx ends.
func whileInUse(ctx context.Context, patience time.Duration, try func() error) error {
	patient, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := try()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !errors.Is(err, store.ErrInUse) {
			return err
		}
		select {
		case <-patient.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// inBackground starts run and returns what ends it and waits for it.
func inBackground(ctx context.Context, run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = run(ctx) // what keeps it from the relay shows in the node's status
	}()
	return func() {
		cancel()
		<-done
	}
}

func (a *app) storeFolder() string { return filepath.Join(a.settings.get("home"), "store") }

// openStore opens the store with whatever way to its key is at hand.
func (a *app) openStore(ctx context.Context) (*store.Store, error) {
	if !a.hasStore() {
		return nil, advise(fmt.Errorf("%w: %s", errNoStore, a.settings.get("home")),
			"make one with `schakel init`, or name the right folder with --home")
	}
	ways, err := a.waysToKey()
	if err != nil {
		return nil, err
	}
	st, err := store.Open(ctx, a.storeFolder(), store.Unlock{Keys: ways})
	switch {
	case errors.Is(err, store.ErrInUse):
		err = advise(err, "wait until the other command ends; if a daemon runs, name its --socket")
	case errors.Is(err, vault.ErrNoWay):
		err = advise(err, "name the key with --key-file, or the file with the recovery passphrase with --passphrase-file")
	}
	return st, err
}

func (a *app) hasStore() bool {
	_, err := os.Lstat(filepath.Join(a.storeFolder(), "store.db"))
	return !errors.Is(err, fs.ErrNotExist)
}

// waysToKey are the ways to the data key, those without a person first.
func (a *app) waysToKey() ([]vault.Way, error) {
	if vault.IsAttended(a.storeFolder()) {
		phrase, err := a.officersPhrase(false)
		return []vault.Way{vault.Attended{Phrase: phrase}}, err
	}
	ways := []vault.Way{vault.KeyFile{Path: a.settings.get("key-file")}}
	if folder := a.env("CREDENTIALS_DIRECTORY"); folder != "" {
		ways = append([]vault.Way{vault.Credential{Folder: folder, Name: credentialKey}}, ways...)
	}
	if a.settings.get("passphrase-file") == "" {
		return ways, nil
	}
	phrase, err := a.read(a.passphrase())
	return append(ways, vault.Passphrase{Phrase: phrase}), err
}

func (a *app) passphrase() secret {
	return secret{what: "recovery passphrase of the store", file: a.settings.get("passphrase-file"),
		flag: "passphrase-file", credential: "schakel-passphrase", twice: true}
}

// officersPhrase is what opens a light device: a person gives it, every time. A file with
// it would open the device for whoever takes both.
func (a *app) officersPhrase(fresh bool) (string, error) {
	if a.phrase != "" {
		return a.phrase, nil
	}
	file := a.settings.get("passphrase-file")
	if file != "" && file != "-" {
		return "", advise(fmt.Errorf("%w: the passphrase of a light device is kept nowhere", vault.ErrAttended), "leave out --passphrase-file, and type it")
	}
	var err error
	a.phrase, err = a.read(secret{what: "passphrase of this light device", file: file, flag: "passphrase-file", twice: fresh})
	return a.phrase, err
}

// with runs f over a session and closes it.
func (a *app) with(ctx context.Context, travel bool, f func(*session) error) error {
	s, err := a.open(ctx, travel)
	if err != nil {
		return err
	}
	defer s.close()
	return f(s)
}
