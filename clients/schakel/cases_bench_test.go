package schakel_test

import (
	"testing"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/clients/store"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// BenchmarkCases is the list of cases of a desk that has 300 of them, of ten messages
// each, of which it shows 200: each is computed anew from what the disk holds.
func BenchmarkCases(b *testing.B) {
	m := schakeltest.New(b).Join("vt20/crisis", identity.RoleVeiligThuis)
	other := message.Sender{Desk: "politie-mn/oc", Device: identity.DeviceID{9}}
	err := m.Store().Update(b.Context(), func(tx *store.Tx) error {
		for i := range 3000 {
			raw := message.Message{Version: message.Version, ID: message.ID{byte(i), byte(i >> 8), 1}, Case: message.CaseRef{byte(i % 300), byte(i % 300 >> 8), 1},
				Created: uint64(time.Now().Unix()) - 5000 + uint64(i), Sender: other, Addressed: []identity.DeskID{m.Desk}, Body: body(b),
				Heading: message.Heading{Protocol: message.Protocol, Class: "informatieverzoek", Urgency: message.Urgent, Expires: uint64(time.Now().Unix()) + 86400,
					Answers: []message.Ref{}, RestsOn: []message.Ref{}}, Attachments: []message.Attachment{}, Enclosed: [][]byte{}, Person: []byte{}}
			payload, _, err := raw.ToBeSigned()
			if err != nil {
				return err
			}
			s, err := message.Assemble(payload, make([]byte, 64), nil)
			if err != nil {
				return err
			}
			if _, err := tx.SaveMessage(store.Message{Hash: s.Hash(), ID: raw.ID, Case: raw.Case, Direction: store.In, Class: raw.Heading.Class,
				Urgency: raw.Heading.Urgency, Peer: other.Desk, Created: time.Unix(int64(raw.Created), 0), Received: time.Now(), Raw: s.Raw}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		cases, err := m.Node.Cases(b.Context(), schakel.Paging{Limit: 200})
		if err != nil || len(cases) != 200 || cases[0].Messages != 10 {
			b.Fatalf("%d cases, %v", len(cases), err)
		}
	}
}

func body(b *testing.B) []byte {
	b.Helper()
	e, err := protocol.V1().Example("informatieverzoek")
	if err != nil {
		b.Fatal(err)
	}
	return e.Body
}
