package seal_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"io"
	"testing"

	"filippo.io/age"

	"schakel/crypto/envelope"
	"schakel/crypto/seal"
)

// Run: go test ./crypto/seal -run - -bench . -benchmem
// Each pair "schakel" and "bare" stands for the same payload: bare is age as it
// comes, and one Ed25519 signature over the same bytes.

var benchmarks = []struct{ devices, bytes int }{{1, 1 << 10}, {1, 64 << 10}, {4, 1 << 10}, {16, 1 << 10}}

func (w *world) ageRecipients(b *testing.B) (out []age.Recipient) {
	for _, t := range w.targets(b) {
		r, err := age.ParseHybridRecipient(t.Recipient.String())
		must(b, err)
		out = append(out, r)
	}
	return out
}

func BenchmarkSeal(b *testing.B) {
	for _, c := range benchmarks {
		w := newWorld(b, c.devices)
		p := w.parcel(b, make([]byte, c.bytes))
		b.Run(fmt.Sprintf("%dx%d/schakel", c.devices, c.bytes), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, err := seal.Seal(p, w.sender)
				must(b, err)
			}
		})
		recipients, plain := w.ageRecipients(b), make([]byte, seal.PaddedSize(c.bytes))
		b.Run(fmt.Sprintf("%dx%d/bare", c.devices, c.bytes), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ed25519.Sign(w.sender.Sign, plain[:c.bytes])
				ageFile(b, plain, recipients)
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, c := range benchmarks {
		w := newWorld(b, c.devices)
		last := c.devices - 1 // age tries every stanza before the one that fits
		raw, lock := w.seal(b, w.parcel(b, make([]byte, c.bytes))), w.lock(last)
		b.Run(fmt.Sprintf("%dx%d/schakel", c.devices, c.bytes), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, err := seal.Open(raw, lock)
				must(b, err)
			}
		})
		id, err := age.ParseHybridIdentity(w.devices[last].key.Secret())
		must(b, err)
		plain := make([]byte, seal.PaddedSize(c.bytes))
		sealed, signature := ageFile(b, plain, w.ageRecipients(b)), ed25519.Sign(w.sender.Sign, plain[:c.bytes])
		public := w.sender.SignPublic()
		b.Run(fmt.Sprintf("%dx%d/bare", c.devices, c.bytes), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r, err := age.Decrypt(bytes.NewReader(sealed), id)
				must(b, err)
				got, err := io.ReadAll(r)
				must(b, err)
				if !ed25519.Verify(public[:], got[:c.bytes], signature) {
					b.Fatal("signature")
				}
			}
		})
	}
}

func BenchmarkSignMessage(b *testing.B) {
	device := newDevice(b)
	m := draft(b, device, recipientDesk)
	b.Run("schakel", func(b *testing.B) {
		for b.Loop() {
			_, err := seal.SignMessage(m, device, nil)
			must(b, err)
		}
	})
	_, tbs, err := m.ToBeSigned()
	must(b, err)
	b.Run("bare", func(b *testing.B) {
		for b.Loop() {
			ed25519.Sign(device.Sign, tbs)
		}
	})
}

// BenchmarkRefuse is what an attacker's envelope costs (A18, A19).
func BenchmarkRefuse(b *testing.B) {
	w := newWorld(b, envelope.MaxTargets)
	raw, lock := w.seal(b, w.parcel(b, []byte("inhoud"))), w.lock(0)
	junkOf := func(stanzas []byte) []byte {
		return relay(b, raw, func(*envelope.Header, []byte) []byte { return withBody(stanzas, 4096) })
	}
	for name, bad := range map[string][]byte{
		"1024 stanzas of fitting size": junkOf(junk(envelope.MaxTargets, 1024)),
		"500 hybrid stanzas":           junkOf(bytes.Repeat(fakeStanza("mlkem768x25519"), 500)),
		"scrypt":                       junkOf(bytes.Repeat(fakeStanza("scrypt", "bBjlhJVYZeE4aqUdmtRHfw", "30"), envelope.MaxTargets)),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := seal.Open(bad, lock); err == nil {
					b.Fatal("opened")
				}
			}
		})
	}
}

func BenchmarkParseRecipient(b *testing.B) {
	key, err := seal.NewEpochKey(1)
	must(b, err)
	b.Run("parsed anew", func(b *testing.B) {
		for b.Loop() {
			_, err := seal.ParseRecipient(key.Recipient())
			must(b, err)
		}
	})
	cache := seal.NewRecipients(10)
	_, err = cache.Add(key.Recipient(), key.RecipientHash())
	must(b, err)
	b.Run("from the cache", func(b *testing.B) {
		for b.Loop() {
			if cache.Get(key.RecipientHash()) == nil {
				b.Fatal("not there")
			}
		}
	})
}
