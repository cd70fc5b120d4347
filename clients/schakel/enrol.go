package schakel

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"schakel/clients/store"
	"schakel/crypto/identity"
	"schakel/crypto/seal"
	"schakel/crypto/trust"
	"schakel/relay/wire"
)

const (
	settingAdmission = "admission-request"
	// deviceLife is how long the organisation vouches for a device or a person
	// before it must do so again.
	deviceLife = 2 * 365 * 24 * time.Hour
	// joinTimeout bounds how long Join waits for the relay and the register.
	joinTimeout = 60 * time.Second
	// backdate allows for clocks that are behind this one.
	backdate = time.Hour
)

// InitOptions say who a new device is.
type InitOptions struct {
	Org       identity.OrgID
	OrgName   string
	OIN       string
	Desk      identity.DeskID
	DeskName  string // default: the organisation's name
	Role      identity.Role
	Region    string
	Telephone string
}

// Init makes the organisation's and the device's keys in an empty store and
// returns the admission request for the root holders. Called again it returns the
// same request.
func Init(ctx context.Context, st *store.Store, o InitOptions, now time.Time) (request []byte, err error) {
	err = st.View(ctx, func(tx *store.Tx) (err error) {
		request, err = tx.Setting(settingAdmission)
		return err
	})
	if err == nil {
		return request, o.same(request)
	}
	if !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	if st.Attended() {
		return nil, fmt.Errorf("%w: the first device of a desk, with the organisation's key, stays in the office", ErrLight)
	}
	keys, err := newKeys(now)
	if err != nil {
		return nil, err
	}
	_, org, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	request, err = o.request(org)
	if err != nil {
		return nil, err
	}
	dev := store.Device{ID: keys.ID, Desk: o.Desk, Sign: keys.Sign, Login: keys.Login, Org: org}
	err = st.Update(ctx, func(tx *store.Tx) error {
		if err := tx.SetDevice(dev); err != nil {
			return err
		}
		return tx.SetSetting(settingAdmission, request)
	})
	return request, err
}

// Check refuses particulars that no register would take, before a key is made.
func (o InitOptions) Check() error {
	_, throwaway, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	_, err = o.request(throwaway)
	return err
}

// same refuses to pass off an earlier request as one with these particulars.
func (o InitOptions) same(request []byte) error {
	a, err := trust.ParseAdmissionRequest(request)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRegister, err)
	}
	d := a.Desk
	if a.Org.ID != o.Org || a.Org.Name != o.OrgName || a.Org.OIN != o.OIN || d.ID != o.Desk || d.Role != o.Role ||
		d.Region != o.Region || d.Phone != o.Telephone {
		return fmt.Errorf("%w: as desk %s of %s, with other particulars than these", ErrInitialised, d.ID, a.Org.ID)
	}
	return nil
}

func newKeys(now time.Time) (*seal.DeviceKeys, error) {
	id, err := identity.NewUUIDv7(now, rand.Reader)
	if err != nil {
		return nil, err
	}
	return seal.NewDeviceKeys(identity.DeviceID(id), rand.Reader)
}

// deviceEntry is what the register is to say of a device.
func deviceEntry(keys *seal.DeviceKeys, desk identity.DeskID, kind trust.DeviceType, now time.Time) trust.Device {
	now = now.UTC().Truncate(time.Second)
	return trust.Device{
		ID: keys.ID, Desk: desk, Type: kind,
		SignKey: keys.SignPublic(), LoginKey: keys.LoginPublic(),
		From: now.Add(-backdate), Until: now.Add(deviceLife),
	}
}

func (o InitOptions) request(org ed25519.PrivateKey) ([]byte, error) {
	name := o.DeskName
	if name == "" {
		name = o.OrgName
	}
	return trust.AdmissionRequest{
		Org:  trust.Org{ID: o.Org, Name: o.OrgName, OIN: o.OIN, Key: edKey(org).Public(), Status: trust.OrgActive},
		Desk: trust.Desk{ID: o.Desk, Name: name, Role: o.Role, Region: o.Region, Phone: o.Telephone},
	}.Sign(edKey(org))
}

// InvitationFingerprint returns what the root holders read out for an invitation.
func InvitationFingerprint(invitation []byte) (string, error) {
	i, err := trust.ParseInvitation(invitation)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrRegister, err)
	}
	return trust.GenesisFingerprint(i.Genesis()), nil
}

// Join checks the invitation against the fingerprint read out by telephone, enters
// organisation, desk and device into the register through the relay, fetches and
// verifies the whole register, and publishes the first epoch keys. It can be called
// again after it was cut short.
func Join(ctx context.Context, st *store.Store, invitation []byte, fingerprint string, now func() time.Time) error {
	return JoinAs(ctx, Config{Store: st, Now: now}, invitation, fingerprint)
}

// JoinAs is Join for a device that is set up in its own way, over another network perhaps.
func JoinAs(ctx context.Context, cfg Config, invitation []byte, fingerprint string) error {
	inv, err := trust.ParseInvitation(invitation)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRegister, err)
	}
	if err := inv.CheckFingerprint(fingerprint); err != nil {
		return fmt.Errorf("%w: %w", ErrFingerprint, err)
	}
	cfg.Every = 200 * time.Millisecond
	n, err := joining(ctx, cfg, inv)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	if err := n.enter(ctx, inv); err != nil {
		return err
	}
	return n.runUntil(ctx, func() bool {
		dir := n.directory()
		_, here := dir.Device(n.dev.ID)
		last, published := dir.LastEpoch(n.dev.ID)
		return here && published && last.Until.After(n.now())
	})
}

