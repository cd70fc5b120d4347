package seal_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"testing"

	"schakel/crypto/custody"
	"schakel/crypto/delivery"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/seal"
)

const vectorsFile = "../testdata/schakel-vectors.json"

var update = flag.Bool("update", false, "write "+vectorsFile+" anew")

// vectors is the published file: everything a second implementation needs to
// check itself. Binary values are lower-case hexadecimal.
type vectors struct {
	About   string       `json:"about"`
	Keys    vectorKeys   `json:"keys"`
	Sizes   []vectorSize `json:"sizes"`
	Vectors []vector     `json:"vectors"`
}

type vectorKeys struct {
	Device       string         `json:"device"`
	Sign         vectorKey      `json:"sign"`
	Person       string         `json:"person"`
	PersonSign   vectorKey      `json:"personSign"`
	RelayReceipt vectorKey      `json:"relayReceipt"`
	Desk         string         `json:"recipientDesk"`
	Recipients   []vectorMember `json:"recipients"`
}

type vectorKey struct {
	Seed   string `json:"seed"`
	Public string `json:"public"`
}

type vectorMember struct {
	Device    string `json:"device"`
	Epoch     uint64 `json:"epoch"`
	Secret    string `json:"secret"`
	Recipient string `json:"recipient"`
	Hash      string `json:"recipientHash"`
}

// vectorSize: a delivery of so many bytes gives so long a plaintext, and an age
// file of that size for so many devices.
type vectorSize struct {
	Delivery  int `json:"delivery"`
	Plaintext int `json:"plaintext"`
	Devices   int `json:"devices"`
	AgeFile   int `json:"ageFile"`
}

// vector is one good value, what a reader must find in it, and its failing twins.
// Context is what else the reader is given: the envelope prefix of a delivery, the
// SHA-256 of a receipt's envelope.
type vector struct {
	Name    string            `json:"name"`
	What    string            `json:"what"`
	Good    string            `json:"good"`
	Context string            `json:"context,omitempty"`
	Gives   map[string]string `json:"gives"`
	Twins   []twin            `json:"twins"`
}

// twin is nearly the same value, and must be refused; Refusal says why in a word.
type twin struct {
	Bytes   string `json:"bytes"`
	Why     string `json:"why"`
	Refusal string `json:"refusal"`
}

// TestVectors checks the published file: every good vector gives what it says,
// every twin is refused for the reason it says.
func TestVectors(t *testing.T) {
	if *update {
		must(t, os.WriteFile(vectorsFile, encodeVectors(t, makeVectors(t)), 0o644))
	}
	b, err := os.ReadFile(vectorsFile)
	must(t, err)
	var v vectors
	must(t, json.Unmarshal(b, &v))
	r := newReader(t, v.Keys)
	for _, v := range v.Vectors {
		t.Run(v.Name, func(t *testing.T) {
			gives, err := r.read(v.What, v.Good, v.Context)
			if err != nil || !maps.Equal(gives, v.Gives) {
				t.Errorf("gives %v, %v; want %v", gives, err, v.Gives)
			}
			if len(v.Twins) == 0 {
				t.Error("no failing twin")
			}
			for _, w := range v.Twins {
				if _, err := r.read(v.What, w.Bytes, v.Context); refusal(err) != w.Refusal {
					t.Errorf("%s: %v, want %q", w.Why, err, w.Refusal)
				}
			}
		})
	}
	for _, s := range v.Sizes {
		if seal.PaddedSize(s.Delivery) != s.Plaintext || seal.SealedSize(s.Devices, s.Plaintext) != s.AgeFile {
			t.Errorf("sizes %+v", s)
		}
	}
}

// TestVectorsAreGenerated makes the file again from its fixed seed and compares
// it byte for byte. It may differ after an upgrade of Go or age, which may draw
// their random bytes in another order: then TestVectors must still pass on the old
// file, before a new one is written with -update.
func TestVectorsAreGenerated(t *testing.T) {
	want, err := os.ReadFile(vectorsFile)
	must(t, err)
	if got := encodeVectors(t, makeVectors(t)); !bytes.Equal(got, want) {
		t.Errorf("%s is not what the generator makes: run `go test ./crypto/seal -run TestVectors -update`", vectorsFile)
	}
}

func encodeVectors(t *testing.T, v vectors) []byte {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	must(t, err)
	return append(b, '\n')
}

// reader reads a vector as a recipient would, knowing only the file's keys.
type reader struct {
	sign, person, relay identity.Key
	lock                seal.Lock
}

func newReader(t *testing.T, k vectorKeys) reader {
	t.Helper()
	var r reader
	for text, key := range map[string]*identity.Key{k.Sign.Public: &r.sign, k.PersonSign.Public: &r.person, k.RelayReceipt.Public: &r.relay} {
		must(t, key.UnmarshalText([]byte(text)))
	}
	sealer, err := identity.ParseDeviceID(k.Device)
	must(t, err)
	me, err := identity.ParseDeviceID(k.Recipients[0].Device)
	must(t, err)
	epochKey, err := seal.ParseEpochKey(k.Recipients[0].Epoch, k.Recipients[0].Secret)
	must(t, err)
	r.lock = seal.Lock{
		Desk: identity.DeskID(k.Desk), Device: me,
		Epoch: func(uint64) (*seal.EpochKey, error) { return epochKey, nil },
		Sealer: func(d identity.DeviceID) (identity.Key, error) {
			if d != sealer {
				return identity.Key{}, errUnknown
			}
			return r.sign, nil
		},
	}
	return r
}

