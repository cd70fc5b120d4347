package schakel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"schakel/clients/protocol"
	"schakel/clients/store"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/seal"
	"schakel/relay/wire"
)

// Config is what a Node needs. Store is required and must be enrolled (see [Join]).
type Config struct {
	Store *store.Store
	Now   func() time.Time // default time.Now
	Log   *slog.Logger     // default discards

	// Catalogue is the agreement that the register names, where partners added to the
	// protocol; any other is refused. Default protocol.V1, whatever the register names.
	Catalogue *protocol.Catalogue

	// Also is other versions of the protocol that this device speaks, such as the next
	// one while the partners move to it: it reads them from everybody, and writes them
	// to desks that state that they speak them. At most three.
	Also []*protocol.Catalogue

	// Every is how often the node looks at its timers: deliveries to make again,
	// statements, keys, alarms. Default one second.
	Every time.Duration

	// Channels are the ways in which this device pages who is on call. Default none:
	// then the relay and the desk's other devices page, and this one does not.
	Channels Channels

	// DrillMonthly says that this desk organises a drill every month. Once it is due there
	// is an alarm, and the pager pages for it, until somebody begins one: see StartDrill.
	DrillMonthly bool

	// Leave is how much room files of attachments leave on the disk of the store, in bytes, so
	// that messages still come. Default LeaveFree; negative: none, for a test.
	Leave int64

	// PINWork is the base-2 logarithm of scrypt's work for the PIN of a new person.
	// Default vault.DefaultWorkFactor, about a second; tests take less.
	PINWork int

	// CoolingOff is how long a device that came to a desk gets nothing from this one, unless
	// a person confirms it: see ConfirmDevice. Default 24 hours; negative: it gets what is
	// sent from the first moment, for a demonstration or a test.
	CoolingOff time.Duration

	// KeepFor is how long a light device keeps a case in which nothing waits any more.
	// Default seven days. Other devices keep a case until its own date.
	KeepFor time.Duration

	// Network makes the connections over which this device talks to the relay. Default this
	// machine's; tests have others. Sealed files go over this machine's.
	Network wire.Network

	// BackupWithin is how old the latest backup may be before an alarm says so. Default
	// eight days. Where no backup was ever made there is no alarm.
	BackupWithin time.Duration
}

// Node is one device's end of the chain. Its methods may be called from any
// goroutine.
type Node struct {
	store        *store.Store
	now          func() time.Time // never before what witnesses vouched for: see clockFloor
	floor        *clockFloor
	log          *slog.Logger
	every        time.Duration
	pinWork      int
	keepFor      time.Duration
	coolingOff   time.Duration
	drillMonthly bool
	backupWithin time.Duration
	network      wire.Network
	restored     time.Time           // from a backup; zero: never
	ending       identity.DeviceID   // whose place this device is about to take: nothing is sealed to it any more
	leave        uint64              // room that files leave on the disk
	light        bool                // an officer carries this device: see notLight
	catalogue    *protocol.Catalogue // the agreement
	spoken       protocol.Versions   // it and the others that this node reads, and writes to who speaks them
	dev          store.Device
	witness      *witnessKey // nil: this device runs none
	keys         *seal.DeviceKeys
	parsed       *seal.Recipients // public keys of others, checked against the register
	events       subscribers
	channels     Channels      // nil: this device pages nobody
	rounds       atomic.Int64  // that the pager made
	beat         atomic.Int64  // when it made the latest, in seconds since 1970; 0: it made none
	paging       pageCounts    // what became of pages of this device
	clock        steadyClock   // of its timers
	duties       dutyBook      // what cases ask of this desk
	work         chan struct{} // wakes upkeep
	moves        *moves        // of sealed files, to and from the relay
	refused      chan struct{} // holds a token once the relay said that this device is admitted no more
	timersLost   atomic.Bool   // those of the pager, in the store: see pagerdamage.go
	replan       atomic.Bool   // the rota changed, or the relay answered: look at the plan now
	quotas       *quotas       // of what other desks send here
	open         openKeys      // keys of persons who confirm without a PIN
	watching     time.Time     // upkeep's own once it runs: since when that is
	recheck      atomic.Bool   // a connection stands, or the register grew: offer keys and persons now

	mu        sync.Mutex // guards what follows
	dir       directory
	epochs    map[uint64]*seal.EpochKey
	session   *session // nil while there is no connection
	conn      connection
	relayTime relayClock
	lastSaid  time.Time                     // the moment of the newest message of this device
	stating   map[identity.DeskID]time.Time // when a statement to that desk is due
	unheard   map[identity.DeskID]stated    // the latest to each desk that the relay has not promised to keep

	plan         published                         // of the rota, to the relay
	signersAsked [envelope.TierAcute + 1]int       // how many persons must sign for a message of a tier
	told         []identity.DeviceID               // devices of this desk that its records were sealed for
	unreadable   map[identity.DeskID][]envelope.ID // to be stated to that desk
	aside        map[string]time.Time              // deliveries that failed, and until when they rest
	asked        map[uint64]chan wire.Frame        // who waits for the relay's answer to a question
	known        map[identity.DeviceID]knownDevice // new devices that need not wait
	compared     map[identity.OrgID]compared       // keys that people compared by telephone
	claimed      claim                             // how large the relay said its register is
	stopped      stops                             // what alarms of the register stop
	answering    map[identity.DeskID]uint64        // desks that our checkpoint is due to, and the size that they stated
	answered     map[identity.DeskID]time.Time     // and when it was shown last
}

