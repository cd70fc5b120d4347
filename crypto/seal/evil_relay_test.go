package seal_test

import (
	"bytes"
	"errors"
	"reflect"
	"runtime"
	"testing"

	"schakel/crypto/cose"
	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/seal"
)

// attack is one row of the list of attacks that this layer must stop.
type attack struct {
	id, name string
	want     error
	raw      func(t *testing.T) []byte
}

func runAttacks(t *testing.T, lock seal.Lock, attacks []attack) {
	for _, a := range attacks {
		t.Run(a.id+" "+a.name, func(t *testing.T) {
			refused(t, a.raw(t), lock, a.want)
		})
	}
}

// refused demands the typed error, a word for the audit log, and that nothing at
// all is released with it.
func refused(t *testing.T, raw []byte, lock seal.Lock, want error) {
	t.Helper()
	opened, err := seal.Open(raw, lock)
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
	if !reflect.DeepEqual(opened, seal.Opened{}) {
		t.Errorf("refused, and yet released %+v", opened)
	}
	if seal.Reason(err) == "other" {
		t.Errorf("no word for %v", err)
	}
}

// TestEvilRelay changes an honest envelope for two devices in every way that a
// relay can. The control is the honest envelope, which opens for both.
func TestEvilRelay(t *testing.T) {
	w := newWorld(t, 2)
	honest := w.seal(t, w.parcel(t, []byte("eerste")))
	second := w.seal(t, w.parcel(t, []byte("tweede")))
	for i := range w.devices {
		_, err := seal.Open(honest, w.lock(i))
		must(t, err)
	}
	edit := func(change func(h *envelope.Header)) func(t *testing.T) []byte {
		return func(t *testing.T) []byte {
			return relay(t, honest, func(h *envelope.Header, sealed []byte) []byte { change(h); return sealed })
		}
	}
	runAttacks(t, w.lock(0), []attack{
		{"A02", "replay under a new envelope id", identity.ErrBadSignature, edit(func(h *envelope.Header) { h.ID[15] ^= 1 })},
		{"A03", "misrouted to another desk", seal.ErrNotForMe, edit(func(h *envelope.Header) { h.Desk = otherDesk })},
		{"A04", "other sealing device, unknown", seal.ErrUnknownSealer, edit(func(h *envelope.Header) { h.Sealer[0] ^= 1 })},
		{"A05", "expiry extended", identity.ErrBadSignature, edit(func(h *envelope.Header) { h.Created++; h.Expires++ })},
		{"A06", "created backdated", identity.ErrBadSignature, edit(func(h *envelope.Header) { h.Created--; h.Expires-- })},
		{"A06", "tier lowered or raised", identity.ErrBadSignature, edit(func(h *envelope.Header) { h.Tier = envelope.TierAcute })},
		{"A06", "attended hash put in", identity.ErrBadSignature, edit(func(h *envelope.Header) { h.Attended = make([]byte, 32) })},
		{"A07", "device removed from the header", seal.ErrStanzas, edit(func(h *envelope.Header) { h.Targets = h.Targets[:1] })},
		{"A08", "device added to the header", seal.ErrStanzas, edit(func(h *envelope.Header) {
			h.Targets = append(h.Targets, envelope.Target{Device: lastDevice, Epoch: epoch})
		})},
		{"A08", "device replaced in the header", identity.ErrBadSignature, edit(func(h *envelope.Header) { h.Targets[1].Device = lastDevice })},
		{"A08", "epoch of another device changed", identity.ErrBadSignature, edit(func(h *envelope.Header) { h.Targets[1].Epoch++ })},
		{"A08", "my epoch changed", seal.ErrNoEpochKey, edit(func(h *envelope.Header) { h.Targets[0].Epoch++ })},
		{"A09", "version 0", envelope.ErrFormat, edit(func(h *envelope.Header) { h.Version = 0 })},
		{"A09", "version 2", envelope.ErrFormat, edit(func(h *envelope.Header) { h.Version = 2 })},
		{"A10", "header of one with the age file of another", identity.ErrBadSignature, func(t *testing.T) []byte {
			return relay(t, honest, func(*envelope.Header, []byte) []byte { return parse(t, second).Sealed })
		}},
		{"A13", "bytes appended", envelope.ErrFormat, func(*testing.T) []byte { return append(bytes.Clone(honest), 0) }},
		{"A13", "bytes appended, length corrected", seal.ErrPadding, func(t *testing.T) []byte {
			return relay(t, honest, func(_ *envelope.Header, sealed []byte) []byte { return append(sealed, 0) })
		}},
		{"A13", "a padding's worth of bytes appended", seal.ErrDecrypt, func(t *testing.T) []byte {
			return relay(t, honest, func(_ *envelope.Header, sealed []byte) []byte { return append(sealed, make([]byte, 4096)...) })
		}},
	})
}

