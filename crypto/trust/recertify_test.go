package trust_test

import (
	"bytes"
	"errors"
	"testing"

	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
)

// An entry that waited while the organisation's key was replaced counts again under the new
// one, with what its subject signed of it. Nobody else's key makes it count.
func TestRecertify(t *testing.T) {
	w := newWorld(t)
	old := w.freshDevice()
	if _, err := w.Register().Check(old); err != nil {
		t.Fatal("control:", err)
	}
	if same := w.ok(trust.Recertify(old, trusttest.OrgKey("vt20"))); !bytes.Equal(same, old) {
		t.Error("by the same key it is another entry")
	}
	other := w.ok(trust.Recertify(old, trusttest.NewKey("somebody")))
	if _, err := w.Register().Check(other); !errors.Is(err, trust.ErrUnauthorised) {
		t.Errorf("by somebody else's key: %v", err)
	}
	if back := w.ok(trust.Recertify(other, trusttest.OrgKey("vt20"))); !bytes.Equal(back, old) {
		t.Error("the device's own signatures are not those of before")
	}
	if _, err := trust.Recertify([]byte("rubbish"), trusttest.OrgKey("vt20")); !errors.Is(err, trust.ErrFormat) {
		t.Errorf("rubbish: %v", err)
	}
}
