package trust

import (
	"encoding/base64"
	"errors"
	"fmt"

	"schakel/crypto/identity"
)

// ErrRequest is wrapped by every refusal of a request for admission.
var ErrRequest = errors.New("not a valid request for admission")

const (
	requestLine = "schakel.example/admission/v1"
	maxRequest  = 32 << 10
)

// AdmissionRequest is what a partner hands to the root holders: its organisation,
// its desk, and the desk's entry as far as the organisation can sign it. It is
// signed by the organisation's key, which proves possession and no more: who sent
// it, the holders ask by telephone, comparing [AdmissionRequest.Fingerprint].
type AdmissionRequest struct {
	Org       Org
	Desk      Desk
	deskEntry []byte
}

// Sign makes the file.
func (a AdmissionRequest) Sign(org Signer) ([]byte, error) {
	entry, err := a.Desk.Sign(First(), org)
	if err != nil {
		return nil, err
	}
	a.deskEntry = entry
	if err := a.check(); err != nil {
		return nil, err
	}
	n := signedNote{text: a.text()}
	if err := n.sign(asOrg, org); err != nil {
		return nil, err
	}
	return n.format(), nil
}

// ParseAdmissionRequest accepts one spelling and verifies the organisation's
// signatures by the key that the request itself names.
func ParseAdmissionRequest(raw []byte) (AdmissionRequest, error) {
	n, err := parseNote(raw, maxRequest)
	if err != nil {
		return AdmissionRequest{}, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	r := &reader{rest: n.text}
	r.literal(requestLine)
	a := AdmissionRequest{Org: readOrg(Subject(r.text("subject", 80)), r), deskEntry: r.bytes("desk", MaxEntry)}
	if r.err != nil {
		return AdmissionRequest{}, fmt.Errorf("%w: %v", ErrRequest, r.err)
	}
	e, err := ParseEntry(a.deskEntry)
	if err != nil {
		return AdmissionRequest{}, fmt.Errorf("%w: desk: %v", ErrRequest, err)
	}
	desk, ok := e.Body.(Desk)
	if !ok {
		return AdmissionRequest{}, fmt.Errorf("%w: the desk is not a desk", ErrRequest)
	}
	a.Desk = desk
	if err := a.check(); err != nil {
		return AdmissionRequest{}, err
	}
	if _, err := n.signedBy(signers{asOrg: {a.Org.Key}}); err != nil || a.text() != n.text || !n.ordered([]string{asOrg}) {
		return AdmissionRequest{}, fmt.Errorf("%w: not signed by the organisation's key", ErrRequest)
	}
	return a, nil
}

func (a AdmissionRequest) text() string {
	var w writer
	w.b.WriteString(requestLine + "\n")
	w.text("subject", string(a.Org.Subject()))
	a.Org.write(&w)
	w.text("desk", base64.StdEncoding.EncodeToString(a.deskEntry))
	return w.b.String()
}

func (a AdmissionRequest) check() error {
	if err := a.Org.check(); err != nil {
		return fmt.Errorf("%w: %v", ErrRequest, err)
	}
	if a.Org.Status != OrgActive || a.Desk.ID.Org() != a.Org.ID {
		return fmt.Errorf("%w: desk %s of organisation %s, status %s", ErrRequest, a.Desk.ID, a.Org.ID, a.Org.Status)
	}
	e, err := ParseEntry(a.deskEntry)
	if err != nil {
		return fmt.Errorf("%w: desk: %v", ErrRequest, err)
	}
	if e.Place != First() || e.signedByAll(mustSign{asOrg, a.Org.Key}) != nil {
		return fmt.Errorf("%w: desk entry not signed by the organisation alone", ErrRequest)
	}
	return nil
}

// PurposeOrgKey is the purpose of the fingerprint of an organisation's key, here and
// wherever people compare one.
const PurposeOrgKey = "organisation key"

// Fingerprint is that of the organisation's key, for comparing by telephone.
func (a AdmissionRequest) Fingerprint() string {
	return identity.Fingerprint(PurposeOrgKey, a.Org.Key[:])
}

// Rekey makes the entry that gives an organisation of reg the key of the request, signed
// by holders of the root: where the old one is lost or in other hands. Its desks, devices
// and persons stay as they are; end what was stolen besides. With fewer holders than the
// threshold it does not count until others Cosign it.
func (a AdmissionRequest) Rekey(reg *Register, holders ...Signer) ([]byte, error) {
	known, ok := reg.Org(a.Org.ID)
	switch desk, there := reg.Desk(a.Desk.ID); {
	case !ok || !there || desk.Revoked != 0 || known.Revoked != 0:
		return nil, fmt.Errorf("%w: desk %s is not in the register: admit it", ErrRequest, a.Desk.ID)
	case known.Key == a.Org.Key:
		return nil, fmt.Errorf("%w: organisation %s has this key already", ErrRequest, a.Org.ID)
	case known.OIN != a.Org.OIN:
		return nil, fmt.Errorf("%w: organisation %s has another OIN in the register", ErrRequest, a.Org.ID)
	}
	org := known.Org
	org.Key, org.Status = a.Org.Key, OrgActive
	return org.Sign(reg.Next(org.Subject()), holders...)
}

// Admit makes the entries that admit the desk, and its organisation where reg does
// not have that yet, signed by holders of the root. With fewer holders than the
// threshold they do not count until others Cosign them.
func (a AdmissionRequest) Admit(reg *Register, holders ...Signer) ([][]byte, error) {
	if _, ok := reg.Desk(a.Desk.ID); ok {
		return nil, fmt.Errorf("%w: desk %s is in the register already", ErrRequest, a.Desk.ID)
	}
	var entries [][]byte
	switch known, ok := reg.Org(a.Org.ID); {
	case !ok:
		entry, err := a.Org.Sign(reg.Next(a.Org.Subject()), holders...)
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry)
	case known.Key != a.Org.Key || !known.Active():
		return nil, fmt.Errorf("%w: organisation %s is in the register with another key, or not active", ErrRequest, a.Org.ID)
	}
	desk, err := Cosign(a.deskEntry, byRoots(holders)...)
	if err != nil {
		return nil, err
	}
	return append(entries, desk), nil
}
