package trust

import (
	"fmt"
	"strings"

	"schakel/crypto/identity"
)

// Relay names the relay of a chain and the keys by which clients know it.
type Relay struct {
	ID      string       // a slug, such as "relay-1"; the audience of login tokens
	URL     string       // "wss://host:port", or ws:// for a demo on one machine
	TLS     Hash         // SHA-256 of the SubjectPublicKeyInfo of its TLS key
	Receipt identity.Key // signs custody receipts
	Log     VKey         // signs checkpoints; its name is their origin
}

// Kind is KindRelay.
func (Relay) Kind() Kind { return KindRelay }

// Subject is "relay/" and the id.
func (b Relay) Subject() Subject { return Subject("relay/" + b.ID) }

func (Relay) signers() []string { return []string{asRoot} }

// Sign makes the entry; k of the root must sign.
func (b Relay) Sign(at Place, holders ...Signer) ([]byte, error) {
	return signEntry(b, at, byRoots(holders)...)
}

func (b Relay) write(w *writer) {
	w.text("url", b.URL)
	w.hash("tls", b.TLS)
	w.text("receipt", b.Receipt.String())
	w.text("log", b.Log.String())
}

func readRelay(s Subject, r *reader) Relay {
	return Relay{
		ID:      trimSubject(r, s, KindRelay),
		URL:     r.text("url", 255),
		TLS:     r.hash("tls"),
		Receipt: r.key("receipt"),
		Log:     take(r, "log", 160, ParseLogKey),
	}
}

func (b Relay) check() error {
	if _, err := identity.ParseOrgID(b.ID); err != nil {
		return fmt.Errorf("%w: relay id: %w", ErrFormat, err)
	}
	host, secure := strings.CutPrefix(b.URL, "wss://")
	if !secure {
		host, _ = strings.CutPrefix(b.URL, "ws://")
	}
	if host == b.URL || host == "" || strings.Contains(b.URL, " ") || !printable(b.URL, 255) {
		return fmt.Errorf("%w: relay url %q: write it as wss://host:port", ErrFormat, clip(b.URL))
	}
	if b.Log.alg != algEd25519 {
		return fmt.Errorf("%w: log key missing", ErrFormat)
	}
	return distinct(b.Receipt, b.Log.Key)
}
