package protocol_test

import (
	"fmt"
	"testing"

	"schakel/clients/protocol"
	"schakel/crypto/message"
)

// long is a case of n messages, as two busy desks and a reporter write one: reports that
// are taken and answered, questions, offers that are refused, plans. One in eight asks
// something that nobody ever does.
func long(n int) []protocol.Known {
	s := &script{world: newWorld()}
	began := s.take(s.report("ingezetene", gp, vt, cops), vt)
	refused := message.Ref{}
	for i := 0; len(s.said) < n; i++ {
		switch i % 4 {
		case 0:
			k := s.report("ingezetene", gp, vt, cops)
			s.take(k, vt)
			s.reply("terugkoppeling", k, vt, map[string]any{"moment": "na-onderzoek"})
		case 1:
			s.reply("informatieantwoord", s.say("informatieverzoek", vt, cops), cops, nil)
		case 2:
			rests := []message.Ref{began.Ref()}
			if refused != (message.Ref{}) {
				rests = append(rests, refused)
			}
			refused = s.decide(s.offer(vt, raad, rests...), raad, "afgewezen").Ref()
		default:
			s.say("informatieverzoek", cops, vt)
		}
	}
	return s.said[:n]
}

func BenchmarkCaseOf(b *testing.B) {
	for _, n := range []int{50, 500, 4000} {
		said := long(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				protocol.V1().CaseOf(vt, message.CaseRef{9}, said)
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "µs/message")
		})
	}
}
