package protocol_test

import (
	"slices"
	"testing"

	"schakel/clients/protocol"
	"schakel/crypto/message"
)

// Control of both directions of R04 and R28: a koppeling to a case without an anonymous
// question, and an anonymous question beside a koppeling of other cases, pass.
func TestWhatIsBesideAndTiesNothing(t *testing.T) {
	broken := func(class string, beside ...protocol.Known) bool {
		s := &scene{Draft: exampleDraft(t, class), beside: beside}
		s.at = s.Created
		return slices.ContainsFunc(protocol.V1().Check(s.Draft, s.known(nil)), func(f protocol.Finding) bool { return f.Rule == "R04" || f.Rule == "R28" })
	}
	asked, link := tell().world.known(tell().messages["adviesvraag"]), tell().world.known(tell().messages["koppeling"])
	elsewhere := link
	elsewhere.Case = message.CaseRef{77}
	for _, c := range []struct {
		class  string
		beside []protocol.Known
	}{{"koppeling", []protocol.Known{asked}}, {"koppeling", []protocol.Known{elsewhere}}, {"adviesvraag", []protocol.Known{elsewhere}}, {"adviesvraag", []protocol.Known{asked}}} {
		if broken(c.class, c.beside...) {
			t.Errorf("%s is refused beside %s of another case", c.class, c.beside[0].Class)
		}
	}
	if other, ok := link.Links(); !ok || other == link.Case {
		t.Errorf("a koppeling links %v, %v", other, ok)
	}
	if !asked.Anonymous() || link.Anonymous() {
		t.Error("the example asks advice without identifying data, and the koppeling does not")
	}
}
