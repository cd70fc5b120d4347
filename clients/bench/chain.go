package bench

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"schakel/clients/program"
	"schakel/clients/redis"
	"schakel/crypto/identity"
	"schakel/crypto/seal"
	"schakel/crypto/trust"
	"schakel/relay/wire"
)

// chain is a relay process with devices that exist for this run only.
type chain struct {
	Config
	dir   string
	relay *program.Program
	redis *redis.Server // nil when mailboxes are in a file
	desc  relayFile
	pin   [32]byte

	senders, receivers, idlers []*device
}

// relayFile is what `schakel-relay init` writes about itself.
type relayFile struct {
	ID      string       `json:"id"`
	URL     string       `json:"url"`
	SPKI    string       `json:"spki"`
	Receipt identity.Key `json:"receipt"`
	Log     string       `json:"log"`
}

// device is one installation at a desk of its own.
type device struct {
	keys  *seal.DeviceKeys
	desk  identity.DeskID
	epoch *seal.EpochKey
	conn  *wire.Conn
}

// signer signs register entries with a key in memory.
type signer struct{ key ed25519.PrivateKey }

func newSigner() (signer, error) {
	_, k, err := ed25519.GenerateKey(rand.Reader)
	return signer{k}, err
}

func (s signer) Public() (k identity.Key) {
	copy(k[:], s.key.Public().(ed25519.PublicKey))
	return k
}

func (s signer) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }

// start makes keys and a register for all devices, and starts the relay on them.
func start(ctx context.Context, c Config) (*chain, error) {
	dir, err := os.MkdirTemp("", "schakel-bench-")
	if err != nil {
		return nil, fmt.Errorf("failed to make a folder: %w", err)
	}
	ch := &chain{Config: c, dir: dir}
	if err := ch.describe(ctx); err != nil {
		return ch, err
	}
	entries, err := ch.register()
	if err != nil {
		return ch, err
	}
	file := filepath.Join(dir, "entries")
	if err := os.WriteFile(file, trust.FormatEntries("bench", entries), 0o600); err != nil {
		return ch, err
	}
	if ch.Redis {
		if ch.redis, err = redis.Start(ctx, filepath.Join(dir, "redis")); err != nil {
			return ch, err
		}
	}
	if err := ch.run(ctx, append([]string{"register", "import", "--data", ch.data(), file}, ch.redis.RelayFlags()...)...); err != nil {
		return ch, err
	}
	if err := ch.serve(); err != nil {
		return ch, err
	}
	return ch, ch.publish(ctx)
}

// serve starts the relay.
func (ch *chain) serve() (err error) {
	args := []string{"serve", "--data", ch.data(), "--admin", "off", "--puts-per-second", "1000000", "--desk-envelopes", "2000000",
		"--org-envelopes", "2000000", "--desk-bytes", "64GiB", "--org-bytes", "64GiB", "--log-level", "error"}
	args = append(args, ch.redis.RelayFlags()...)
	ch.relay, err = program.Start(program.Config{Name: "relay", Path: ch.Relay, Args: args, Log: filepath.Join(ch.dir, "relay.log")})
	return err
}

func (ch *chain) data() string { return filepath.Join(ch.dir, "relay") }

func (ch *chain) run(ctx context.Context, args ...string) error {
	_, err := program.Run(ctx, program.Config{Path: ch.Relay, Args: args})
	return err
}

// describe lets the relay make its keys on a free port, and reads what is public.
func (ch *chain) describe(ctx context.Context) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("failed to find a free port: %w", err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		return err
	}
	if err := ch.run(ctx, "init", "--data", ch.data(), "--listen", address, "--id", "relay-bench"); err != nil {
		return err
	}
	raw, err := os.ReadFile(filepath.Join(ch.data(), "relay.json"))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, &ch.desc); err != nil {
		return fmt.Errorf("failed to read relay.json: %w", err)
	}
	spki, err := base64.StdEncoding.DecodeString(ch.desc.SPKI)
	if err != nil || copy(ch.pin[:], spki) != len(ch.pin) {
		return fmt.Errorf("failed to read relay.json: pin: %w", err)
	}
	return nil
}

// register makes the entries: a root of one, the relay, and an organisation with
// one desk and device for each participant. Idle devices share an organisation.
func (ch *chain) register() ([][]byte, error) {
	root, err := newSigner()
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC().Truncate(time.Second)
	genesis, err := trust.Root{
		Version: 1, Threshold: 1, Keys: []identity.Key{root.Public()}, Agreement: sha256.Sum256([]byte("bench")),
		Issued: now, Expires: now.AddDate(0, 1, 0),
	}.Sign(trust.First(), root)
	if err != nil {
		return nil, err
	}
	log, err := trust.ParseLogKey(ch.desc.Log)
	if err != nil {
		return nil, err
	}
	relay, err := trust.Relay{ID: ch.desc.ID, URL: ch.desc.URL, TLS: ch.pin, Receipt: ch.desc.Receipt, Log: log}.Sign(trust.First(), root)
	if err != nil {
		return nil, err
	}
	b := &book{root: root, now: now, entries: [][]byte{genesis, relay}}
	for i := range ch.Senders {
		ch.senders = append(ch.senders, b.admit(fmt.Sprintf("sender-%d", i), identity.RoleVeiligThuis, 1)...)
		ch.receivers = append(ch.receivers, b.admit(fmt.Sprintf("receiver-%d", i), identity.RoleKnooppunt, 1)...)
	}
	ch.idlers = b.admit("idle", identity.RoleOpvang, ch.Idle)
	return b.entries, b.err
}

