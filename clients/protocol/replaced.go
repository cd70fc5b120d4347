package protocol

import (
	"encoding/hex"
	"strings"

	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// What a refusal names for the classes that speak about other messages or cases.
const (
	RuleReplaced   = "R27" // a correction or withdrawal names one message, and a trace stays
	RuleLink       = "R28" // what a koppeling may say
	RuleInvitation = "R29" // what an uitnodiging lists, and encloses
)

// checkReplaced is R27 as far as one message shows it: what the person signed for in
// the body is what the heading rests on. Otherwise a withdrawal of one message could be
// shown for another. That it was a message of the same desk needs the case.
func checkReplaced(class Class, d Draft, body any) *Refusal {
	if class.Name != ClassCorrection && class.Name != ClassWithdrawal {
		return nil
	}
	if ref, ok := refIn(child(body, "bericht")); ok && len(d.RestsOn) == 1 && d.RestsOn[0] == ref {
		return nil
	}
	return refuse(RuleReplaced,
		Text{class.Name + " noemt precies één eerder bericht, in kop en inhoud hetzelfde, met id en hash",
			class.Name + " names exactly one earlier message, the same in heading and body, by id and hash"},
		Text{"open het bericht dat u wilt veranderen en begin van daaruit", "open the message that you want to change, and begin from there"})
}

// checkLink is R28 as far as one message shows it: a case is not linked to itself.
func checkLink(class Class, d Draft, body any) *Refusal {
	if class.Name != ClassLink || field(body, "andereZaakRef") != d.Case.String() {
		return nil
	}
	return refuse(RuleLink,
		Text{"een zaak kan niet aan zichzelf gekoppeld worden", "a case cannot be linked to itself"},
		Text{"kies de andere zaak van dit slachtoffer", "choose the other case of this victim"})
}

// checkInvitation is R29 as far as the body shows it: the history names each message
// once, and promises no more originals than a message can enclose.
func checkInvitation(class Class, _ Draft, body any) *Refusal {
	if class.Name != ClassInvitation {
		return nil
	}
	seen := map[message.Ref]bool{}
	enclosed, twice := 0, false
	history, _ := child(body, "geschiedenis").([]any)
	for _, item := range history {
		ref, _ := refIn(child(item, "bericht"))
		twice = twice || seen[ref]
		seen[ref] = true
		if field(item, "wijze") == "ingesloten" {
			enclosed++
		}
	}
	if !twice && enclosed <= message.MaxEnclosed {
		return nil
	}
	return refuse(RuleInvitation,
		Text{"de geschiedenis noemt een bericht twee keer, of sluit er te veel in", "the history names a message twice, or encloses too many"},
		Text{"noem elk bericht één keer; sluit er hoogstens acht in en noem de rest met op-te-vragen",
			"name each message once; enclose at most eight and list the rest as op-te-vragen"})
}

// child returns a field of a validated body, whatever it is.
func child(body any, name string) any {
	o, _ := body.(map[string]any)
	return o[name]
}

// refIn reads a reference to a message from a validated body: id and hash.
func refIn(v any) (r message.Ref, ok bool) {
	id, err := parseID(field(v, "berichtId"))
	hash, hashErr := parseHash(strings.TrimPrefix(field(v, "hash"), "sha256:"))
	return message.Ref{ID: id, Hash: hash}, err == nil && hashErr == nil
}

func parseID(s string) (message.ID, error) {
	u, err := identity.ParseUUID(s)
	return message.ID(u), err
}

func parseHash(s string) (h message.Hash, err error) {
	raw, err := hex.DecodeString(s)
	if len(raw) != len(h) {
		return h, message.ErrFormat
	}
	return message.Hash(raw), err
}
