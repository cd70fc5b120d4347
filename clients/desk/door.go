package desk

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"schakel/clients/schakel"
	"schakel/crypto/message"
)

// Refusals of a door.
var (
	ErrLocked = errors.New("this device is locked")
	ErrNoLock = errors.New("this device does not lock")
)

// Because is why a light device is locked.
type Because string

// The reasons.
const (
	BecauseStarted Because = "started" // nobody opened it yet
	BecauseAsked   Because = "asked"   // somebody said so
	BecauseIdle    Because = "idle"    // nobody did anything for a while
	BecauseAsleep  Because = "asleep"  // the machine slept, or its clock was set
	BecauseRefused Because = "refused" // the relay says that it is admitted no more
)

// Reasons are all reasons, for whoever reads one from elsewhere.
func Reasons() []Because {
	return []Because{BecauseStarted, BecauseAsked, BecauseIdle, BecauseAsleep, BecauseRefused}
}

// LockState is what a light device says of its lock, locked or not.
type LockState struct {
	Locked  bool    `json:"locked"`
	Because Because `json:"because,omitempty"` // once it is; not yet while an open device is closing
	// Acute is how many acute messages wait for an acknowledgement here; a locked
	// device cannot know.
	Acute int `json:"acute,omitempty"`
}

// DoorConfig is what a Door needs. Open is required.
type DoorConfig struct {
	// Open opens the device with its officer's passphrase.
	Open    func(ctx context.Context, passphrase string) (Node, error)
	Because Because
	Log     *slog.Logger // default discards
}

// Door serves the node of a light device while it is open. Locked, it answers
// everything with ErrLocked, and knows no more than this: there is no store and no key
// in the process. A door opens once. What locks it for good is the end of the process;
// the door only stops answering at once and lets its owner know.
type Door struct {
	config DoorConfig
	turn   chan struct{} // who holds its token tries a passphrase: one at a time, each takes 256 MiB
	used   chan struct{} // an officer did something
	asked  chan struct{} // an officer wants it locked

	mu     sync.Mutex // guards what follows
	inside *Service   // while it is open
	shut   bool       // it was open, and is not to open again
}

// NewDoor returns a locked Door. It starts nothing.
func NewDoor(cfg DoorConfig) *Door {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Door{config: cfg, turn: make(chan struct{}, 1), used: make(chan struct{}, 1), asked: make(chan struct{}, 1)}
}

// Serve answers on ln until ctx ends, as [Service.Serve] does.
func (d *Door) Serve(ctx context.Context, ln net.Listener) error {
	return serve(ctx, ln, d.Handler(), d.config.Log)
}

// Handler returns the routes of the lock, and behind them those of the node.
func (d *Door) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/lock", answer(d.state))
	mux.HandleFunc("POST /v1/lock", answer(d.lock))
	mux.HandleFunc("POST /v1/unlock", answer(d.unlock))
	mux.HandleFunc("/", d.through)
	return mux
}

// through hands a request to the node, if the door is open. One that opens, signs or
// writes something shows that the officer is there; lists and states do not, since
// programs ask for those all night.
func (d *Door) through(w http.ResponseWriter, r *http.Request) {
	s := d.open()
	if s == nil {
		refuse(w, ErrLocked)
		return
	}
	if r.Method != http.MethodGet {
		signal(d.used)
	}
	s.Handler().ServeHTTP(w, r)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (d *Door) state(r *http.Request) (LockState, error) {
	s := d.open()
	if s == nil {
		return d.locked(), nil
	}
	acute, err := Acute(r.Context(), s.node)
	return LockState{Acute: acute}, err
}

func (d *Door) open() *Service {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.inside
}

func (d *Door) locked() LockState {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shut {
		return LockState{Locked: true}
	}
	return LockState{Locked: true, Because: d.config.Because}
}

// Acute counts the acute messages that nobody has acknowledged.
func Acute(ctx context.Context, n Lister) (count int, err error) {
	all, err := n.List(ctx, schakel.Filter{ToAck: true, Limit: 1000})
	for _, m := range all {
		if m.Urgency == message.Acute && m.Acknowledged.IsZero() {
			count++
		}
	}
	return count, err
}

// lock stops answering at once. That the count fails must not keep it open.
func (d *Door) lock(r *http.Request) (LockState, error) {
	before, err := d.state(r)
	if err != nil {
		d.config.Log.Warn("unattended messages not counted", "err", err)
	}
	if !before.Locked {
		d.Shut()
		signal(d.asked)
	}
	return LockState{Locked: true, Because: BecauseAsked, Acute: before.Acute}, nil
}

// Shut stops answering, for good.
func (d *Door) Shut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inside, d.shut = nil, true
}

// enter lets callers through to a node, unless the door was shut meanwhile.
func (d *Door) enter(n Node) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shut {
		return ErrEnding
	}
	d.inside = New(Config{Node: n, Log: d.config.Log})
	return nil
}

// passphrase opens the device.
type passphrase struct {
	Passphrase string `json:"passphrase"`
}

func (d *Door) unlock(r *http.Request) (LockState, error) {
	in, err := decode[passphrase](r)
	if err != nil {
		return LockState{}, err
	}
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-r.Context().Done():
		return LockState{}, r.Context().Err()
	}
	if d.open() != nil {
		return d.state(r)
	}
	if d.locked().Because == "" {
		return LockState{}, ErrEnding
	}
	node, err := d.config.Open(r.Context(), in.Passphrase)
	if err != nil {
		return LockState{}, err
	}
	signal(d.used)
	if err := d.enter(node); err != nil {
		return LockState{}, err
	}
	return d.state(r)
}

const (
	lookEvery = time.Second
	// sleptFor is how far the clock on the wall may run away from the one that stands
	// still while the machine sleeps. Longer, and it slept: whoever wakes it need not be
	// whoever closed it.
	sleptFor = 20 * time.Second
)

// AwaitLock blocks while the door may stay open, and says why it may no longer: an
// officer asked, did nothing for as long as after says, or the machine slept. now is
// the clock on the wall. It returns "" when ctx ends.
func (d *Door) AwaitLock(ctx context.Context, after time.Duration, now func() time.Time) Because {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	active, looked := time.Now(), time.Now()
	wall := now().Round(0) // without the clock that sleeps
	for {
		select {
		case <-ctx.Done():
			return ""
		case <-d.asked:
			return BecauseAsked
		case <-d.used:
			active = time.Now()
		case <-tick.C:
			if drift := now().Round(0).Sub(wall) - time.Since(looked); drift.Abs() > sleptFor {
				return BecauseAsleep
			}
			wall, looked = now().Round(0), time.Now()
			if time.Since(active) >= after {
				return BecauseIdle
			}
		}
	}
}

// LockState tells whether the daemon's device is locked; ErrNoLock where it has none.
func (c *Client) LockState(ctx context.Context) (LockState, error) {
	return ask[LockState](ctx, c, "GET", "/v1/lock", nil)
}

// Lock has the daemon lock its device.
func (c *Client) Lock(ctx context.Context) (LockState, error) {
	return ask[LockState](ctx, c, "POST", "/v1/lock", struct{}{})
}

// Unlock has the daemon open its device.
func (c *Client) Unlock(ctx context.Context, phrase string) (LockState, error) {
	return ask[LockState](ctx, c, "POST", "/v1/unlock", passphrase{phrase})
}

// noLock is what a device that does not lock answers.
func (s *Service) noLock(*http.Request) (struct{}, error) { return struct{}{}, ErrNoLock }
