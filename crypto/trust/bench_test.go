package trust_test

import (
	"fmt"
	"sync"
	"testing"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
)

// large is a register of 10 000 entries: 1000 desks in 250 organisations, 2916
// devices with a person and epochs each.
var large = sync.OnceValue(func() *trusttest.Chain {
	c := trusttest.New(now)
	for i := 0; c.Size() < 10_000-3; i++ {
		desk := identity.DeskID(fmt.Sprintf("org-%d/desk-%d", i%250, i%1000))
		c.Enrol(desk, identity.RoleVeiligThuis)
	}
	return c
})

func BenchmarkReplay(b *testing.B) {
	c := large()
	entries := c.Entries()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := trust.Replay(entries, c.Fingerprint()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(entries)), "µs/entry")
}

func BenchmarkParseEntry(b *testing.B) {
	c := trusttest.New(now)
	c.Enrol("vt20/crisis", identity.RoleVeiligThuis)
	for _, e := range c.Entries() {
		entry, err := trust.ParseEntry(e)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(string(entry.Body.Kind()), func(b *testing.B) {
			for b.Loop() {
				trust.ParseEntry(e)
			}
		})
	}
}

func BenchmarkClone(b *testing.B) {
	reg := large().Register()
	b.ReportAllocs()
	for b.Loop() {
		reg.Clone()
	}
}

// BenchmarkLookup is what the relay asks per envelope.
func BenchmarkLookup(b *testing.B) {
	reg := large().Register()
	desk := reg.DevicesOf("org-7/desk-7")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			for _, d := range desk {
				if _, ok := reg.Device(d.ID); !ok {
					b.Fail()
				}
				if _, err := reg.EpochFor(d.ID, now); err != nil {
					b.Fail()
				}
			}
		}
	})
}

func BenchmarkDevicesOf(b *testing.B) {
	reg := large().Register()
	b.ReportAllocs()
	for b.Loop() {
		if len(reg.DevicesOf("org-7/desk-7")) == 0 {
			b.Fail()
		}
	}
}