// TestSplicedStanzas is A07 and A17: the relay moves stanzas about.
func TestSplicedStanzas(t *testing.T) {
	w := newWorld(t, 2)
	honest := w.seal(t, w.parcel(t, []byte("inhoud")))
	_, err := seal.Open(honest, w.lock(0))
	must(t, err)
	splice := func(change func(pieces [][]byte) [][]byte) func(t *testing.T) []byte {
		return func(t *testing.T) []byte {
			return relay(t, honest, func(_ *envelope.Header, sealed []byte) []byte {
				head, pieces, rest := stanzas(sealed, 2)
				return bytes.Join([][]byte{head, bytes.Join(change(pieces), nil), rest}, nil)
			})
		}
	}
	runAttacks(t, w.lock(0), []attack{
		{"A17", "stanzas swapped", seal.ErrDecrypt, splice(func(p [][]byte) [][]byte { return [][]byte{p[1], p[0]} })},
		{"A17", "my stanza doubled over the other's", seal.ErrDecrypt, splice(func(p [][]byte) [][]byte { return [][]byte{p[0], p[0]} })},
		{"A17", "stanza removed", seal.ErrStanzas, splice(func(p [][]byte) [][]byte { return p[:1] })},
		{"A17", "stanza doubled", seal.ErrStanzas, splice(func(p [][]byte) [][]byte { return [][]byte{p[0], p[1], p[1]} })},
		{"A07", "device and its stanza removed", seal.ErrDecrypt, func(t *testing.T) []byte {
			return relay(t, honest, func(h *envelope.Header, sealed []byte) []byte {
				h.Targets = h.Targets[:1]
				head, pieces, rest := stanzas(sealed, 2)
				return bytes.Join([][]byte{head, pieces[0], rest}, nil)
			})
		}},
	})
}

// TestA04OtherKnownSealer is A04 with a device that the recipient does know.
func TestA04OtherKnownSealer(t *testing.T) {
	w, other := newWorld(t, 1), newDevice(t)
	honest := w.seal(t, w.parcel(t, []byte("van mij")))
	raw := relay(t, honest, func(h *envelope.Header, sealed []byte) []byte { h.Sealer = other.ID; return sealed })
	lock := w.lock(0)
	lock.Sealer = func(d identity.DeviceID) (identity.Key, error) {
		if d == other.ID {
			return other.SignPublic(), nil
		}
		return w.sender.SignPublic(), nil
	}
	refused(t, raw, lock, identity.ErrBadSignature)
	_, err := seal.Open(honest, lock)
	must(t, err)
}

// TestA11Truncated is A11: every shorter envelope, as it stands and with the header
// corrected to state the length that is left.
func TestA11Truncated(t *testing.T) {
	w := newWorld(t, 1)
	raw := w.seal(t, w.parcel(t, []byte("inhoud")))
	sealed := parse(t, raw).Sealed
	for n := range raw {
		if _, err := seal.Open(raw[:n], w.lock(0)); !errors.Is(err, envelope.ErrFormat) {
			t.Fatalf("%d of %d bytes: %v", n, len(raw), err)
		}
	}
	for n := range sealed {
		cut := relay(t, raw, func(*envelope.Header, []byte) []byte { return sealed[:n] })
		if opened, err := seal.Open(cut, w.lock(0)); err == nil || !reflect.DeepEqual(opened, seal.Opened{}) {
			t.Fatalf("%d of %d sealed bytes: opened", n, len(sealed))
		}
	}
}

// TestA12CutAtChunk is A12: the age stream ends where a chunk ends, and the rest is
// of a size that padding does give.
func TestA12CutAtChunk(t *testing.T) {
	w := newWorld(t, 1)
	raw := w.seal(t, w.parcel(t, make([]byte, 100_000)))
	_, err := seal.Open(raw, w.lock(0))
	must(t, err)
	cut := relay(t, raw, func(_ *envelope.Header, sealed []byte) []byte {
		return sealed[:introSize+stanzaSize+footerSize+nonceSize+chunk+sealedTag]
	})
	refused(t, cut, w.lock(0), seal.ErrDecrypt)
}

// TestFlippedBits is A14 to A16: one bit, at every byte of the age file. The control is
// that the envelope opens once all bits are back.
func TestFlippedBits(t *testing.T) {
	w := newWorld(t, 1)
	raw := w.seal(t, w.parcel(t, []byte("inhoud")))
	start := len(raw) - len(parse(t, raw).Sealed)
	step := 1
	if testing.Short() || raceEnabled {
		step = 97
	}
	from := start
	for _, part := range []struct {
		name string
		size int
	}{
		{"A14 bit in the stanza", introSize + stanzaSize},
		{"A15 bit in the MAC line", footerSize},
		{"A16 bit in the payload", len(raw) - start - introSize - stanzaSize - footerSize},
	} {
		t.Run(part.name, func(t *testing.T) {
			for i := from; i < from+part.size; i += min(step, part.size/4) {
				raw[i] ^= 4
				_, err := seal.Open(raw, w.lock(0))
				if !errors.Is(err, seal.ErrDecrypt) && !errors.Is(err, seal.ErrStanzas) {
					t.Fatalf("bit in byte %d of the age file: %v", i-start, err)
				}
				raw[i] ^= 4
			}
		})
		from += part.size
	}
	_, err := seal.Open(raw, w.lock(0))
	must(t, err)
}

