//go:build linux

package system_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"schakel/clients/store"
	"schakel/clients/store/vault"
	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/seal"
	"schakel/relay/wire"
)

// rogue is a modified client: it has the keys of a real device and no rules.
type rogue struct {
	t    testing.TB
	dev  store.Device
	keys *seal.DeviceKeys
	conn *wire.Conn
}

// rogue logs in at the relay with a device's own keys. Its daemon must not run.
func (c *chain) rogue(id identity.DeskID) *rogue {
	c.t.Helper()
	r := &rogue{t: c.t}
	c.peek(id, func(tx *store.Tx) (err error) {
		r.dev, err = tx.Device()
		return err
	})
	r.keys = &seal.DeviceKeys{ID: r.dev.ID, Sign: r.dev.Sign, Login: r.dev.Login}
	var relay struct {
		SPKI string `json:"spki"`
	}
	if err := json.Unmarshal(must[[]byte](c.t)(os.ReadFile(c.file("relay", "relay.json"))), &relay); err != nil {
		c.t.Fatal(err)
	}
	pin := [32]byte(must[[]byte](c.t)(base64.StdEncoding.DecodeString(relay.SPKI)))
	r.conn = must[*wire.Conn](c.t)(wire.Dial(c.t.Context(), "https://"+c.address, wire.PinnedTLS(pin)))
	c.t.Cleanup(func() { _ = r.conn.CloseNow() })
	challenge := r.next().(wire.Challenge)
	login := must[wire.Login](c.t)(wire.SignLogin(r.keys.Login, r.keys.ID, challenge, r.conn.Binding(), time.Now(), rand.Reader))
	if err := r.conn.Write(c.t.Context(), login); err != nil {
		c.t.Fatal(err)
	}
	if f, ok := r.next().(wire.Ready); !ok {
		c.t.Fatalf("not logged in: %v", f)
	}
	return r
}

// peek reads a device's store while its daemon does not run.
func (c *chain) peek(id identity.DeskID, f func(*store.Tx) error) {
	c.t.Helper()
	home := c.desks[id].home
	s := must[*store.Store](c.t)(store.Open(c.t.Context(), filepath.Join(home, "store"),
		store.Unlock{Keys: []vault.Way{vault.KeyFile{Path: filepath.Join(home, "device.key")}}}))
	defer s.Close()
	if err := s.View(c.t.Context(), f); err != nil {
		c.t.Fatal(err)
	}
}

// target is a desk's device with its key of now, from its own store.
func (c *chain) target(id identity.DeskID) (t seal.Target) {
	c.t.Helper()
	c.peek(id, func(tx *store.Tx) error {
		dev, err := tx.Device()
		if err != nil {
			return err
		}
		keys, err := tx.EpochKeys()
		for _, k := range keys {
			if now := time.Now(); k.From.After(now) || !k.Until.After(now) {
				continue
			}
			key := must[*seal.EpochKey](c.t)(seal.ParseEpochKey(k.Number, k.Secret))
			t = seal.Target{Device: dev.ID, Epoch: k.Number, Recipient: must[*seal.Recipient](c.t)(seal.ParseRecipient(key.Recipient()))}
		}
		return err
	})
	return t
}

// next returns the next frame that the relay says by itself or in answer.
func (r *rogue) next() wire.Frame {
	r.t.Helper()
	for {
		frames := must[[]wire.Frame](r.t)(r.conn.ReadFrames(r.t.Context()))
		for _, f := range frames {
			if _, ok := f.(wire.Advanced); !ok {
				return f
			}
		}
	}
}

// seal makes a good message to a desk, whether or not it may be written to.
func (r *rogue) seal(to identity.DeskID, target seal.Target) []byte {
	r.t.Helper()
	now := time.Now()
	body := must[[]byte](r.t)(numbered(r.dev.Desk, 1))
	signed := must[message.Signed](r.t)(seal.SignMessage(message.Message{
		Version: message.Version, ID: message.ID(r.uuid()), Case: message.CaseRef(r.uuid()),
		Sender: message.Sender{Desk: r.dev.Desk, Device: r.dev.ID}, Addressed: []identity.DeskID{to},
		Created: uint64(now.Unix()), Body: body, Attachments: []message.Attachment{}, Enclosed: [][]byte{}, Person: []byte{},
		Heading: message.Heading{Protocol: message.Protocol, Class: "adviesvraag", Urgency: message.Routine,
			Expires: uint64(now.Unix()) + 1000, Answers: []message.Ref{}, RestsOn: []message.Ref{}},
	}, r.keys, nil))
	return must[[]byte](r.t)(seal.Seal(seal.Parcel{
		ID: envelope.ID(r.uuid()), Desk: to, Targets: []seal.Target{target}, Tier: envelope.TierRoutine,
		Created: uint64(now.Unix()), Expires: uint64(now.Unix()) + 1000,
		Delivery: delivery.Delivery{Kind: delivery.KindMessage, Content: signed.Raw, Counter: 1, Attended: make([]byte, 32)},
	}, r.keys))
}