// joining returns a node that knows its keys, the genesis, and, from the
// invitation, where the relay is.
func joining(ctx context.Context, cfg Config, inv trust.Invitation) (*Node, error) {
	n := newNode(cfg)
	relay, _ := inv.Register().Relay()
	err := n.update(ctx, func(tx *store.Tx) (err error) {
		if n.dev, err = tx.Device(); err != nil {
			return fmt.Errorf("%w: run schakel init first: %w", ErrNotEnrolled, err)
		}
		if n.dev.Desk != inv.Desk {
			return fmt.Errorf("%w: the invitation is for desk %s, this device is of %s", ErrRegister, inv.Desk, n.dev.Desk)
		}
		if len(n.dev.Org) == 0 {
			return saveGenesis(tx, inv) // a further device: the organisation vouched elsewhere
		}
		if org, _ := inv.Register().Org(inv.Desk.Org()); org.Key != edKey(n.dev.Org).Public() {
			return fmt.Errorf("%w: the invitation names another key for %s; send the admission request again", ErrRegister, inv.Desk.Org())
		}
		return saveGenesis(tx, inv)
	})
	if err != nil {
		return nil, err
	}
	n.keys = &seal.DeviceKeys{ID: n.dev.ID, Sign: n.dev.Sign, Login: n.dev.Login}
	err = n.store.View(ctx, func(tx *store.Tx) (err error) {
		n.dir, err = loadDirectory(tx)
		if n.dir.Register == nil {
			return err
		}
		if n.dir.relay.ID == "" {
			n.dir.relay = relay
		}
		if err := n.loadWitness(tx); err != nil { // the register may wait for this very witness
			return err
		}
		return n.loadEpochs(tx)
	})
	return n, err
}

// saveGenesis pins the genesis of the invitation, unless one was pinned before,
// which must then be the same.
func saveGenesis(tx *store.Tx, inv trust.Invitation) error {
	fingerprint := trust.GenesisFingerprint(inv.Genesis())
	old, err := tx.Setting(settingGenesis)
	if err == nil {
		if string(old) != fingerprint {
			return fmt.Errorf("%w: this device belongs to another chain", ErrEnrolled)
		}
		return nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	reg, err := trust.New(inv.Genesis(), fingerprint)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRegister, err)
	}
	if err := tx.SaveRegister(0, [][]byte{inv.Genesis()}, store.Pinned(reg.Pin())); err != nil {
		return err
	}
	return tx.SetSetting(settingGenesis, []byte(fingerprint))
}

// enter offers the entries that make this device known. The register takes once more what
// it has already. What it does not take of an invitation makes that void: the root holders
// passed the root on before anybody joined with it, or revoked what it admits. This device's
// own entry has another moment each time, and is refused where an earlier one stands, which
// is as good: what counts is the register that comes back.
func (n *Node) enter(ctx context.Context, inv trust.Invitation) error {
	if len(n.dev.Org) == 0 {
		return nil
	}
	device, err := deviceEntry(n.keys, n.dev.Desk, trust.DevicePerson, n.now()).Sign(trust.First(), edKey(n.dev.Org), edKey(n.dev.Sign), edKey(n.dev.Login))
	if err != nil {
		return err
	}
	for _, entry := range inv.Entries[1:] {
		if err := n.post(ctx, entry); errors.Is(err, ErrRegister) {
			return fmt.Errorf("%w: the register takes this invitation no more; telephone the root holders for a new one: %w", ErrRegister, err)
		} else if err != nil {
			return err
		}
	}
	if err := n.post(ctx, device); err != nil && !errors.Is(err, ErrRegister) {
		return err
	}
	return nil
}

// post offers one signed entry over plain HTTPS: the way in for a device that
// cannot log in yet. The entry's signatures decide, not who offers it.
func (n *Node) post(ctx context.Context, entry []byte) error {
	if err := n.made(ctx, entry); err != nil {
		return err
	}
	relay := n.directory().relay
	transport := &http.Transport{DialContext: n.network, TLSClientConfig: tlsFor(relay), ForceAttemptHTTP2: false}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: loginTimeout}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint(relay)+wire.RegisterPath, bytes.NewReader(entry))
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<10))
	if resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusTooManyRequests {
		return fmt.Errorf("%w: the relay takes no entries at the moment: %s", ErrUnreachable, resp.Status)
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%w: relay answered %s", ErrRegister, resp.Status)
	}
	return nil
}

// endpoint is the relay's address as HTTP spells it.
func endpoint(relay trust.RelayState) string {
	return strings.Replace(relay.URL, "ws", "http", 1)
}

// runUntil runs the node until done reports true.
func (n *Node) runUntil(ctx context.Context, done func() bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events, stop := n.Subscribe()
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	for !done() {
		select {
		case <-events:
		case <-time.After(100 * time.Millisecond):
		case err := <-ended:
			if err == nil {
				err = fmt.Errorf("%w: %s", ErrUnreachable, n.lastError())
			}
			return err
		}
	}
	cancel()
	return <-ended
}

func (n *Node) lastError() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.conn.lastErr
}
