//go:build seeded_careless

package schakel

import (
	"crypto/ed25519"
	"os"

	"schakel/crypto/message"
)

const careless = true

// deceive changes what travels along as the tests wish: leaves out the originals, or
// puts forgeries in their place, word for word the same and signed by another key.
func deceive(m *message.Message) {
	switch os.Getenv("DECEIT") {
	case "bare":
		m.Enclosed = [][]byte{}
	case "forged":
		for i, raw := range m.Enclosed {
			m.Enclosed[i] = forged(raw)
		}
	}
}

func forged(raw []byte) []byte {
	s, err := message.Parse(raw)
	if err != nil {
		return raw
	}
	s.Message.Person = []byte{}
	payload, tbs, err := s.Message.ToBeSigned()
	if err != nil {
		return raw
	}
	forgery, err := message.Assemble(payload, ed25519.Sign(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), tbs), nil)
	if err != nil {
		return raw
	}
	return forgery.Raw
}
