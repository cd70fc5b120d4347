package daemon

import (
	"log/slog"
	"os"

	"schakel/crypto/identity"
	"schakel/relay"
	"schakel/relay/wire"
)

// fileTamper asks a relay that runs with --demo for its next dishonesty.
const fileTamper = "demo-tamper-next"

// tamperOnRequest flips one bit in the sealed part of the next envelope delivered
// once the file at path is there, and removes the file. It shows what a dishonest
// operator could do, and that the recipient refuses it.
func tamperOnRequest(path string, log *slog.Logger) relay.Tap {
	return func(_ identity.DeviceID, _ wire.Side, f wire.Frame) []wire.Frame {
		d, ok := f.(wire.Deliver)
		if !ok || os.Remove(path) != nil {
			return []wire.Frame{f}
		}
		log.Warn("DEMO: one byte of an envelope changed on purpose")
		changed := append([]byte(nil), d.Envelope...)
		changed[len(changed)-1] ^= 1
		return []wire.Frame{wire.Deliver{Position: d.Position, Envelope: changed}}
	}
}
