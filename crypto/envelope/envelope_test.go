package envelope_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"schakel/crypto/canon"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
)

func device(n byte) identity.DeviceID { return identity.DeviceID{n, 15: n} }

func honest() envelope.Header {
	return envelope.Header{
		Version: 1, ID: envelope.ID{1}, Sealer: device(9), Desk: "knooppunt/piket",
		Targets: []envelope.Target{{Device: device(1), Epoch: 7}, {Device: device(2), Epoch: 8}},
		Created: 1_795_000_000, Expires: 1_795_000_000 + envelope.MaxLife, AgeLength: 300,
		Tier: envelope.TierAcute, Attended: bytes.Repeat([]byte{3}, 32),
	}
}

func whole(t testing.TB, h envelope.Header) []byte {
	t.Helper()
	prefix, err := h.Prefix()
	if err != nil {
		t.Fatal(err)
	}
	return append(prefix, bytes.Repeat([]byte{0xa9}, int(h.AgeLength))...)
}

// raw frames any header, also one that is refused.
func raw(t testing.TB, header any, sealed int) []byte {
	t.Helper()
	body, err := canon.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	out := binary.BigEndian.AppendUint16([]byte(envelope.Magic), uint16(len(body)))
	return append(append(out, body...), make([]byte, sealed)...)
}

func TestRoundTrip(t *testing.T) {
	many := honest()
	for i := range byte(envelope.MaxTargets - 2) {
		many.Targets = append(many.Targets, envelope.Target{Device: device(i + 3), Epoch: math.MaxUint64})
	}
	bare := honest()
	bare.Tier, bare.Attended, bare.Expires = envelope.TierNone, []byte{}, bare.Created+1
	for _, h := range []envelope.Header{honest(), many, bare} {
		b := whole(t, h)
		e, err := envelope.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(e.Header, h) || len(e.Sealed) != 300 || !bytes.Equal(append(e.Prefix, e.Sealed...), b) {
			t.Errorf("got %+v, want %+v", e.Header, h)
		}
		if h.Index(device(2)) != 1 || h.Index(device(200)) != -1 {
			t.Error("wrong index of a device")
		}
	}
}

// TestRefuses covers A09, A21 and A22. Each change is refused both when parsed and
// when built: what is not accepted is not sent.
func TestRefuses(t *testing.T) {
	for name, change := range map[string]func(h *envelope.Header){
		"A09 version 0":         func(h *envelope.Header) { h.Version = 0 },
		"A09 version 2":         func(h *envelope.Header) { h.Version = 2 },
		"id of zeros":           func(h *envelope.Header) { h.ID = envelope.ID{} },
		"sealer of zeros":       func(h *envelope.Header) { h.Sealer = identity.DeviceID{} },
		"target of zeros":       func(h *envelope.Header) { h.Targets[0].Device = identity.DeviceID{} },
		"no desk":               func(h *envelope.Header) { h.Desk = "" },
		"desk in capitals":      func(h *envelope.Header) { h.Desk = "Knooppunt/piket" },
		"A21 no targets":        func(h *envelope.Header) { h.Targets = nil },
		"A21 target twice":      func(h *envelope.Header) { h.Targets[1].Device = device(1) },
		"A21 targets unsorted":  func(h *envelope.Header) { h.Targets[0].Device = device(3) },
		"A21 65 targets":        func(h *envelope.Header) { h.Targets = manyTargets(65) },
		"expires when created":  func(h *envelope.Header) { h.Expires = h.Created },
		"expires before":        func(h *envelope.Header) { h.Expires = h.Created - 1 },
		"lives too long":        func(h *envelope.Header) { h.Expires++ },
		"lives too late":        func(h *envelope.Header) { h.Created, h.Expires = envelope.MaxTime, envelope.MaxTime+1 },
		"lives for ever":        func(h *envelope.Header) { h.Created, h.Expires = 0, math.MaxUint64 },
		"age file too short":    func(h *envelope.Header) { h.AgeLength = envelope.MinAge - 1 },
		"age file of 2^64-1":    func(h *envelope.Header) { h.AgeLength = math.MaxUint64 },
		"tier 4":                func(h *envelope.Header) { h.Tier = 4 },
		"attended hash of 31":   func(h *envelope.Header) { h.Attended = h.Attended[1:] },
		"attended hash of 1 MB": func(h *envelope.Header) { h.Attended = make([]byte, 1<<20) },
	} {
		t.Run(name, func(t *testing.T) {
			h := honest()
			change(&h)
			if _, err := h.Prefix(); !errors.Is(err, envelope.ErrFormat) {
				t.Errorf("built: %v", err)
			}
			if e, err := envelope.Parse(raw(t, h, 300)); !errors.Is(err, envelope.ErrFormat) || !reflect.DeepEqual(e, envelope.Envelope{}) {
				t.Errorf("parsed: %v", err)
			}
		})
	}
}

func manyTargets(n int) (out []envelope.Target) {
	for i := range n {
		out = append(out, envelope.Target{Device: device(byte(i + 1))})
	}
	return out
}

