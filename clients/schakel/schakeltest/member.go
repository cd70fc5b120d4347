package schakeltest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/clients/store"
	"schakel/clients/store/vault"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
)

// PIN unlocks every person of a test.
const PIN = "123456"

// Member is a desk's device that joined the chain.
type Member struct {
	Node *schakel.Node
	Desk identity.DeskID

	chain      *Chain
	invitation []byte
	dir        string
	store      *store.Store
	light      bool
	also       []*protocol.Catalogue
	cancel     context.CancelFunc // what stop begins with
	stop       func()

	cools    time.Duration    // how long a new device gets nothing from it; 0: it gets what is sent at once
	channels schakel.Channels // nil: it pages nobody
	drills   bool             // it organises them

	moved  atomic.Int64                  // how far this device's own clock is off, in nanoseconds
	looked atomic.Pointer[chan struct{}] // closed once the device that was started looked at its clock
}

// Join admits a desk and its first device, the way a partner joins: request,
// invitation, fingerprint. The device does not run yet.
func (c *Chain) Join(desk identity.DeskID, role identity.Role) *Member {
	c.t.Helper()
	ctx := context.Background()
	m := c.member(desk, false)
	request, err := schakel.Init(ctx, m.store, schakel.InitOptions{
		Org: desk.Org(), OrgName: "Test " + string(desk.Org()), OIN: oin(desk), Desk: desk, Role: role,
		Region: region(role), Telephone: "+31600000001",
	}, c.Now())
	ok(c.t, err)
	m.invitation = c.admit(request)
	m.join()
	return m
}

// region is where a desk of that role works: the examples live in Utrecht.
func region(role identity.Role) string {
	switch role {
	case identity.RoleVeiligThuis:
		return "VT20"
	case identity.RolePolitie, identity.RoleOM:
		return "RE03"
	}
	return "NL"
}

// member makes the empty store of a device.
func (c *Chain) member(desk identity.DeskID, light bool) *Member {
	c.t.Helper()
	m := &Member{Desk: desk, chain: c, light: light, dir: filepath.Join(cmp.Or(c.Stores, c.t.TempDir()), "store")}
	var err error
	m.store, err = store.Create(context.Background(), m.dir, store.CreateOptions{Keys: m.ways()})
	ok(c.t, err)
	c.t.Cleanup(func() { m.Stop(); m.store.Close() })
	return m
}

func (m *Member) join() {
	m.chain.t.Helper()
	fingerprint, err := schakel.InvitationFingerprint(m.invitation)
	ok(m.chain.t, err)
	ok(m.chain.t, schakel.JoinAs(context.Background(), schakel.Config{Store: m.store, Now: m.chain.Now, Network: m.chain.Network}, m.invitation, fingerprint))
	m.open()
}

// Sibling adds a further device to the member's desk, vouched for by the member.
func (m *Member) Sibling() *Member { return m.sibling(false) }

// Light adds a light device to the member's desk: one that an officer carries.
func (m *Member) Light() *Member { return m.sibling(true) }

func (m *Member) sibling(light bool) *Member {
	m.chain.t.Helper()
	ctx := context.Background()
	s := m.chain.member(m.Desk, light)
	s.invitation = m.invitation
	request, err := schakel.RequestDevice(ctx, s.store, m.Desk, m.chain.Now())
	ok(m.chain.t, err)
	ok(m.chain.t, m.Node.Vouch(ctx, request))
	s.join()
	return s
}

// Intruder adds a device to the member's desk by who stole the organisation's key, without
// the member's program.
func (m *Member) Intruder() *Member {
	m.chain.t.Helper()
	ctx := context.Background()
	s := m.chain.member(m.Desk, false)
	s.invitation = m.invitation
	request, err := schakel.RequestDevice(ctx, s.store, m.Desk, m.chain.Now())
	ok(m.chain.t, err)
	var org signer
	ok(m.chain.t, m.store.View(ctx, func(tx *store.Tx) error {
		d, err := tx.Device()
		org.PrivateKey = d.Org
		return err
	}))
	entry, err := trust.Cosign(request, trust.ByOrg(org))
	ok(m.chain.t, err)
	m.chain.append(entry)
	s.join()
	return s
}

// phrase is the recovery passphrase of every device of a test.
const phrase = "test passphrase, worthless"

func (m *Member) ways() []vault.Way {
	recovery := vault.Passphrase{Phrase: phrase, WorkFactor: 4}
	if m.light {
		return []vault.Way{vault.Attended(recovery)}
	}
	return []vault.Way{vault.KeyFile{Path: m.dir + ".key"}, recovery}
}

// oin derives a fictional number: the prefix 00000099 belongs to nobody.
func oin(desk identity.DeskID) string {
	sum := 0
	for _, b := range []byte(desk.Org()) {
		sum = sum*31 + int(b)
		sum %= 1_000_000_000
	}
	return fmt.Sprintf("00000099%012d", sum)
}

// admit does the root holders' part.
func (c *Chain) admit(request []byte) (invitation []byte) {
	c.t.Helper()
	a, err := trust.ParseAdmissionRequest(request)
	ok(c.t, err)
	reg, err := trust.Replay(c.genesis, trust.GenesisFingerprint(c.genesis[0]))
	ok(c.t, err)
	entries, err := a.Admit(reg, c.root)
	ok(c.t, err)
	inv, err := trust.NewInvitation(a.Desk.ID, append(c.genesis[:2:2], entries...))
	ok(c.t, err)
	invitation, err = inv.Sign(c.root)
	ok(c.t, err)
	return invitation
}

