package schakel

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"schakel/clients/store"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/relay/lanes"
	"schakel/relay/wire"
)

// settingGenesis holds the fingerprint that was compared by telephone on joining.
const settingGenesis = "genesis-fingerprint"

// directory is the register as this node last verified it. It never changes: a new
// checkpoint makes a new one.
type directory struct {
	*trust.Register
	pinned trust.Pinned
	relay  trust.RelayState
	seen   []sighting // of its sizes, oldest first
	// vouched is when the quorum of the root's witnesses saw what is pinned; zero where
	// the root names none.
	vouched time.Time
}

// loadDirectory replays the stored register. The entries prove themselves against
// the pinned root, and the genesis against the fingerprint a person compared.
func loadDirectory(tx *store.Tx) (directory, error) {
	fingerprint, err := tx.Setting(settingGenesis)
	if errors.Is(err, store.ErrNotFound) {
		return directory{}, ErrNotEnrolled
	}
	if err != nil {
		return directory{}, err
	}
	var entries [][]byte
	p, err := tx.Register(func(_ uint64, entry []byte) error {
		entries = append(entries, entry)
		return nil
	})
	if err != nil {
		return directory{}, err
	}
	reg, err := trust.Replay(entries, string(fingerprint))
	if err != nil {
		return directory{}, fmt.Errorf("%w: %w", ErrRegister, err)
	}
	dir, err := newDirectory(reg, trust.Pinned(p))
	if errors.Is(err, errNoRelay) {
		return dir, nil // joining: the invitation knows
	}
	if err == nil {
		err = kept(tx, settingSeen, &dir.seen)
	}
	return dir, err
}

var errNoRelay = fmt.Errorf("%w: it names no relay", ErrRegister)

func newDirectory(reg *trust.Register, pinned trust.Pinned) (directory, error) {
	if err := pinned.Matches(reg); err != nil {
		return directory{}, fmt.Errorf("%w: %w", ErrRegister, err)
	}
	dir := directory{Register: reg, pinned: pinned, vouched: vouchedFor(reg, pinned)}
	relay, ok := reg.Relay()
	if !ok {
		return dir, errNoRelay
	}
	dir.relay = relay
	return dir, nil
}

func (d directory) role(desk identity.DeskID) identity.Role {
	state, ok := d.Desk(desk)
	if !ok || !state.Active() {
		return ""
	}
	return state.Role
}

// lane reports whether from may write to to: both known, and their roles allow it.
func (d directory) lane(from, to identity.DeskID) bool {
	f, t := d.role(from), d.role(to)
	return f != "" && t != "" && lanes.Allowed(f, t, from.Org() == to.Org())
}

func (n *Node) directory() directory {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dir
}

// fetchRegister asks for what is new. Only one question is open at a time.
func (s *session) fetchRegister(ctx context.Context) error {
	if s.syncing {
		s.again = true
		return nil
	}
	s.syncing, s.again = true, false
	s.update = trust.Update{From: s.n.directory().pinned.Size}
	return s.say(ctx, wire.Fetch{From: s.update.From})
}

// registered collects one piece of the answer. The first piece names the
// checkpoint that all of them must add up to; a relay whose register grows
// meanwhile is asked again afterwards.
func (s *session) registered(ctx context.Context, f wire.Register) error {
	if !s.syncing {
		return fmt.Errorf("%w: register frame that nobody asked for", wire.ErrFrame)
	}
	if s.update.Checkpoint == nil {
		s.update.Checkpoint, s.update.Proof = f.Checkpoint, f.Proof
	}
	c, err := trust.ParseCheckpoint(s.update.Checkpoint)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRegister, err)
	}
	have := s.update.From + uint64(len(s.update.Entries))
	entries := f.Entries
	if c.Size > have && uint64(len(entries)) > c.Size-have {
		entries, s.again = entries[:c.Size-have], true
	}
	if err := s.update.Add(f.From, entries); err != nil {
		return fmt.Errorf("%w: %w", ErrRegister, err)
	}
	have += uint64(len(entries))
	switch {
	case have < c.Size && f.More:
		return nil // the relay sends the next piece by itself
	case have < c.Size && len(entries) > 0:
		return s.say(ctx, wire.Fetch{From: have})
	}
	return s.synced(ctx)
}

