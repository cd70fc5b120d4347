package seal_test

import (
	"bytes"
	"testing"

	"schakel/crypto/delivery"
	"schakel/crypto/seal"
)

// TestSealOpen is the control of every refusal in this package: the honest
// envelope opens, for every device of the desk, to what was put in.
func TestSealOpen(t *testing.T) {
	for _, devices := range []int{1, 2, 7, 64} {
		w := newWorld(t, devices)
		raw := w.seal(t, w.parcel(t, []byte("inhoud")))
		for i := range w.devices {
			opened, err := seal.Open(raw, w.lock(i))
			if err != nil {
				t.Fatalf("%d devices, device %d: %v", devices, i, err)
			}
			if !bytes.Equal(opened.Delivery.Content, []byte("inhoud")) || opened.Delivery.Kind != delivery.KindTest {
				t.Fatalf("%d devices, device %d: got %+v", devices, i, opened.Delivery)
			}
		}
	}
}