// book collects register entries; the first error stays.
type book struct {
	root    signer
	now     time.Time
	entries [][]byte
	err     error
}

func (b *book) add(entry []byte, err error) {
	b.entries, b.err = append(b.entries, entry), errors.Join(b.err, err)
}

func (b *book) admit(org string, role identity.Role, devices int) (out []*device) {
	key, err := newSigner()
	b.err = errors.Join(b.err, err)
	desk := identity.DeskID(org + "/desk")
	b.add(trust.Org{ID: identity.OrgID(org), Name: "Bench " + org, OIN: fmt.Sprintf("00000099%012d", len(b.entries)),
		Key: key.Public(), Status: trust.OrgActive}.Sign(trust.First(), b.root))
	b.add(trust.Desk{ID: desk, Name: "Bench", Role: role, Region: "XA", Phone: "+31600000001"}.Sign(trust.First(), key, b.root))
	for range devices {
		d, err := b.device(desk, key)
		b.err = errors.Join(b.err, err)
		out = append(out, d)
	}
	return out
}

func (b *book) device(desk identity.DeskID, org signer) (*device, error) {
	id, err := identity.NewUUIDv7(b.now, rand.Reader)
	if err != nil {
		return nil, err
	}
	keys, err := seal.NewDeviceKeys(identity.DeviceID(id), rand.Reader)
	if err != nil {
		return nil, err
	}
	b.add(trust.Device{
		ID: keys.ID, Desk: desk, Type: trust.DevicePerson, SignKey: keys.SignPublic(), LoginKey: keys.LoginPublic(),
		From: b.now.Add(-time.Hour), Until: b.now.Add(24 * time.Hour),
	}.Sign(trust.First(), org, signer{keys.Sign}, signer{keys.Login}))
	return &device{keys: keys, desk: desk}, nil
}

// publish waits for the relay and gives every receiver an epoch key.
func (ch *chain) publish(ctx context.Context) error {
	for _, d := range ch.receivers {
		if err := ch.publishOne(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

func (ch *chain) publishOne(ctx context.Context, d *device) (err error) {
	if d.epoch, err = seal.NewEpochKey(1); err != nil {
		return err
	}
	e := trust.Epochs{Device: d.keys.ID, First: 1, From: time.Now().UTC().Truncate(24 * time.Hour), Length: 48 * time.Hour,
		Hashes: []trust.Hash{d.epoch.RecipientHash()}}
	entry, err := e.Sign(trust.First(), signer{d.keys.Sign})
	if err != nil {
		return err
	}
	if err := ch.connect(ctx, d); err != nil {
		return err
	}
	defer d.hangUp()
	if err := d.conn.Write(ctx, wire.Append{Tag: 1, Entry: entry, Recipients: []string{d.epoch.Recipient()}}); err != nil {
		return err
	}
	for {
		frames, err := d.conn.ReadFrames(ctx)
		if err != nil {
			return err
		}
		for _, f := range frames {
			if a, ok := f.(wire.Appended); ok {
				if a.Code != wire.CodeOK {
					return fmt.Errorf("failed to publish a key: %s", a.Code)
				}
				return nil
			}
		}
	}
}

// connect logs a device in, patiently: the relay may just be starting.
func (ch *chain) connect(ctx context.Context, d *device) error {
	for {
		err := ch.login(ctx, d)
		if err == nil {
			return nil
		}
		if err := ch.relay.Ended(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (ch *chain) login(ctx context.Context, d *device) (err error) {
	conn, err := wire.Dial(ctx, strings.Replace(ch.desc.URL, "ws", "http", 1), wire.PinnedTLS(ch.pin))
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, conn.CloseNow())
		}
	}()
	frames, err := conn.ReadFrames(ctx)
	if err != nil {
		return err
	}
	challenge, ok := frames[0].(wire.Challenge)
	if !ok {
		return wire.ErrFrame
	}
	token, err := wire.SignLogin(d.keys.Login, d.keys.ID, challenge, conn.Binding(), time.Now(), rand.Reader)
	if err != nil {
		return err
	}
	if err := conn.Write(ctx, token); err != nil {
		return err
	}
	conn.SetReadLimit(wire.MaxMessage)
	if frames, err = conn.ReadFrames(ctx); err != nil {
		return err
	}
	if _, ok := frames[0].(wire.Ready); !ok {
		return wire.ErrFrame
	}
	d.conn = conn
	return nil
}

func (d *device) hangUp() {
	if d.conn != nil {
		_ = d.conn.CloseNow()
		d.conn = nil
	}
}

func (ch *chain) close() error {
	for _, group := range [][]*device{ch.senders, ch.receivers, ch.idlers} {
		for _, d := range group {
			d.hangUp()
		}
	}
	return errors.Join(ch.relay.Stop(), ch.redis.Stop(), os.RemoveAll(ch.dir))
}
