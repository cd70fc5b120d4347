package desk

import (
	"net/http"

	"schakel/clients/schakel"
	"schakel/crypto/trust"
)

func (s *Service) devices(r *http.Request) ([]schakel.Device, error) {
	return s.node.Devices(r.Context())
}

// newDevice is the request of a further device, or for another key of the organisation.
type newDevice struct {
	Request []byte `json:"request"`
}

func (s *Service) vouch(r *http.Request) (struct{}, error) {
	in, err := decode[newDevice](r)
	if err != nil {
		return struct{}{}, err
	}
	return struct{}{}, s.node.Vouch(r.Context(), in.Request)
}

func (s *Service) renewOrganisationKey(r *http.Request) (newDevice, error) {
	request, err := s.node.RenewOrganisationKey(r.Context())
	return newDevice{Request: request}, err
}

// revocation ends a device or a person.
type revocation struct {
	Subject trust.Subject `json:"subject"`
	Reason  trust.Reason  `json:"reason"`
}

func (s *Service) revoke(r *http.Request) (struct{}, error) {
	in, err := decode[revocation](r)
	if err != nil {
		return struct{}{}, err
	}
	return struct{}{}, s.node.Revoke(r.Context(), in.Subject, in.Reason)
}

func (s *Service) evidence(r *http.Request) ([]schakel.Evidence, error) {
	return s.node.Evidence(r.Context())
}

func (s *Service) evidenceFile(r *http.Request) ([]byte, error) {
	return s.node.EvidenceFile(r.Context(), r.URL.Query().Get("id"))
}

func (s *Service) registerEntries(r *http.Request) ([][]byte, error) {
	return s.node.RegisterEntries(r.Context())
}