// TestA18JunkStanzas is A18: a thousand stanzas, also where the sizes are right. No
// key is looked up for the plain ones; those of the right size end in the count.
func TestA18JunkStanzas(t *testing.T) {
	w := newWorld(t, envelope.MaxTargets)
	raw := w.seal(t, w.parcel(t, []byte("inhoud")))
	for _, count := range []int{1, 2, 63, 65, 1024} {
		fitting := relay(t, raw, func(*envelope.Header, []byte) []byte { return withBody(junk(envelope.MaxTargets, count), 4096) })
		refused(t, fitting, w.lock(0), seal.ErrStanzas)
	}
	lock := w.lock(0)
	lock.Epoch = func(uint64) (*seal.EpochKey, error) { t.Error("key looked up for junk"); return nil, errUnknown }
	plain := relay(t, raw, func(*envelope.Header, []byte) []byte {
		return withBody(bytes.Repeat(fakeStanza("mlkem768x25519"), 400), 4096)
	})
	refused(t, plain, lock, seal.ErrStanzas)
}

// TestA20OtherStanzas is A20: any other kind of stanza, armor, and hybrid stanzas of
// another shape, each in exactly the room of the honest one. The control is that
// the same room with the honest stanza opens.
func TestA20OtherStanzas(t *testing.T) {
	w := newWorld(t, 1)
	raw := w.seal(t, w.parcel(t, []byte("inhoud")))
	replaced := func(stanza []byte) []byte {
		return relay(t, raw, func(_ *envelope.Header, sealed []byte) []byte {
			head, pieces, rest := stanzas(sealed, 1)
			if stanza == nil {
				stanza = pieces[0]
			}
			return bytes.Join([][]byte{head, stanza, rest}, nil)
		})
	}
	_, err := seal.Open(replaced(nil), w.lock(0))
	must(t, err)
	for _, s := range [][]byte{
		fakeStanza("X25519"), fakeStanza("scrypt", "bBjlhJVYZeE4aqUdmtRHfw", "30"), fakeStanza("ssh-ed25519", "TxlpAw"),
		fakeStanza("ssh-rsa", "mhir0Q"), fakeStanza("piv-p256", "vRN0yg"), fakeStanza("p256tag"), fakeStanza("x-grease"),
		fakeStanza("mlkem768x25519", "extra"), fakeStanza("MLKEM768X25519"),
	} {
		refused(t, replaced(s), w.lock(0), seal.ErrStanzas)
	}
	armored := relay(t, raw, func(*envelope.Header, []byte) []byte { return armor(t, parse(t, raw).Sealed) })
	refused(t, armored, w.lock(0), seal.ErrStanzas)
}

// TestFloods is A22: what claims to be huge costs no memory.
func TestFloods(t *testing.T) {
	w := newWorld(t, 1)
	for name, raw := range map[string][]byte{
		"empty":                  {},
		"header of 65535 bytes":  append([]byte("SKE1\xff\xff"), make([]byte, 70_000)...),
		"header of 8193 bytes":   append([]byte("SKE1\x20\x01"), make([]byte, 70_000)...),
		"2^32-1 array elements":  append([]byte("SKE1\x00\x06\xa1\x05\x9a\xff\xff\xff\xff"), make([]byte, 300)...),
		"2^63 bytes of string":   append([]byte("SKE1\x00\x0b\xa1\x02\x5b\x7f\xff\xff\xff\xff\xff\xff\xff"), make([]byte, 300)...),
		"more than the greatest": make([]byte, envelope.MaxSize+1),
	} {
		t.Run("A22 "+name, func(t *testing.T) {
			before := allocated()
			refused(t, raw, w.lock(0), envelope.ErrFormat)
			if used := allocated() - before; used > 64<<10 {
				t.Errorf("took %d bytes", used)
			}
		})
	}
}

// TestA23TypeConfusion is A23: bytes signed as one thing are never read as another.
func TestA23TypeConfusion(t *testing.T) {
	w := newWorld(t, 1)
	lock := w.lock(0)
	p := w.parcel(t, []byte("inhoud"))
	refused(t, w.forge(t, p, forgery{kind: cose.KindMessage}), lock, delivery.ErrFormat)
	relabelled := p
	relabelled.Delivery.Kind, relabelled.Delivery.Content = delivery.KindMessage, statement(t)
	for _, parcel := range []seal.Parcel{p, relabelled} {
		opened, err := seal.Open(w.seal(t, parcel), lock)
		must(t, err)
		if _, err := opened.Message(); err == nil {
			t.Errorf("kind %d was read as a message", parcel.Delivery.Kind)
		}
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// lastDevice sorts behind every other.
var lastDevice = identity.DeviceID(bytes.Repeat([]byte{255}, 16))

func parse(t testing.TB, raw []byte) envelope.Envelope {
	t.Helper()
	e, err := envelope.Parse(raw)
	must(t, err)
	return e
}
