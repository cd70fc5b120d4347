package courier_test

import (
	"bytes"
	"errors"
	"testing"

	"schakel/clients/courier"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
)

// sealed is an envelope with so many bytes inside, which nobody can open.
func sealed(t testing.TB, number byte, size int) []byte {
	t.Helper()
	h := envelope.Header{Version: 1, ID: envelope.ID{number}, Sealer: identity.DeviceID{1}, Desk: "vt20/crisis",
		Targets: []envelope.Target{{Device: identity.DeviceID{2}, Epoch: 1}}, Created: 1_780_000_000, Expires: 1_780_000_060, AgeLength: uint64(size), Attended: []byte{}}
	prefix, err := h.Prefix()
	if err != nil {
		t.Fatal(err)
	}
	return append(prefix, bytes.Repeat([]byte{number}, size)...)
}

func three(t testing.TB) [][]byte {
	return [][]byte{sealed(t, 1, 5000), sealed(t, 2, 6000), sealed(t, 3, 7000)}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for n := range 4 {
		want := three(t)[:n]
		file, left := courier.Write(want)
		p, err := courier.Parse(file)
		if err != nil || left != 0 || p.Damaged != 0 || len(p.Envelopes) != n {
			t.Fatalf("%d: %d envelopes, %d left, %d damaged, %v", n, len(p.Envelopes), left, p.Damaged, err)
		}
		for i := range want {
			if !bytes.Equal(want[i], p.Envelopes[i]) {
				t.Errorf("%d of %d is another", i, n)
			}
		}
	}
}

// Each kind of damage costs the envelopes that it touched.
func TestDamageCostsOneEnvelope(t *testing.T) {
	t.Parallel()
	whole, _ := courier.Write(three(t))
	length := bytes.Index(whole, []byte{0x19, 0x13, 0x88}) + 1 // of the first, 5000
	start, second := len(courier.Magic), len(courier.Magic)+len(three(t)[0])
	for name, c := range map[string]struct {
		file          []byte
		want, damaged int
	}{
		"cut off at its end":      {whole[:len(whole)-1], 2, 1},
		"cut off in the middle":   {whole[:second+100], 1, 1},
		"rubbish behind":          {append(bytes.Clone(whole), "rubbish"...), 3, 1},
		"rubbish before":          {append(append([]byte(courier.Magic), "rubbish"...), whole[start:]...), 3, 1},
		"without a beginning":     {flip(whole, second), 2, 1},
		"another header length":   {flip(whole, second+5), 2, 1},
		"much longer than it is":  {flip(whole, length), 2, 1},
		"longer than it is":       {flip(whole, length+1), 2, 1},
		"shorter than it is":      {flip(whole, second+bytes.Index(whole[second:], []byte{0x19, 0x17, 0x70})+2), 3, 1}, // it does not open
		"a bit of what is sealed": {flip(whole, second-1), 3, 0},
		"one taken out":           {append(bytes.Clone(whole[:start]), whole[second:]...), 2, 0},
	} {
		p, err := courier.Parse(c.file)
		if err != nil || len(p.Envelopes) != c.want || p.Damaged != c.damaged {
			t.Errorf("%s: %d envelopes, %d damaged, %v; want %d and %d", name, len(p.Envelopes), p.Damaged, err, c.want, c.damaged)
		}
	}
}

func flip(file []byte, at int) []byte {
	out := bytes.Clone(file)
	out[at] ^= 0x40
	return out
}

func TestBounds(t *testing.T) {
	t.Parallel()
	one := sealed(t, 1, envelope.MinAge)
	many := make([][]byte, courier.MaxEnvelopes+5)
	for i := range many {
		many[i] = one
	}
	file, left := courier.Write(many)
	if p, err := courier.Parse(file); err != nil || left != 5 || len(p.Envelopes) != courier.MaxEnvelopes {
		t.Errorf("%d left, %d found, %v", left, len(p.Envelopes), err)
	}
	if _, err := courier.Parse(append(file, one...)); !errors.Is(err, courier.ErrTooLarge) {
		t.Errorf("one more than may be: %v", err)
	}
	large := sealed(t, 1, 900_000)
	if file, left = courier.Write([][]byte{large, large, large, large, large, large, large, large, large, large}); left != 1 || len(file) > courier.MaxFile {
		t.Errorf("%d bytes, %d left", len(file), left)
	}
	for name, file := range map[string][]byte{"empty": nil, "another": []byte("PK\x03\x04"), "beginnings without end": append([]byte(courier.Magic), bytes.Repeat([]byte(envelope.Magic), 1<<20)...)} {
		if p, err := courier.Parse(file); !errors.Is(err, courier.ErrFormat) || len(p.Envelopes) > 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := courier.Parse(make([]byte, courier.MaxFile+1)); !errors.Is(err, courier.ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
}

// FuzzParse: what is found is whole envelopes of the file, in its order; and a file without
// damage is exactly what Write makes of them.
func FuzzParse(f *testing.F) {
	whole, _ := courier.Write([][]byte{sealed(f, 1, envelope.MinAge), sealed(f, 2, envelope.MinAge)})
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add(flip(whole, 30))
	f.Add([]byte(courier.Magic))
	f.Fuzz(func(t *testing.T, file []byte) {
		p, err := courier.Parse(file)
		if err != nil {
			if !errors.Is(err, courier.ErrFormat) && !errors.Is(err, courier.ErrTooLarge) || p.Envelopes != nil || p.Damaged > 0 && errors.Is(err, courier.ErrTooLarge) {
				t.Fatalf("%v, and %d envelopes", err, len(p.Envelopes))
			}
			return
		}
		rest := file
		for _, raw := range p.Envelopes {
			if _, err := envelope.Parse(raw); err != nil {
				t.Fatal(err)
			}
			i := bytes.Index(rest, raw)
			if i < 0 {
				t.Fatal("not of the file, or out of order")
			}
			rest = rest[i+len(raw):]
		}
		if again, left := courier.Write(p.Envelopes); left != 0 || bytes.Equal(again, file) != (p.Damaged == 0) {
			t.Fatalf("%d damaged, and it comes back as %d bytes of %d, %d left", p.Damaged, len(again), len(file), left)
		}
	})
}