// TestRefusesBytes covers A11, A13 and what no header can express.
func TestRefusesBytes(t *testing.T) {
	b := whole(t, honest())
	t.Run("A11 cut anywhere", func(t *testing.T) {
		for n := range b {
			if _, err := envelope.Parse(b[:n]); !errors.Is(err, envelope.ErrFormat) {
				t.Fatalf("cut to %d bytes: %v", n, err)
			}
		}
	})
	header := string(b[6 : len(b)-300])
	if _, err := envelope.Parse(largest(t, 0)); err != nil {
		t.Errorf("the largest: %v", err)
	}
	for name, s := range map[string]string{
		"A13 appended":         string(b) + "\x00",
		"other magic":          "SKE2" + string(b[4:]),
		"A22 header of 64 KiB": "SKE1\xff\xff" + strings.Repeat("\x00", 70_000),
		"header longer":        "SKE1" + string(binary.BigEndian.AppendUint16(nil, uint16(len(header)+1))) + header + "\x00" + string(b[len(b)-300:]),
		"header shorter":       "SKE1" + string(binary.BigEndian.AppendUint16(nil, uint16(len(header)-1))) + header + string(b[len(b)-300:]),
		"A21 not canonical":    string(raw(t, cborOf(t, header), 300)),
		"too large":            string(largest(t, 1)),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := envelope.Parse([]byte(s)); !errors.Is(err, envelope.ErrFormat) {
				t.Error(err)
			}
		})
	}
}

// largest is an envelope of MaxSize and so many bytes more, honest in all else.
func largest(t *testing.T, more int) []byte {
	t.Helper()
	h := honest()
	h.AgeLength = envelope.MaxSize
	prefix, err := h.Prefix()
	if err != nil {
		t.Fatal(err)
	}
	h.AgeLength += uint64(more - len(prefix))
	return whole(t, h)
}

// cborOf is the header as raw CBOR with its version in two bytes.
func cborOf(t *testing.T, header string) rawCBOR {
	t.Helper()
	if !strings.HasPrefix(header, "\xaa\x01\x01") {
		t.Fatalf("header begins %x", header[:3])
	}
	return rawCBOR("\xaa\x01\x18\x01" + header[3:])
}

type rawCBOR string

func (r rawCBOR) MarshalCBOR() ([]byte, error) { return []byte(r), nil }

func TestIDText(t *testing.T) {
	id := envelope.ID{1, 2, 15: 3}
	b, err := json.Marshal(id)
	if err != nil || string(b) != `"01020000-0000-0000-0000-000000000003"` {
		t.Fatalf("%s, %v", b, err)
	}
	var again envelope.ID
	if err := json.Unmarshal(b, &again); err != nil || again != id {
		t.Errorf("%s, %v", again, err)
	}
	if err := again.UnmarshalText([]byte("onzin")); !errors.Is(err, identity.ErrInvalid) {
		t.Errorf("nonsense: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(whole(f, honest()))
	f.Add([]byte("SKE1\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := envelope.Parse(b)
		if err != nil {
			if !errors.Is(err, envelope.ErrFormat) || !reflect.DeepEqual(e, envelope.Envelope{}) {
				t.Fatalf("%v, and %+v", err, e)
			}
			return
		}
		prefix, err := e.Header.Prefix()
		if err != nil || !bytes.Equal(append(prefix, e.Sealed...), b) {
			t.Fatalf("comes back as %x, %v", prefix, err)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	h := honest()
	h.AgeLength = 5735
	raw := whole(b, h)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := envelope.Parse(raw); err != nil {
			b.Fatal(err)
		}
	}
}

// TestA09OtherVersion: what says that it is of another version is refused as that, whatever
// else stands in it, so that people hear to update. Other rubbish is rubbish.
func TestA09OtherVersion(t *testing.T) {
	good := whole(t, honest())
	changed := func(at int, b byte) []byte {
		out := bytes.Clone(good)
		out[at] = b
		return out
	}
	larger := raw(t, map[int]any{1: 2, 2: "another kind of id", 99: 1}, 300)
	for name, c := range map[string]struct {
		raw   []byte
		other bool
	}{
		"A09 layout 2":             {changed(3, '2'), true},
		"A09 layout 9":             {changed(3, '9'), true},
		"A09 header 0":             {changed(8, 0), true},
		"A09 header 2":             {changed(8, 2), true},
		"A09 a header we know not": {larger, true},
		"another magic":            {changed(0, 'X'), false},
		"layout x":                 {changed(3, 'x'), false},
		"no map":                   {changed(6, 0), false},
		"cut":                      {good[:7], false},
		"nothing":                  {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := envelope.Parse(c.raw)
			if !errors.Is(err, envelope.ErrFormat) || errors.Is(err, envelope.ErrVersion) != c.other {
				t.Errorf("another version: %v, want %v; %v", !c.other, c.other, err)
			}
		})
	}
	if _, err := envelope.Parse(good); err != nil {
		t.Errorf("control: %v", err)
	}
}