func (m *Member) open() {
	m.chain.t.Helper()
	ok(m.chain.t, m.load())
}

func (m *Member) load() (err error) {
	m.Node, err = schakel.New(schakel.Config{Store: m.store, Catalogue: m.chain.agreed, Now: m.now, Log: m.chain.Log, Every: cmp.Or(m.chain.Every, 50*time.Millisecond), PINWork: 4, CoolingOff: m.coolingOff(), Also: m.also, Channels: m.channels, DrillMonthly: m.drills, Network: m.chain.Network, Leave: cmp.Or(m.chain.Leave, -1)})
	return err
}

// Speaks updates the program of the device to one that speaks other versions of the
// protocol as well, or no longer does. It must not be running.
func (m *Member) Speaks(also ...*protocol.Catalogue) {
	m.chain.t.Helper()
	m.also = also
	m.open()
}

// Equip gives the device a pager. It takes effect at once: the device does not run yet,
// or is started again.
func (m *Member) Equip(channels schakel.Channels) {
	running := m.stop != nil
	m.Stop()
	m.channels = channels
	m.open()
	if running {
		m.Start()
	}
}

// CoolOff makes the device wait with what it sends to new devices. It must not be running.
func (m *Member) CoolOff(d time.Duration) {
	m.cools = d
	m.open()
}

func (m *Member) coolingOff() time.Duration {
	if m.cools == 0 {
		return -1
	}
	return m.cools
}

// Organise makes the device's desk one that holds a drill every month. It must not be
// running.
func (m *Member) Organise() {
	m.drills = true
	m.open()
}

// MoveClock makes this device's own clock wrong: ahead of everybody else's by d.
func (m *Member) MoveClock(d time.Duration) { m.moved.Store(int64(d)) }

// now is the device's clock. Who looks at it at all is what Start waits for.
func (m *Member) now() time.Time {
	if looked := m.looked.Swap(nil); looked != nil {
		defer close(*looked)
	}
	return m.chain.Now().Add(time.Duration(m.moved.Load()))
}

// Start runs the device. When it returns the device has looked at its clock: a test that
// moves the clock next moves it for a device that runs, which does not settle again.
func (m *Member) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	ended, looked := make(chan error, 1), make(chan struct{})
	m.looked.Store(&looked)
	go func() { ended <- m.Node.Run(ctx) }()
	<-looked
	m.cancel = cancel
	m.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			m.chain.t.Errorf("%s: %v", m.Desk, err)
		}
	}
}

// Stop ends the device's run, if it runs.
func (m *Member) Stop() {
	if m.stop != nil {
		m.stop()
		m.stop = nil
	}
}

// Reopen closes the device's store and opens it again, as a new process would.
func (m *Member) Reopen() {
	m.chain.t.Helper()
	m.Stop()
	ok(m.chain.t, m.store.Close())
	var err error
	m.store, err = store.Open(context.Background(), m.dir, store.Unlock{Keys: m.ways()})
	ok(m.chain.t, err)
	m.open()
}

// errKilled undoes the transaction in the middle of which a device is killed.
var errKilled = errors.New("killed")

// Crash ends a device that runs as a killed process ends: its files are those of one
// instant, in the middle of a transaction, and nothing that it does afterwards reaches
// them. They are opened again.
func (m *Member) Crash() {
	m.chain.t.Helper()
	left := filepath.Join(m.chain.t.TempDir(), "store")
	var copied error
	err := m.store.Update(context.Background(), func(*store.Tx) error {
		m.cancel()
		copied = errors.Join(copyFiles(left, m.dir), copyFiles(left+".key", m.dir+".key"))
		return errKilled
	})
	ok(m.chain.t, copied)
	if !errors.Is(err, errKilled) {
		m.chain.t.Fatalf("killed: %v", err)
	}
	m.Stop()
	ok(m.chain.t, m.store.Close())
	m.dir = left
	m.store, err = store.Open(context.Background(), m.dir, store.Unlock{Keys: m.ways()})
	ok(m.chain.t, err)
	m.open()
}

// copyFiles copies a file, or a folder with what is in it, and who may read what.
func copyFiles(to, from string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		there := to + strings.TrimPrefix(path, from)
		if d.IsDir() {
			return os.Mkdir(there, 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(there, b, 0o600)
	})
}

// Twin is the device as its files are now, in files of its own that end with t: what
// becomes of it does not reach this one, which must not be running.
func (m *Member) Twin(t testing.TB) *Member {
	t.Helper()
	twin := &Member{Desk: m.Desk, chain: m.chain, invitation: m.invitation, light: m.light, cools: m.cools, dir: filepath.Join(t.TempDir(), "store")}
	ok(t, errors.Join(copyFiles(twin.dir, m.dir), copyFiles(twin.dir+".key", m.dir+".key")))
	var err error
	twin.store, err = store.Open(context.Background(), twin.dir, store.Unlock{Keys: twin.ways()})
	ok(t, err)
	t.Cleanup(func() { twin.store.Close() })
	ok(t, twin.load())
	return twin
}

// AddPerson certifies a person under the test PIN.
func (m *Member) AddPerson(name string) schakel.Person {
	m.chain.t.Helper()
	p, err := m.Node.AddPerson(context.Background(), schakel.Person{
		Name: name, Function: strings.ToLower(string(m.Desk)), Telephone: "+31600000007",
	}, PIN)
	ok(m.chain.t, err)
	return p
}

// Files is the folder of the device's store.
func (m *Member) Files() string { return m.dir }

// Store is the device's store.
func (m *Member) Store() *store.Store { return m.store }
