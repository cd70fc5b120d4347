package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"schakel/crypto/custody"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// examples has one of every frame. docs/wire.md shows the same, in hexadecimal.
func examples() []wire.Frame {
	id := envelope.ID{0x01, 0x93, 0x5c, 0x00, 0x00, 0x00, 0x70, 0x00, 0x80, 0, 0, 0, 0, 0, 0, 1}
	device := identity.DeviceID{0x01, 0x93, 0x5c, 0x00, 0x00, 0x00, 0x70, 0x00, 0x80, 0, 0, 0, 0, 0, 0, 2}
	return []wire.Frame{
		wire.Login{Token: []byte("e30.e30.c2ln")},
		wire.Put{Envelope: []byte("SKE1")},
		wire.Ack{Position: 258},
		wire.Credit{Messages: 64, Bytes: 4 << 20},
		wire.Attended{ID: id, Token: [32]byte{0xaa, 31: 0xbb}},
		wire.Fetch{From: 17},
		wire.Append{Tag: 1, Entry: []byte("entry\n"), Recipients: []string{"age1pq1x"}},
		wire.WantKeys{Tag: 2, Keys: []wire.KeyWanted{{Device: device, Epoch: 5}}},
		wire.Plan{Plan: []byte("plan")},
		wire.TestPage{Tag: 3, Contact: "piket-1"},
		wire.WantPages{Tag: 4, Since: 17},
		wire.Cosigned{Witness: "vt20.example/witness", Size: 18, Line: []byte("line\n")},
		wire.Challenge{Nonce: [32]byte{1, 31: 2}, Relay: "relay-1", Version: wire.Version},
		wire.Ready{StoreEpoch: [16]byte{7, 15: 8}, Ends: 1795564800, Now: 1795521600, RegisterSize: 17},
		wire.Stored{
			Batch: custody.Batch{Root: [32]byte{3}, Size: 2, StoreEpoch: [16]byte{7, 15: 8}, Guarantee: custody.GuaranteeDisk,
				At: 1795521600, Signature: bytes.Repeat([]byte{0x5a}, 64)},
			Leaves: []custody.Leaf{{ID: id, Salt: [16]byte{9}, Index: 1, Path: [][32]byte{{4}}}},
		},
		wire.Refused{ID: id, Code: wire.CodeLane},
		wire.Deliver{Position: 258, Envelope: []byte("SKE1")},
		wire.Notice{Position: 259, Kind: wire.NoticeExpired, ID: id},
		wire.Register{Checkpoint: []byte("checkpoint\n"), From: 17, Entries: [][]byte{[]byte("entry\n")}, Proof: [][32]byte{{6}}},
		wire.Appended{Tag: 1, Index: 18, Code: wire.CodeOK},
		wire.KeysAre{Tag: 2, Recipients: []string{"age1pq1x", ""}},
		wire.Advanced{RegisterSize: 18},
		wire.GoAway{AfterMillis: 2500},
		wire.AttendedIs{ID: id, Code: wire.CodeNotFound},
		wire.PlanIs{Serial: 5, Code: wire.CodeOK},
		wire.TestPageIs{Tag: 3, Code: wire.CodeOK},
		wire.PagesAre{Tag: 4, Pages: []wire.Paged{{Number: 18, ID: id, Tier: envelope.TierAcute, Reference: "K7M2-QD4A", Waiting: 1, Step: 1, Level: 1,
			Contact: "piket-2", Channel: "ntfy", At: 1795521600, Outcome: "sent"}}},
		wire.Cosign{Checkpoint: []byte("checkpoint\n"), From: 17, Proof: [][32]byte{{6}}},
	}
}

func name(f wire.Frame) string { return strings.TrimPrefix(fmt.Sprintf("%T", f), "wire.") }

func sideOf(f wire.Frame) wire.Side {
	if f.Type().FromRelay() {
		return wire.SideRelay
	}
	return wire.SideDevice
}