func (r *rogue) uuid() [16]byte {
	return must[[16]byte](r.t)(identity.NewUUIDv7(time.Now(), rand.Reader))
}

// put offers an envelope and returns the relay's answer.
func (r *rogue) put(raw []byte) wire.Frame {
	r.t.Helper()
	if err := r.conn.Write(r.t.Context(), wire.Put{Envelope: raw}); err != nil {
		r.t.Fatal(err)
	}
	return r.next()
}

// The ministry may write to the knooppunt only (rule R09). An honest client refuses
// before it seals; what a modified one seals all the same, the relay refuses with
// code 4, and the police never see it.
func TestForbiddenLane(t *testing.T) {
	c := newChain(t)
	c.startRelays()
	for _, id := range []identity.DeskID{buza, police, piket} {
		c.startDesk(id)
	}
	c.knows(buza, piket)
	c.knows(police, piket)
	c.honestRefuses(buza, police)
	for _, id := range []identity.DeskID{buza, police, piket} {
		if err := c.desks[id].daemon.stop(); err != nil {
			t.Fatal(err)
		}
	}
	modified := c.rogue(buza)
	forbidden := modified.seal(police, c.target(police))
	if refused, ok := modified.put(forbidden).(wire.Refused); !ok || refused.Code != 4 || refused.Code.String() != "lane" {
		t.Errorf("the relay answers %+v, want lane (4)", refused)
	}
	// Control: nothing but the lane is wrong with it. The same client writes to the
	// knooppunt, and the police device can open what was meant for it.
	allowed := modified.seal(piket, c.target(piket))
	if stored, ok := modified.put(allowed).(wire.Stored); !ok || len(stored.Leaves) != 1 {
		t.Errorf("the relay does not store what is allowed: %+v", stored)
	}
	c.opens(police, modified, forbidden)
	found := must[[]string](t)(searchFolder(c.file("relay"), []needle{
		{"the refused envelope", forbidden[len(forbidden)-64:]}, {"the other", allowed[len(allowed)-64:]},
	}))
	if !slices.Equal(found, []string{"the other"}) {
		t.Errorf("the relay keeps %q", found)
	}
}

// honestRefuses has a desk try to write to another by the command line.
func (c *chain) honestRefuses(from, to identity.DeskID) {
	c.t.Helper()
	body := c.file("body.json")
	if err := os.WriteFile(body, must[[]byte](c.t)(numbered(from, 1)), 0o600); err != nil {
		c.t.Fatal(err)
	}
	_, stderr, code := command(c.t.Context(), c.schakel, "--home", c.desks[from].home, "send",
		"--class", "adviesvraag", "--urgency", "regulier", "--to", string(to), "--body", body)
	if code != 5 || !strings.Contains(stderr, "may not write to each other") {
		c.t.Errorf("schakel send: exit code %d, want 5: %s", code, stderr)
	}
	if st, err := c.desks[from].client.Status(c.t.Context()); err != nil || st.Outbox != 0 {
		c.t.Errorf("something was sealed: outbox %d, %v", st.Outbox, err)
	}
}

// opens shows that an envelope is good: the device it is for can open it.
func (c *chain) opens(id identity.DeskID, from *rogue, raw []byte) {
	c.t.Helper()
	c.peek(id, func(tx *store.Tx) error {
		dev, err := tx.Device()
		if err != nil {
			return err
		}
		_, err = seal.Open(raw, seal.Lock{Desk: id, Device: dev.ID,
			Epoch: func(n uint64) (*seal.EpochKey, error) {
				k, err := tx.EpochKey(n)
				if err != nil {
					return nil, err
				}
				return seal.ParseEpochKey(k.Number, k.Secret)
			},
			Sealer: func(identity.DeviceID) (identity.Key, error) { return from.keys.SignPublic(), nil },
		})
		return err
	})
}