// LeaveFree is how much room files leave on the disk of the store.
const LeaveFree = 100_000_000

// maxParsed bounds the public keys kept in memory, about 4 KiB each.
const maxParsed = 4096

// New returns a Node over an enrolled store. It starts nothing.
func New(cfg Config) (*Node, error) {
	n := newNode(cfg)
	var err error
	if n.spoken, err = protocol.NewVersions(append([]*protocol.Catalogue{n.catalogue}, cfg.Also...)...); err != nil {
		return n, err
	}
	if err := n.store.View(context.Background(), n.load); err != nil || cfg.Catalogue == nil {
		return n, err
	}
	if named := n.dir.Authority().Agreement; named != cfg.Catalogue.Digest() {
		return n, fmt.Errorf("%w: the register names %x", ErrAgreement, named[:])
	}
	return n, nil
}

func newNode(cfg Config) *Node {
	n := &Node{
		store: cfg.Store, floor: &clockFloor{local: cfg.Now}, log: cfg.Log, every: cfg.Every, pinWork: cfg.PINWork, keepFor: cfg.KeepFor, coolingOff: cfg.CoolingOff, channels: cfg.Channels,
		leave: uint64(max(0, cmp.Or(cfg.Leave, LeaveFree))), drillMonthly: cfg.DrillMonthly, backupWithin: cfg.BackupWithin, network: cfg.Network,
		catalogue: cfg.Catalogue, parsed: seal.NewRecipients(maxParsed), work: make(chan struct{}, 1), moves: newMoves(), quotas: newQuotas(), refused: make(chan struct{}, 1),
		epochs: map[uint64]*seal.EpochKey{}, stating: map[identity.DeskID]time.Time{}, unheard: map[identity.DeskID]stated{},
		unreadable: map[identity.DeskID][]envelope.ID{}, aside: map[string]time.Time{},
		asked: map[uint64]chan wire.Frame{}, compared: map[identity.OrgID]compared{}, known: map[identity.DeviceID]knownDevice{},
		answering: map[identity.DeskID]uint64{}, answered: map[identity.DeskID]time.Time{},
	}
	if n.catalogue == nil {
		n.catalogue = protocol.V1()
	}
	n.spoken, _ = protocol.NewVersions(n.catalogue) // one version always stands beside itself
	if n.floor.local == nil {
		n.floor.local = time.Now
	}
	n.now = n.floor.now
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	if n.every <= 0 {
		n.every = time.Second
	}
	if n.backupWithin <= 0 {
		n.backupWithin = backupWithin
	}
	if n.coolingOff == 0 {
		n.coolingOff = coolingOff
	}
	if n.network == nil {
		n.network = (&net.Dialer{}).DialContext
	}
	if n.keepFor <= 0 {
		n.keepFor = keepDefault
	}
	return n
}

