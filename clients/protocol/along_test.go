package protocol_test

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"

	"schakel/clients/protocol"
)

// seen is what the rules ask about a case.
func seen(t *rapid.T, k protocol.Case) string {
	lead, _ := k.Lead()
	open, _ := k.OpenOffer()
	b, err := json.Marshal([]any{k.KnownAt, k.Participants, k.Terms, k.Offers, k.Replaced, lead, open, len(k.Before(k.KnownAt.Hash))})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Whatever was said and whatever of it is here: a walk along a case knows at each message
// what the case of the messages up to it knows, and the rules say the same.
func TestAlong(t *testing.T) {
	spoken, found, unsaid := versions(t, protocol.V1()), 0, 0
	checkHistories(t, func(t *rapid.T) {
		h := drawHistory(t)
		whole := h.state(partners[0], h.some(t))
		walked := 0
		for m, k := range spoken.Along(whole) {
			walked++
			upTo := h.state(partners[0], whole.Before(m.Hash))
			if seen(t, k) != seen(t, upTo) {
				t.Fatalf("at message %d the walk knows\n%s\nand its case is\n%s", walked, seen(t, k), seen(t, upTo))
			}
			if a, b := protocol.V1().Check(m.Draft, k), protocol.V1().Check(m.Draft, upTo); len(a) != len(b) || len(a) > 0 && a[0].Rule != b[0].Rule {
				t.Fatalf("at message %d: %+v, and %+v", walked, a, b)
			}
			found += len(k.Terms) + len(k.Offers)
		}
		unsaid += len(whole.Unsaid)
		if walked != len(whole.Before(whole.KnownAt.Hash)) {
			t.Fatalf("%d messages walked of %d", walked, len(whole.Before(whole.KnownAt.Hash)))
		}
	})
	if found == 0 || unsaid == 0 {
		t.Errorf("control: %d leads and offers, %d messages that nobody heard", found, unsaid)
	}
}