// synced verifies what was collected, stores it durably, and only then uses it.
func (s *session) synced(ctx context.Context) error {
	if err := s.n.advance(ctx, s.update); err != nil {
		return err
	}
	s.syncing, s.update = false, trust.Update{}
	if s.again {
		return s.fetchRegister(ctx)
	}
	return s.caughtUp(ctx)
}

// advance moves the directory forward. A register that contradicts what was seen
// before raises an alarm and ends the session: this device then sends nothing.
func (n *Node) advance(ctx context.Context, u trust.Update) error {
	old := n.directory()
	if n.floor.behind() <= clockSlack {
		u.Now = n.now() // a clock that is known to be wrong judges no time
	}
	reg, pinned, err := trust.Advance(old.Register, old.pinned, u)
	if err != nil {
		if errors.Is(err, trust.ErrQuorum) {
			n.alarm(ctx, AlarmRegister, n.dev.ID.String(), "quorum")
		}
		if contradicts(err) {
			n.refusedUpdate(ctx, old, u, err)
		}
		return fmt.Errorf("%w: %w", ErrRegister, err)
	}
	dir, err := newDirectory(reg, pinned)
	if err != nil {
		return err
	}
	dir.seen = sighted(old.seen, pinned.Size, n.now())
	var renewed ed25519.PrivateKey
	in := &intake{n: n, now: n.now()}
	err = n.update(ctx, func(tx *store.Tx) (err error) {
		in.tx, in.events = tx, nil
		if err := tx.SaveRegister(u.From, u.Entries, store.Pinned(pinned)); err != nil {
			return err
		}
		if renewed, err = n.takeOrgKey(tx, dir); err != nil {
			return err
		}
		if err := keep(tx, settingSeen, dir.seen); err != nil {
			return err
		}
		if err := n.afterRevocations(tx, dir, u.Entries); err != nil {
			return err
		}
		if err := in.watchOwnEntries(dir, u.From, u.Entries, renewed != nil); err != nil {
			return err
		}
		return errors.Join(in.tellNewDevices(dir, u.From, u.Entries), in.tellSkipped(dir, reg.Skipped(old.pinned.Size)))
	})
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.dir = dir
	if renewed != nil {
		n.dev.Org = renewed
	}
	n.mu.Unlock()
	n.floor.raise(dir.vouched)
	n.events.publish(in.events...)
	if pinned.Size > old.pinned.Size {
		n.watchKeys(ctx, old, dir)
		n.publish(EventRegister, "", "")
		n.recheck.Store(true) // a person of ours may be in it, whom our other devices can be told of now
	}
	return nil
}

// tellSkipped keeps and alarms of the entries that count for nobody.
func (in *intake) tellSkipped(dir directory, entries []trust.Skipped) error {
	for _, skipped := range entries {
		in.n.log.Warn("register entry skipped", "index", skipped.Index)
		if err := in.skipped(dir, skipped.Index); err != nil {
			return err
		}
		if _, err := in.tx.RaiseAlarm(string(AlarmRegister), fmt.Sprint(skipped.Index), "skipped", in.n.now()); err != nil {
			return err
		}
	}
	return nil
}

// caughtUp goes on with what had to wait for the register.
func (s *session) caughtUp(ctx context.Context) error {
	if !s.credited {
		s.credited = true
		s.online.Store(true)
		s.n.setConnected()
		s.n.recheck.Store(true)
		if err := s.say(ctx, wire.Credit{Messages: creditMessages, Bytes: creditBytes}); err != nil {
			return err
		}
		if err := s.showAllAttended(ctx); err != nil {
			return err
		}
		if err := s.n.stateAgain(ctx); err != nil {
			return err
		}
	}
	if err := s.wantKeys(ctx); err != nil {
		return err
	}
	s.n.poke()
	held := s.held
	s.held = nil
	if len(held) > 0 {
		return s.judged(ctx, held, true)
	}
	return nil
}