func encode(t testing.TB, frames ...wire.Frame) []byte {
	t.Helper()
	var b []byte
	for _, f := range frames {
		var err error
		if b, err = wire.AppendFrame(b, f); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func TestEveryFrameComesBack(t *testing.T) {
	seen := map[wire.Type]bool{}
	for _, f := range examples() {
		seen[f.Type()] = true
		b := encode(t, f, f)
		got, err := wire.ParseFrames(b, sideOf(f))
		if err != nil {
			t.Errorf("%s: %v", name(f), err)
			continue
		}
		if len(got) != 2 || !reflect.DeepEqual(got[0], f) || !reflect.DeepEqual(got[1], f) {
			t.Errorf("%s: %+v", name(f), got)
		}
		if _, err := wire.ParseFrames(b, 1-sideOf(f)); !errors.Is(err, wire.ErrFrame) {
			t.Errorf("%s from the wrong side: %v", name(f), err)
		}
	}
	for n := range 256 {
		b := binary.BigEndian.AppendUint32([]byte{byte(n)}, 0)
		_, err := wire.ParseFrames(b, wire.Side(n>>7))
		if unknown := err != nil && strings.Contains(err.Error(), "unknown type"); unknown == seen[wire.Type(n)] {
			t.Errorf("type %#02x: an example: %v, unknown: %v", n, seen[wire.Type(n)], unknown)
		}
	}
}

// Every truncation of every frame is refused, and so is every byte too much.
func TestTruncatedAndExtended(t *testing.T) {
	for _, f := range examples() {
		b := encode(t, f)
		for n := range len(b) {
			if _, err := wire.ParseFrames(b[:n], sideOf(f)); !errors.Is(err, wire.ErrFrame) {
				t.Errorf("%s cut at %d: %v", name(f), n, err)
			}
		}
		if _, err := wire.ParseFrames(append(b, 0), sideOf(f)); !errors.Is(err, wire.ErrFrame) {
			t.Errorf("%s with a byte behind: %v", name(f), err)
		}
		switch f.(type) {
		case wire.Put, wire.Deliver, wire.Plan: // their payload is opaque: longer is another one
			continue
		}
		longer := append(bytes.Clone(b), 0)
		binary.BigEndian.PutUint32(longer[1:], uint32(len(longer)-5))
		if _, err := wire.ParseFrames(longer, sideOf(f)); !errors.Is(err, wire.ErrFrame) {
			t.Errorf("%s with a byte inside: %v", name(f), err)
		}
	}
}

func TestLimits(t *testing.T) {
	long := strings.Repeat("x", wire.MaxRecipient)
	const most = math.MaxUint64
	largest := wire.Paged{
		Number: most, Tier: math.MaxUint8, Reference: strings.Repeat("x", wire.MaxReference), Waiting: most, Step: most, Level: most,
		Contact: strings.Repeat("x", wire.MaxContact), Channel: strings.Repeat("x", wire.MaxChannel), At: most, Outcome: strings.Repeat("x", wire.MaxOutcome),
	}
	for _, c := range []struct {
		what      string
		good, bad wire.Frame
	}{
		{"token", wire.Login{Token: make([]byte, wire.MaxToken)}, wire.Login{Token: make([]byte, wire.MaxToken+1)}},
		{"no token", wire.Login{Token: []byte{1}}, wire.Login{}},
		{"envelope", wire.Put{Envelope: make([]byte, envelope.MaxSize)}, wire.Put{Envelope: make([]byte, envelope.MaxSize+1)}},
		{"delivered envelope", wire.Deliver{Envelope: make([]byte, envelope.MaxSize)}, wire.Deliver{Envelope: make([]byte, envelope.MaxSize+1)}},
		{"entry", wire.Append{Entry: make([]byte, wire.MaxEntry)}, wire.Append{Entry: make([]byte, wire.MaxEntry+1)}},
		{"contact", wire.TestPage{Contact: strings.Repeat("x", wire.MaxContact)}, wire.TestPage{Contact: strings.Repeat("x", wire.MaxContact+1)}},
		{"no contact", wire.TestPage{Contact: "x"}, wire.TestPage{}},
		{"plan", wire.Plan{Plan: make([]byte, wire.MaxPlan)}, wire.Plan{Plan: make([]byte, wire.MaxPlan+1)}},
		{"pages", wire.PagesAre{Pages: slices.Repeat([]wire.Paged{largest}, wire.MaxPages)}, wire.PagesAre{Pages: make([]wire.Paged, wire.MaxPages+1)}},
		{"paged contact", wire.PagesAre{Pages: []wire.Paged{largest}}, wire.PagesAre{Pages: []wire.Paged{{Contact: largest.Contact + "x"}}}},
		{"paged channel", wire.PagesAre{Pages: []wire.Paged{largest}}, wire.PagesAre{Pages: []wire.Paged{{Channel: largest.Channel + "x"}}}},
		{"paged outcome", wire.PagesAre{Pages: []wire.Paged{largest}}, wire.PagesAre{Pages: []wire.Paged{{Outcome: largest.Outcome + "x"}}}},
		{"paged reference", wire.PagesAre{Pages: []wire.Paged{largest}}, wire.PagesAre{Pages: []wire.Paged{{Reference: largest.Reference + "x"}}}},
		{"witness", wire.Cosigned{Witness: strings.Repeat("w", wire.MaxWitness), Size: most, Line: make([]byte, wire.MaxCosignature)}, wire.Cosigned{Witness: strings.Repeat("w", wire.MaxWitness+1)}},
		{"no witness", wire.Cosigned{Witness: "w"}, wire.Cosigned{}},
		{"cosignature", wire.Cosigned{Witness: "w", Line: make([]byte, wire.MaxCosignature)}, wire.Cosigned{Witness: "w", Line: make([]byte, wire.MaxCosignature+1)}},
		{"to cosign", wire.Cosign{Checkpoint: make([]byte, wire.MaxCheckpoint), From: most, Proof: make([][32]byte, wire.MaxProof)}, wire.Cosign{Checkpoint: make([]byte, wire.MaxCheckpoint+1)}},
		{"nothing to cosign", wire.Cosign{Checkpoint: []byte{1}}, wire.Cosign{}},
		{"proof to cosign", wire.Cosign{Checkpoint: []byte{1}, Proof: make([][32]byte, wire.MaxProof)}, wire.Cosign{Checkpoint: []byte{1}, Proof: make([][32]byte, wire.MaxProof+1)}},
		{"no entry", wire.Append{Entry: []byte{1}}, wire.Append{}},
		{"recipients", wire.Append{Entry: []byte{1}, Recipients: make([]string, wire.MaxRecipients)}, wire.Append{Entry: []byte{1}, Recipients: make([]string, wire.MaxRecipients+1)}},
		{"recipient", wire.Append{Entry: []byte{1}, Recipients: []string{long}}, wire.Append{Entry: []byte{1}, Recipients: []string{long + "x"}}},
		{"keys wanted", wire.WantKeys{Keys: make([]wire.KeyWanted, wire.MaxKeys)}, wire.WantKeys{Keys: make([]wire.KeyWanted, wire.MaxKeys+1)}},
		{"keys", wire.KeysAre{Recipients: make([]string, wire.MaxKeys)}, wire.KeysAre{Recipients: make([]string, wire.MaxKeys+1)}},
		{"relay", wire.Challenge{Relay: strings.Repeat("r", wire.MaxRelayID)}, wire.Challenge{Relay: strings.Repeat("r", wire.MaxRelayID+1)}},
		{"checkpoint", wire.Register{Checkpoint: make([]byte, wire.MaxCheckpoint)}, wire.Register{Checkpoint: make([]byte, wire.MaxCheckpoint+1)}},
		{"proof", wire.Register{Proof: make([][32]byte, wire.MaxProof)}, wire.Register{Proof: make([][32]byte, wire.MaxProof+1)}},
		{"entries", wire.Register{Entries: entries(wire.MaxEntries)}, wire.Register{Entries: entries(wire.MaxEntries + 1)}},
		{"leaves", stored(wire.MaxLeaves, 16), stored(wire.MaxLeaves+1, 0)},
		{"path", stored(1, 16), stored(1, 17)},
		{"no leaves", stored(1, 0), stored(0, 0)},
	} {
		b, err := wire.AppendFrame(nil, c.good)
		if err != nil {
			t.Errorf("%s: control: %v", c.what, err)
			continue
		}
		if _, err := wire.ParseFrames(b, sideOf(c.good)); err != nil {
			t.Errorf("%s: control: %v", c.what, err)
		}
		if len(b) > wire.MaxMessage {
			t.Errorf("%s: %d bytes do not fit a message", c.what, len(b))
		}
		if _, err := wire.AppendFrame(nil, c.bad); !errors.Is(err, wire.ErrFrame) {
			t.Errorf("%s: one too many is sent: %v", c.what, err)
		}
	}
}

func entries(n int) [][]byte {
	list := make([][]byte, n)
	for i := range list {
		list[i] = []byte{1}
	}
	return list
}

func stored(leaves, path int) wire.Stored {
	f := wire.Stored{Batch: custody.Batch{Signature: make([]byte, 64)}, Leaves: make([]custody.Leaf, leaves)}
	for i := range f.Leaves {
		f.Leaves[i].Path = make([][32]byte, path)
	}
	return f
}

// A claimed length beyond the type's limit is refused before anything is made for
// it, and so is one beyond the message.
func TestClaimedLengths(t *testing.T) {
	for _, f := range examples() {
		for _, n := range []uint32{1 << 21, 1 << 31, 1<<32 - 1} {
			b := encode(t, f)
			binary.BigEndian.PutUint32(b[1:], n)
			if allocated := testing.AllocsPerRun(5, func() {
				if _, err := wire.ParseFrames(b, sideOf(f)); !errors.Is(err, wire.ErrFrame) {
					t.Errorf("%s claims %d bytes: %v", name(f), n, err)
				}
			}); allocated > 20 {
				t.Errorf("%s: %v allocations for a refusal", name(f), allocated)
			}
		}
	}
}

func TestTooManyFrames(t *testing.T) {
	one := encode(t, wire.Ack{Position: 1})
	if got, err := wire.ParseFrames(bytes.Repeat(one, wire.MaxFrames), wire.SideDevice); err != nil || len(got) != wire.MaxFrames {
		t.Errorf("control: %v", err)
	}
	if _, err := wire.ParseFrames(bytes.Repeat(one, wire.MaxFrames+1), wire.SideDevice); !errors.Is(err, wire.ErrFrame) {
		t.Error(err)
	}
}

// Row 76: other encodings of the same value, each refused.
func TestNotCanonical(t *testing.T) {
	for what, payload := range map[string][]byte{
		"longer integer":     {0x82, 0x18, 0x01, 0x01},
		"indefinite array":   {0x9f, 0x01, 0x01, 0xff},
		"missing field":      {0x81, 0x01},
		"further field":      {0x83, 0x01, 0x01, 0x01},
		"a map":              {0xa2, 0x01, 0x01, 0x02, 0x01},
		"null":               {0x82, 0xf6, 0x01},
		"a tag":              {0x82, 0xc1, 0x01, 0x01},
		"a float":            {0x82, 0xf9, 0x3c, 0x00, 0x01},
		"negative":           {0x82, 0x20, 0x01},
		"more than 32 bits":  {0x82, 0x1b, 0, 0, 0, 1, 0, 0, 0, 0, 0x01},
		"deep nesting":       bytes.Repeat([]byte{0x81}, 16),
		"huge array claimed": {0x9a, 0xff, 0xff, 0xff, 0xff},
	} {
		b := binary.BigEndian.AppendUint32([]byte{byte(wire.TypeCredit)}, uint32(len(payload)))
		if _, err := wire.ParseFrames(append(b, payload...), wire.SideDevice); !errors.Is(err, wire.ErrFrame) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Whatever parses has exactly the encoding that was parsed.
func FuzzParseFrames(f *testing.F) {
	for _, e := range examples() {
		f.Add(encode(f, e), bool(e.Type().FromRelay()))
	}
	f.Add(encode(f, wire.Ack{Position: 1}, wire.Credit{Messages: 1}), false)
	f.Fuzz(func(t *testing.T, msg []byte, fromRelay bool) {
		side := wire.SideDevice
		if fromRelay {
			side = wire.SideRelay
		}
		frames, err := wire.ParseFrames(msg, side)
		if err != nil {
			if !errors.Is(err, wire.ErrFrame) {
				t.Errorf("refused with %v", err)
			}
			return
		}
		var again []byte
		for _, frame := range frames {
			if again, err = wire.AppendFrame(again, frame); err != nil {
				t.Fatalf("parsed and cannot be sent: %v", err)
			}
		}
		if !bytes.Equal(again, msg) {
			t.Errorf("%x parses as %x", msg, again)
		}
	})
}

func TestCodes(t *testing.T) {
	if wire.CodeOK.Final() || !wire.CodeLane.Final() || wire.CodeRate.Final() {
		t.Error("which codes are final")
	}
	for _, c := range []wire.Code{15, 99, 104, 65535} {
		if c.Known() || c.String() != fmt.Sprintf("code-%d", c) {
			t.Errorf("%d is known as %v", uint16(c), c)
		}
	}
}

func BenchmarkParsePuts(b *testing.B) {
	var msg []byte
	for range 32 {
		msg = append(msg, encode(b, wire.Put{Envelope: make([]byte, 1024)})...)
	}
	b.SetBytes(int64(len(msg)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.ParseFrames(msg, wire.SideDevice); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendStored(b *testing.B) {
	f := stored(64, 9)
	buf := make([]byte, 0, 64<<10)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.AppendFrame(buf, f); err != nil {
			b.Fatal(err)
		}
	}
}
