package casefile

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/trust"
)

// ErrDeletion is wrapped by every refusal of a deletion statement.
var ErrDeletion = errors.New("not a deletion statement")

// Deletion is the statement that stays when the key of a case is destroyed: what,
// when, by which device, and under which closing message. It says nothing of what the
// messages said, and nothing of copies, backups and disks outside the reach of the
// device that signs it.
type Deletion struct {
	Case     message.CaseRef
	Desk     identity.DeskID
	Device   identity.DeviceID
	At       time.Time // whole seconds
	Due      time.Time // the date that had come
	Closing  message.Hash
	ClosedBy identity.DeskID
	Messages []message.Hash // sorted
}

const (
	deletionHead  = "schakel/vernietiging/1"
	maxDeletion   = 1 << 20
	signatureName = "handtekening"
)

func (d Deletion) text() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\nzaak %s\nbureau %s\napparaat %s\nvernietigd %s\ntermijn %s\nafsluiting %s\ngesloten-door %s\n", deletionHead, d.Case, d.Desk,
		d.Device, d.At.UTC().Format(time.RFC3339), d.Due.UTC().Format(time.RFC3339), d.Closing, d.ClosedBy)
	for _, h := range d.Messages {
		fmt.Fprintf(&b, "bericht %s\n", h)
	}
	return b.Bytes()
}

// Sign makes the statement: text, and as its last line the signature over all before it.
func (d Deletion) Sign(device trust.Signer) ([]byte, error) {
	d.At, d.Due = d.At.UTC().Truncate(time.Second), d.Due.UTC().Truncate(time.Second)
	d.Messages = slices.Clone(d.Messages)
	slices.SortFunc(d.Messages, func(a, b message.Hash) int { return bytes.Compare(a[:], b[:]) })
	text := d.text()
	sig, err := device.Sign(text)
	if err != nil {
		return nil, fmt.Errorf("failed to sign a deletion statement: %w", err)
	}
	return fmt.Appendf(text, "%s %s\n", signatureName, base64.StdEncoding.EncodeToString(sig)), nil
}

// ParseDeletion accepts one spelling. It verifies nothing: see VerifyDeletion.
func ParseDeletion(raw []byte) (d Deletion, err error) {
	d, _, _, err = parseDeletion(raw)
	return d, err
}

// VerifyDeletion verifies a statement against a register.
func VerifyDeletion(raw []byte, reg *trust.Register) (Deletion, error) {
	d, text, sig, err := parseDeletion(raw)
	if err != nil {
		return d, err
	}
	device, ok := reg.Device(d.Device)
	if !ok || device.Desk != d.Desk {
		return d, fmt.Errorf("%w: device %s is not one of %s", identity.ErrBadSignature, d.Device, d.Desk)
	}
	return d, device.SignKey.Verify(text, sig)
}

// IsDeletions reports whether a file begins as a deletion statement does.
func IsDeletions(raw []byte) bool { return bytes.HasPrefix(raw, []byte(deletionHead+"\n")) }

// Deletions cuts a file into its statements, which stand one behind the other.
func Deletions(raw []byte) (all [][]byte) {
	for IsDeletions(raw) {
		end := bytes.Index(raw[1:], []byte("\n"+deletionHead+"\n"))
		if end < 0 {
			return append(all, raw)
		}
		all, raw = append(all, raw[:end+2]), raw[end+2:]
	}
	return all
}

func parseDeletion(raw []byte) (d Deletion, text, sig []byte, err error) {
	rest, ok := strings.CutPrefix(string(raw), deletionHead+"\n")
	if !ok || len(raw) > maxDeletion || !strings.HasSuffix(rest, "\n") {
		return d, nil, nil, ErrDeletion
	}
	l := &lines{rest: strings.Split(strings.TrimSuffix(rest, "\n"), "\n")}
	instant := func(s string) (time.Time, error) { return time.Parse(time.RFC3339, s) }
	d.Case = get(l, parseCase, l.next("zaak"))
	d.Desk = get(l, identity.ParseDeskID, l.next("bureau"))
	d.Device = get(l, identity.ParseDeviceID, l.next("apparaat"))
	d.At = get(l, instant, l.next("vernietigd"))
	d.Due = get(l, instant, l.next("termijn"))
	d.Closing = message.Hash(get(l, parseDigest, l.next("afsluiting")))
	d.ClosedBy = get(l, identity.ParseDeskID, l.next("gesloten-door"))
	for l.err == nil && len(l.rest) > 1 {
		d.Messages = append(d.Messages, message.Hash(get(l, parseDigest, l.next("bericht"))))
	}
	sig = get(l, base64.StdEncoding.Strict().DecodeString, l.next(signatureName))
	if l.err == nil && len(l.rest) == 0 {
		text = d.text()
		if bytes.Equal(fmt.Appendf(slices.Clone(text), "%s %s\n", signatureName, base64.StdEncoding.EncodeToString(sig)), raw) {
			return d, text, sig, nil
		}
	}
	return d, nil, nil, ErrDeletion
}
