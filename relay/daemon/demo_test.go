package daemon_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/daemon"
	"schakel/relay/wire"
)

func sealedFor(t *testing.T, desk identity.DeskID, tier envelope.Tier) []byte {
	t.Helper()
	h := envelope.Header{Version: 1, ID: envelope.ID{1, byte(tier)}, Sealer: identity.DeviceID{1}, Desk: desk,
		Targets: []envelope.Target{{Device: identity.DeviceID{2}, Epoch: 1}}, Created: 1, Expires: 2, AgeLength: 300, Tier: tier}
	if tier != envelope.TierNone {
		h.Attended = make([]byte, 32)
	}
	prefix, err := h.Prefix()
	if err != nil {
		t.Fatal(err)
	}
	return append(prefix, make([]byte, 300)...)
}

// TestDemonstrationDamagesWhatWasAsked and nothing else: not a statement, not a
// message to another desk, not a second one, not what goes the other way.
func TestDemonstrationDamagesWhatWasAsked(t *testing.T) {
	data := t.TempDir()
	tap, end, err := daemon.Demonstration(data)
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	damaged := func(raw []byte) bool {
		out := tap(identity.DeviceID{}, wire.SideRelay, wire.Deliver{Position: 7, Envelope: raw})
		d, ok := out[0].(wire.Deliver)
		if len(out) != 1 || !ok || d.Position != 7 || len(d.Envelope) != len(raw) {
			t.Fatalf("got %v", out)
		}
		return !bytes.Equal(d.Envelope, raw)
	}
	message, statement, other := sealedFor(t, "om-mn/officier", 2), sealedFor(t, "om-mn/officier", 0), sealedFor(t, "vt20/crisis", 2)
	if damaged(message) {
		t.Error("control: damaged without being asked")
	}
	if err := os.WriteFile(filepath.Join(data, "demo-tamper-next"), []byte("om-mn/officier\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for i, test := range []struct {
		raw  []byte
		want bool
	}{{statement, false}, {other, false}, {[]byte("junk"), false}, {message, true}, {message, false}} {
		if damaged(test.raw) != test.want {
			t.Errorf("%d: damaged is not %v", i, test.want)
		}
	}
}

// TestDemonstrationWritesDownWhatItSees once per envelope, and no byte of what is
// sealed.
func TestDemonstrationWritesDownWhatItSees(t *testing.T) {
	data := t.TempDir()
	tap, end, err := daemon.Demonstration(data)
	if err != nil {
		t.Fatal(err)
	}
	raw := sealedFor(t, "vt20/crisis", 3)
	for _, side := range []wire.Side{wire.SideDevice, wire.SideDevice, wire.SideRelay} {
		tap(identity.DeviceID{}, side, wire.Put{Envelope: raw})
	}
	tap(identity.DeviceID{}, wire.SideDevice, wire.Put{Envelope: []byte("junk")})
	if err := end(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(data, "demo-seen.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(b), "\n") != 1 || !strings.Contains(string(b), `"desk":"vt20/crisis","tier":3,"size":`) {
		t.Errorf("got %s", b)
	}
}