// load reads what does not change while the node lives, and the register.
func (n *Node) load(tx *store.Tx) (err error) {
	if _, err := tx.Origin(); err == nil {
		return ErrRestoring
	} else if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if s, err := safety(tx); err == nil {
		n.restored = s.Restored
	}
	if n.dev, err = tx.Device(); errors.Is(err, store.ErrNotFound) {
		return ErrNotEnrolled
	} else if err != nil {
		return err
	}
	n.keys = &seal.DeviceKeys{ID: n.dev.ID, Sign: n.dev.Sign, Login: n.dev.Login}
	if n.dir, err = loadDirectory(tx); err != nil {
		return err
	}
	n.floor.raise(n.dir.vouched)
	if _, ok := n.dir.Device(n.dev.ID); !ok {
		return fmt.Errorf("%w: the register does not hold this device", ErrNotEnrolled)
	}
	if err := n.checkLight(); err != nil {
		return err
	}
	if err := n.loadCompared(tx); err != nil {
		return err
	}
	if err := n.loadKnown(tx); err != nil {
		return err
	}
	if n.stopped, err = readStops(tx); err != nil {
		return err
	}
	if err := n.loadKeys(tx); err != nil {
		n.log.Error("public keys of others not read: they come with a connection", "err", err)
	}
	if err := n.loadWitness(tx); err != nil {
		return err
	}
	if err := n.learnLadders(tx); err != nil {
		n.log.Error("rota not read: one person is taken to be enough", "err", err)
	}
	return n.loadEpochs(tx)
}

func (n *Node) loadEpochs(tx *store.Tx) error {
	stored, err := tx.EpochKeys()
	if err != nil {
		return err
	}
	for _, k := range stored {
		key, err := seal.ParseEpochKey(k.Number, k.Secret)
		if err != nil {
			return err
		}
		n.epochs[k.Number] = key
	}
	return nil
}

// Run keeps the connection, the outbox, the attachments, the statements, the keys and the alarms
// going until ctx ends. It reconnects by itself, with full jitter. It returns nil
// when ctx ended, and an error only when the store can no longer be trusted.
func (n *Node) Run(ctx context.Context) error {
	n.watching = n.now()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return n.stayConnected(ctx) })
	g.Go(func() error { return n.upkeep(ctx) })
	g.Go(func() error { return n.pages(ctx) })
	g.Go(func() error { return n.transfers(ctx) })
	return g.Wait()
}

// Desk returns the desk of this device.
func (n *Node) Desk() identity.DeskID { return n.dev.Desk }

// Device returns the identifier of this device.
func (n *Node) Device() identity.DeviceID { return n.dev.ID }

func (n *Node) dial(ctx context.Context) (*wire.Conn, error) {
	relay := n.directory().relay
	return wire.DialBy(ctx, endpoint(relay), tlsFor(relay), n.network)
}

// update runs f in a writing transaction. A store that broke ends the node: what
// it does not remember it must not acknowledge.
func (n *Node) update(ctx context.Context, f func(*store.Tx) error) error {
	err := n.store.Update(ctx, f)
	for _, broken := range []error{store.ErrBroken, store.ErrDamaged, store.ErrTampered, store.ErrRolledBack, store.ErrClosed} {
		if errors.Is(err, broken) {
			return &fatalError{err}
		}
	}
	return err
}

// epochKey returns this device's key of an epoch, or seal.ErrNoEpochKey when it
// was never made or is destroyed.
func (n *Node) epochKey(number uint64) (*seal.EpochKey, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if k, ok := n.epochs[number]; ok {
		return k, nil
	}
	return nil, seal.ErrNoEpochKey
}

func (n *Node) attach(s *session) {
	n.mu.Lock()
	n.session = s
	n.mu.Unlock()
}

func (n *Node) detach(s *session) {
	n.mu.Lock()
	if n.session == s {
		n.session = nil
	}
	n.mu.Unlock()
}

// live returns the session that stands, or nil.
func (n *Node) live() *session {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.session
}

// poke makes upkeep look now instead of at its next tick.
func (n *Node) poke() {
	select {
	case n.work <- struct{}{}:
	default:
	}
}
