package seal_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"

	"schakel/crypto/canon"
	"schakel/crypto/cose"
	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/seal"
)

// Sizes of an age file as docs/crypto.md states them, written again here so that
// a wrong constant in the package does not agree with itself.
const (
	introSize  = 22
	stanzaSize = 1557
	footerSize = 48
	nonceSize  = 16
	chunk      = 64 << 10
	sealedTag  = 16
)

// forgery is an evil partner's Seal: each step can be replaced, the others are
// the honest ones.
type forgery struct {
	payload    func(delivery.Delivery) []byte // what is signed
	kind       cose.Kind                      // what it is signed as
	signer     *seal.DeviceKeys               // who signs
	header     func(*envelope.Header)         // before it is signed
	plaintext  func(signed []byte) []byte     // length and padding
	recipients func([]seal.Target) []age.Recipient
}

func (w *world) forge(t testing.TB, p seal.Parcel, f forgery) []byte {
	t.Helper()
	f = f.orHonest(t, w)
	h, d := statedBy(p, w)
	payload, recipients := f.payload(d), f.recipients(p.Targets)
	scratch, err := cose.Assemble(f.kind, payload, make([]byte, 64))
	must(t, err)
	h.AgeLength = uint64(len(ageFile(t, f.plaintext(scratch), recipients)))
	f.header(&h)
	prefix := rawPrefix(t, h)
	tbs, err := cose.ToBeSigned(f.kind, prefix, payload)
	must(t, err)
	signed, err := cose.Assemble(f.kind, payload, ed25519.Sign(f.signer.Sign, tbs))
	must(t, err)
	return append(prefix, ageFile(t, f.plaintext(signed), recipients)...)
}

func (f forgery) orHonest(t testing.TB, w *world) forgery {
	if f.payload == nil {
		f.payload = func(d delivery.Delivery) []byte { b, err := canon.Marshal(d); must(t, err); return b }
	}
	if f.kind == "" {
		f.kind = cose.KindDelivery
	}
	if f.signer == nil {
		f.signer = w.sender
	}
	if f.header == nil {
		f.header = func(*envelope.Header) {}
	}
	if f.plaintext == nil {
		f.plaintext = func(signed []byte) []byte { return pad(signed, minPadded) }
	}
	if f.recipients == nil {
		f.recipients = func(targets []seal.Target) []age.Recipient { return hybrid(t, targets) }
	}
	return f
}

// statedBy gives the header and delivery that an honest Seal makes of p.
func statedBy(p seal.Parcel, w *world) (envelope.Header, delivery.Delivery) {
	h := envelope.Header{Version: 1, ID: p.ID, Sealer: w.sender.ID, Desk: p.Desk, Created: p.Created, Expires: p.Expires, Tier: p.Tier}
	d := p.Delivery
	d.Version = delivery.Version
	for _, target := range p.Targets {
		h.Targets = append(h.Targets, envelope.Target{Device: target.Device, Epoch: target.Epoch})
		d.Keys = append(d.Keys, delivery.KeyUse{Device: target.Device, Epoch: target.Epoch, Recipient: target.Recipient.Hash()})
	}
	return h, d
}

// rawPrefix encodes any header, also one that Header.Prefix refuses.
func rawPrefix(t testing.TB, header any) []byte {
	t.Helper()
	body, err := canon.Marshal(header)
	must(t, err)
	return append(binary.BigEndian.AppendUint16([]byte(envelope.Magic), uint16(len(body))), body...)
}

const minPadded = 4096

// pad puts the length before signed and zeros behind it, up to size.
func pad(signed []byte, size int) []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(len(signed)))
	out = append(out, signed...)
	return append(out, make([]byte, size-len(out))...)
}

func ageFile(t testing.TB, plain []byte, recipients []age.Recipient) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := age.Encrypt(&out, recipients...)
	must(t, err)
	_, err = w.Write(plain)
	must(t, err)
	must(t, w.Close())
	return out.Bytes()
}

// unlabelled gets around age's refusal to mix kinds of recipient.
type unlabelled struct{ age.Recipient }

func (u unlabelled) Wrap(fileKey []byte) ([]*age.Stanza, error) { return u.Recipient.Wrap(fileKey) }

// filler is a recipient nobody can open: a stanza of exactly size bytes.
type filler struct{ size int }

func (f filler) Wrap([]byte) ([]*age.Stanza, error) {
	return []*age.Stanza{{Type: "grease", Args: []string{strings.Repeat("x", f.size-len("-> grease \n\n"))}}}, nil
}

func hybrid(t testing.TB, targets []seal.Target) (out []age.Recipient) {
	t.Helper()
	for _, target := range targets {
		r, err := age.ParseHybridRecipient(target.Recipient.String())
		must(t, err)
		out = append(out, unlabelled{r})
	}
	return out
}

// relay is an evil relay: it changes the header of an honest envelope, the sealed
// part, or both, and states the right length for what it made.
func relay(t testing.TB, raw []byte, change func(h *envelope.Header, sealed []byte) []byte) []byte {
	t.Helper()
	e, err := envelope.Parse(raw)
	must(t, err)
	h := e.Header
	h.Targets = slices.Clone(h.Targets)
	sealed := change(&h, bytes.Clone(e.Sealed))
	h.AgeLength = uint64(len(sealed))
	return append(rawPrefix(t, h), sealed...)
}

// stanzas returns an age file's stanzas as the pieces of text that they are.
func stanzas(sealed []byte, n int) (head []byte, pieces [][]byte, rest []byte) {
	head, rest = sealed[:introSize], sealed[introSize:]
	for range n {
		pieces, rest = append(pieces, rest[:stanzaSize]), rest[stanzaSize:]
	}
	return head, pieces, rest
}

// fakeStanza is one stanza of any type that takes exactly the room of a hybrid one.
func fakeStanza(kind string, args ...string) []byte {
	line := "-> " + strings.Join(append([]string{kind}, args...), " ") + " "
	body := base64.RawStdEncoding.EncodeToString(make([]byte, 32))
	return []byte(line + strings.Repeat("A", stanzaSize-len(line)-1-len(body)-1) + "\n" + body + "\n")
}

// junk is a region of n hybrid stanzas' size that parses as count stanzas.
func junk(n, count int) []byte {
	const one = "-> x\n\n"
	small := strings.Repeat(one, count-1)
	last := n*stanzaSize - len(small) - len("-> \n\n")
	return []byte(small + "-> " + strings.Repeat("x", last) + "\n\n")
}

// header is an age header with a MAC line of zeros, and a body of zeros behind it.
func withBody(stanzas []byte, padded int) []byte {
	mac := base64.RawStdEncoding.EncodeToString(make([]byte, 32))
	out := append([]byte("age-encryption.org/v1\n"), stanzas...)
	out = append(out, "--- "+mac+"\n"...)
	return append(out, make([]byte, nonceSize+padded+sealedTag*((padded+chunk-1)/chunk))...)
}