func (r reader) read(what, value, context string) (map[string]string, error) {
	if text, ok := map[string]func(string) (map[string]string, error){
		"key": readKey, "device": readDevice, "desk": readDesk, "recipient": readRecipient, "fingerprint": readFingerprint(context),
	}[what]; ok {
		return text(value)
	}
	raw, err := hex.DecodeString(value)
	if err != nil {
		return nil, err
	}
	with, err := hex.DecodeString(context)
	if err != nil {
		return nil, err
	}
	switch what {
	case "message":
		return r.readMessage(raw)
	case "statement":
		s, err := delivery.ParseStatement(raw)
		return gives(err, "from", s.From, "to", s.To, "number", s.Number, "peers", len(s.Peers), "statuses", len(s.Statuses))
	case "copy":
		c, err := delivery.ParseCopy(raw)
		return gives(err, "message", hex.EncodeToString(c.Message), "sent", len(c.Sent))
	case "record":
		s, err := delivery.ParseRecord(raw)
		if err == nil {
			err = s.Verify(r.person)
		}
		return gives(err, "kind", s.Record.Kind, "hash", s.Hash(), "content", string(s.Record.Content))
	case "delivery":
		d, err := delivery.Verify(raw, with, r.sign)
		return gives(err, "kind", d.Kind, "content", string(d.Content), "counter", d.Counter, "keys", len(d.Keys))
	case "envelope":
		o, err := seal.Open(raw, r.lock)
		return gives(err, "id", o.Envelope.Header.ID, "tier", o.Envelope.Header.Tier, "kind", o.Delivery.Kind, "content", string(o.Delivery.Content))
	case "receipt":
		return r.readReceipt(raw, with)
	}
	return nil, fmt.Errorf("no such vector: %q", what)
}

func (r reader) readMessage(raw []byte) (map[string]string, error) {
	s, err := message.Parse(raw)
	if err != nil {
		return nil, err
	}
	if err := s.VerifyDevice(r.sign); err != nil {
		return nil, err
	}
	if len(s.Message.Person) > 0 {
		err = s.VerifyPerson(r.person)
	}
	return gives(err, "hash", s.Hash(), "id", s.Message.ID, "body", string(s.Message.Body), "person", hex.EncodeToString(s.Message.Person))
}

func (r reader) readReceipt(raw, digest []byte) (map[string]string, error) {
	c, err := custody.ParseReceipt(raw)
	if err != nil {
		return nil, err
	}
	err = custody.Verify(c.Batch, c.Leaf, [32]byte(digest), r.relay)
	return gives(err, "root", hex.EncodeToString(c.Batch.Root[:]), "size", c.Batch.Size, "index", c.Leaf.Index, "guarantee", c.Batch.Guarantee)
}

func readKey(s string) (map[string]string, error) {
	k, err := identity.ParseKeyText(s)
	return gives(err, "bytes", hex.EncodeToString(k[:]))
}

func readDevice(s string) (map[string]string, error) {
	d, err := identity.ParseDeviceID(s)
	return gives(err, "bytes", hex.EncodeToString(d[:]))
}

func readDesk(s string) (map[string]string, error) {
	d, err := identity.ParseDeskID(s)
	return gives(err, "org", d.Org())
}

func readRecipient(s string) (map[string]string, error) {
	r, err := seal.ParseRecipient(s)
	if err != nil {
		return nil, err
	}
	hash := r.Hash()
	return gives(nil, "hash", hex.EncodeToString(hash[:]))
}

// readFingerprint compares what a person typed with the fingerprint of the public
// bytes in context.
func readFingerprint(context string) func(string) (map[string]string, error) {
	return func(typed string) (map[string]string, error) {
		want := identity.Fingerprint("genesis", []byte(context))
		if !identity.SameFingerprint(want, typed) {
			return nil, errFingerprint
		}
		return gives(nil, "fingerprint", want)
	}
}

var errFingerprint = errors.New("another fingerprint")

func gives(err error, pairs ...any) (map[string]string, error) {
	if err != nil {
		return nil, err
	}
	m := make(map[string]string)
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i].(string)] = fmt.Sprint(pairs[i+1])
	}
	return m, nil
}

func refusal(err error) string {
	for _, r := range []struct {
		err  error
		word string
	}{
		{custody.ErrProof, "custody-proof"}, {custody.ErrFormat, "custody-format"}, {identity.ErrKey, "key"}, {seal.ErrKey, "key"},
		{errFingerprint, "fingerprint"},
	} {
		if errors.Is(err, r.err) {
			return r.word
		}
	}
	if word := seal.Reason(err); word != "other" || !errors.Is(err, identity.ErrInvalid) {
		return word
	}
	return "identifier"
}
