package desk

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"schakel/clients/casefile"
	"schakel/clients/courier"
	"schakel/clients/protocol"
	"schakel/clients/roster"
	"schakel/clients/schakel"
	"schakel/clients/store/vault"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/relay/ladder"
)

// Refusals of the service itself, beside the sentinels of the SDK.
var (
	ErrNoDaemon = errors.New("no daemon runs for this device")
	ErrRequest  = errors.New("request not understood")
	ErrInternal = errors.New("the daemon failed")
	ErrEnding   = errors.New("the daemon is ending")
)

// Problem is an error as the service sends it: problem+json (RFC 9457) with a
// title in both languages, what to do about it, and a code that stays the same
// across versions. It wraps the sentinel that the code stands for.
type Problem struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Title  string `json:"title"`
	Titel  string `json:"titel"`
	Detail string `json:"detail"`
	Remedy string `json:"remedy,omitempty"`

	// Refusal is the rule of the protocol that was broken, in both languages.
	Refusal *protocol.Refusal `json:"refusal,omitempty"`
}

// Error is the detail: the text that the SDK gave.
func (p *Problem) Error() string {
	if p.Detail == "" {
		return p.Title
	}
	return p.Detail
}

// Unwrap returns the sentinel that the code stands for, so that errors.Is gives
// the same answer on both sides of the socket.
func (p *Problem) Unwrap() error {
	if p.Refusal != nil {
		return p.Refusal
	}
	for _, r := range refusals() {
		if r.code == p.Code {
			return r.err
		}
	}
	return ErrInternal
}

// refusal ties a sentinel to its code, its HTTP status and its words.
type refusal struct {
	err    error
	code   string
	status int
	title  string
	titel  string
	remedy string
}

// refusals is the one table of both directions. The first match wins, so the
// more special sentinel stands first. Codes are part of the interface: add, never
// rename.
func refusals() []refusal {
	return slices.Concat(storeRefusals(), fileRefusals(), programRefusals(), entranceRefusals(), messageRefusals(), ownRefusals())
}

// messageRefusals are those of messages, cases and whom they go to.
func messageRefusals() []refusal {
	return []refusal{
		{schakel.ErrNotFound, "not-found", http.StatusNotFound, "No such message", "Bericht niet gevonden", "look in `schakel inbox` or `schakel sent` for its identifier"},
		{schakel.ErrAmbiguous, "ambiguous", http.StatusConflict, "Several messages begin like that", "Meer dan één bericht begint zo", "give more characters of the identifier"},
		{schakel.ErrUnknownDesk, "unknown-desk", http.StatusNotFound, "Desk is not in the register", "Bureau staat niet in het register", "look in `schakel desks` for the desks you may write to"},
		{schakel.ErrLane, "lane", http.StatusForbidden, "These desks may not write to each other", "Deze bureaus mogen elkaar niet schrijven", "BuZa and its posts write to the knooppunt only; `schakel desks` lists whom this desk may write to"},
		{schakel.ErrNoEpoch, "no-key", http.StatusConflict, "The desk has no key for now", "Het bureau heeft geen geldige sleutel", "telephone the desk: its device has been away too long"},
		{schakel.ErrForked, "register-forked", http.StatusConflict, "The log of the register signed two that contradict each other", "Het logboek van het register ondertekende er twee die elkaar tegenspreken", "telephone, and call the root holders; `schakel register evidence list` has the proof. Nothing is sent until somebody puts the alarm away"},
		{schakel.ErrOtherView, "other-register", http.StatusConflict, "This desk sees another register than we do", "Dit bureau ziet een ander register dan wij", "telephone the desk, and compare; `schakel alarms` says more. Nothing goes there until somebody puts the alarm away"},
		{schakel.ErrNoEvidence, "no-evidence", http.StatusNotFound, "No such evidence", "Dit bewijs is er niet", "look in `schakel register evidence list`"},
		{schakel.ErrKeyChanged, "key-changed", http.StatusConflict, "The organisation has another key than before", "De organisatie heeft een andere sleutel dan eerst", "telephone it on a number that you had before, and compare the fingerprint: `schakel desks verify`"},
		{schakel.ErrOverride, "override", http.StatusForbidden, "Only an acute message of a person who telephoned goes by an old register", "Met een oud register gaat alleen een acuut bericht van een persoon die heeft gebeld", "telephone, make it acute, and name the person and the number that you called: `schakel send --called`"},
		{schakel.ErrStale, "register-stale", http.StatusConflict, "The register is too old to send by", "Het register is te oud om mee te versturen", "telephone; let this device reach the relay, or call the root holders. What is acute goes with `schakel send --called`"},
		{schakel.ErrOutlived, "root-expired", http.StatusConflict, "The root of the register has expired", "De wortel van het register is verlopen", "telephone; the root holders must renew the root. What is acute goes with `schakel send --called`"},
		{schakel.ErrNotAsked, "history-not-asked", http.StatusConflict, "That desk did not ask for its history", "Dat bureau vroeg niet om zijn geschiedenis", "let its new device run `schakel history ask`, within 7 days before"},
		{schakel.ErrAbsence, "absence", http.StatusUnprocessableEntity, "An absence ends later than now, and within 14 days", "Een afwezigheid eindigt later dan nu, en binnen 14 dagen", "say with --until when somebody is there again"},
		{schakel.ErrKeyRefused, "key-refused", http.StatusConflict, "The key of this organisation was refused here", "De sleutel van deze organisatie is hier geweigerd", "telephone the desk; who refused it stands in `schakel desks --json`"},
		{schakel.ErrKeyMismatch, "key-mismatch", http.StatusForbidden, "Not the fingerprint of this organisation", "Dit is niet de vingerafdruk van deze organisatie", "let it be read out again; if it stays another, refuse the key with `schakel desks refuse` and call the root holders"},
		{schakel.ErrCoolingOff, "cooling-off", http.StatusConflict, "The desk has only new devices, which get nothing yet", "Het bureau heeft alleen nieuwe apparaten; die krijgen nog niets", "telephone the desk on a number that you had before; if the device is theirs, confirm it with `schakel desks confirm`, and send again"},
		{schakel.ErrNotNew, "not-new", http.StatusNotFound, "No such device that waits to be confirmed", "Er wacht geen apparaat met deze naam op bevestiging", "look in `schakel desks --json` for the devices that wait"},
		{schakel.ErrNotCalled, "not-called", http.StatusBadRequest, "The number that was called is missing or is none", "Het nummer dat is gebeld ontbreekt of klopt niet", "telephone on a number that you had before, and name it with --called, such as +31600000001"},
		{schakel.ErrNoKeys, "keys-on-the-way", http.StatusServiceUnavailable, "The desk's public keys are not here yet", "De sleutels van het bureau zijn er nog niet", "try again in a moment, with a connection to the relay"},
		{schakel.ErrNoDevice, "no-device", http.StatusConflict, "The desk has no active device", "Het bureau heeft geen actief apparaat", "telephone the desk"},
		{schakel.ErrPersonNeeded, "person-needed", http.StatusForbidden, "A named person must sign this", "Hiervoor moet een persoon tekenen", "add --person and --pin-file; `schakel person list` shows who can"},
		{schakel.ErrUnknownPerson, "unknown-person", http.StatusNotFound, "No such person on this device", "Deze persoon staat niet op dit apparaat", "look in `schakel person list`, or add one with `schakel person add`"},
		{schakel.ErrPIN, "wrong-pin", http.StatusForbidden, "Wrong PIN", "Verkeerde pincode", "try again; a forgotten PIN means a new person key: `schakel person add`"},
		{schakel.ErrNotEnrolled, "not-enrolled", http.StatusConflict, "This device has not joined yet", "Dit apparaat is nog niet toegelaten", "run `schakel join` with the invitation of the root holders"},
		{schakel.ErrEnrolled, "enrolled", http.StatusConflict, "This device has joined already", "Dit apparaat is al toegelaten", ""},
		{schakel.ErrFingerprint, "fingerprint", http.StatusForbidden, "Fingerprint does not match", "Vingerafdruk klopt niet", "stop, and telephone the root holders on a number you already had"},
		{schakel.ErrUnreachable, "relay-unreachable", http.StatusServiceUnavailable, "Relay unreachable", "Relay niet bereikbaar", "see `schakel doctor`"},
		{schakel.ErrRegister, "register", http.StatusForbidden, "Register refused", "Register geweigerd", "stop sending and telephone the root holders; `schakel alarms` has the evidence"},
		{schakel.ErrTooLarge, "too-large", http.StatusRequestEntityTooLarge, "Message too large", "Bericht te groot", "a body holds at most 128 KiB"},
		{courier.ErrFormat, "not-envelopes", http.StatusBadRequest, "Not a file of envelopes", "Dit is geen bestand met enveloppen", "take the file that `schakel outbox export` wrote; if it is that one, it is damaged: have it made again"},
		{courier.ErrTooLarge, "envelopes-too-large", http.StatusRequestEntityTooLarge, "Too large for a file of envelopes", "Te groot voor een bestand met enveloppen", "take the file that `schakel outbox export` wrote: it is never larger"},
		{casefile.ErrTooLarge, "case-too-large", http.StatusRequestEntityTooLarge, "Case too large for one file", "Zaak te groot voor één dossier", "ask whoever looks after this installation"},
		{schakel.ErrAcknowledged, "acknowledged", http.StatusConflict, "Already acknowledged", "Al bevestigd", ""},
		{schakel.ErrNoOrgKey, "no-organisation-key", http.StatusConflict, "The organisation's key is not here", "De sleutel van de organisatie is niet hier", "do this on the device where `schakel init` made the organisation's key"},
		{schakel.ErrUnknownSubject, "unknown-subject", http.StatusNotFound, "No such device or person in the register", "Dit apparaat of deze persoon staat niet in het register", "look in `schakel device list` and `schakel person list`"},
		{schakel.ErrNotReturned, "not-returned", http.StatusConflict, "Nobody returned this message", "Niemand stuurde dit bericht terug", "look in `schakel case timeline MESSAGE`; to send it to one desk more, name it with --to"},
		{schakel.ErrNoRightDesk, "no-right-desk", http.StatusNotFound, "The answer does not point at one desk", "Het antwoord wijst niet één bureau aan", "telephone who answered, look in `schakel desks`, and name the desk with --to"},
		{schakel.ErrDraftVersions, "draft-versions", http.StatusConflict, "The draft has several versions", "Het concept heeft meer versies", "look in `schakel draft list`, and name one with --version"},
		{schakel.ErrDraftCase, "draft-case", http.StatusConflict, "A draft stays in its case", "Een concept blijft in zijn zaak", "save it as a new draft"},
		{schakel.ErrRestricted, "restricted", http.StatusForbidden, "The case is restricted to named persons", "De zaak is beperkt tot genoemde personen", "call one of them; if you are one, add --person and --pin-file; in an emergency, break the glass with --emergency-file"},
		{schakel.ErrReaders, "readers", http.StatusBadRequest, "Two persons at least must be able to read a case", "Minstens twee personen moeten een zaak kunnen lezen", "name them with --to; `schakel person list` shows who can"},
		{schakel.ErrNoReadingKey, "no-reading-key", http.StatusConflict, "Nothing can be closed to this person yet", "Voor deze persoon kan nog niets worden afgesloten", "wait until the register has a new person; let one from before read a message with --person and the PIN"},
		{schakel.ErrGlassNeeded, "emergency-passphrase-needed", http.StatusBadRequest, "The passphrase for emergencies is needed", "De wachtzin voor noodgevallen is nodig", "name its file with --emergency-file, and put it in the safe"},
		{schakel.ErrGlass, "emergency-passphrase", http.StatusForbidden, "The passphrase for emergencies is not right", "De wachtzin voor noodgevallen klopt niet", "take the one that was put in the safe when the case was restricted"},
	}
}

// ownRefusals are those of the desk itself: its rota, its devices, its daemon, its users.
func ownRefusals() []refusal {
	return []refusal{
		{schakel.ErrNoChannels, "no-pager", http.StatusConflict, "This device pages nobody", "Dit apparaat roept niemand op", "start `schakel run` with pager = \"on\", then try again"},
		{schakel.ErrNoDrill, "no-drill", http.StatusForbidden, "No drill may go there", "Daarheen kan geen oefening", "ask a desk that may send that desk an acute message"},
		{schakel.ErrNoRota, "no-rota", http.StatusNotFound, "This desk has no rota yet", "Dit bureau heeft nog geen rooster", "make one with `schakel oncall rota import`; configs/rota.toml is an example"},
		{schakel.ErrRotaChanged, "rota-changed", http.StatusConflict, "The rota was changed since", "Het rooster is intussen veranderd", "export it again with `schakel oncall rota export`, and make your changes in that"},
		{roster.ErrUnknown, "not-in-rota", http.StatusNotFound, "Nobody of this name in the rota", "Deze naam staat niet in het rooster", "look in `schakel oncall rota show`, or add them with `schakel oncall rota edit`"},
		{roster.ErrNoShift, "no-shift", http.StatusNotFound, "No shift to give away", "Geen dienst om te ruilen", "look in `schakel oncall rota show` for who has which shift"},
		{roster.ErrTelling, "telling-contact", http.StatusForbidden, "The contact would tell the relay who it is", "De aanduiding verraadt aan de relay wie het is", "take a contact that says nothing, such as p-7k2"},
		{ladder.ErrLooser, "looser", http.StatusForbidden, "Looser than what the partners agreed on", "Ruimer dan de partners hebben afgesproken", "page earlier or more people, never later or fewer"},
		{roster.ErrFormat, "bad-rota", http.StatusUnprocessableEntity, "The rota cannot be used", "Het rooster is niet bruikbaar", "configs/rota.toml is an example with every key"},
		{schakel.ErrNothingToAck, "nothing-to-acknowledge", http.StatusConflict, "This message asks for no acknowledgement", "Dit bericht vraagt geen ontvangstbevestiging", ""},
		{ErrLocked, "locked", http.StatusLocked, "This device is locked", "Dit apparaat is vergrendeld", "open it with `schakel unlock`; what comes meanwhile waits at the relay, whose ladder goes on"},
		{vault.ErrPassphrase, "wrong-passphrase", http.StatusForbidden, "Wrong passphrase", "Verkeerde wachtzin", "try again; a forgotten passphrase means a new light device: `schakel device request --light`"},
		{ErrNoLock, "no-lock", http.StatusConflict, "This device does not lock", "Dit apparaat vergrendelt niet", "only a light device locks, one made with `schakel device request --light`; lock the session of this machine"},
		{schakel.ErrLight, "light-device", http.StatusForbidden, "Not on a light device", "Niet op een licht apparaat", "do this in the office: what an officer carries cannot take a case out of the desk, nor decide who belongs to it"},
		{schakel.ErrRefused, "admitted-no-more", http.StatusForbidden, "The relay admits this device no more", "De relay laat dit apparaat niet meer toe", "look whether the clock of this device is right, and telephone the office: if nobody there revoked it, it opens again as soon as the relay admits it"},
		{message.ErrFormat, "malformed", http.StatusBadRequest, "Malformed message", "Bericht niet goed gevormd", ""},
		{identity.ErrInvalid, "invalid-identifier", http.StatusBadRequest, "Invalid identifier", "Ongeldige aanduiding", ""},
		{context.DeadlineExceeded, "time-out", http.StatusGatewayTimeout, "Took too long", "Duurde te lang", "try again"},
		{ErrEnding, "ending", http.StatusServiceUnavailable, "The daemon is ending", "De daemon stopt", "start it again with `schakel run`, then try again"},
		{ErrRequest, "bad-request", http.StatusBadRequest, "Request not understood", "Verzoek niet begrepen", ""},
		{ErrNoDaemon, "no-daemon", http.StatusServiceUnavailable, "No daemon runs", "Er draait geen daemon", "start it with `schakel run`"},
	}
}

// programRefusals are those about tokens and webhooks.
func programRefusals() []refusal {
	return []refusal{
		{ErrNoPrograms, "no-programs", http.StatusConflict, "This device gives programs no access", "Dit apparaat geeft programma's geen toegang", "do this on a device in the office: a light device has no tokens and no webhooks"},
		{ErrUnknownToken, "unknown-token", http.StatusNotFound, "No such token", "Dit token bestaat niet", "look in `schakel token list`"},
		{ErrScope, "unknown-scope", http.StatusBadRequest, "No such scope", "Dit bereik bestaat niet", "look in `schakel token add --help`"},
		{ErrSameName, "name-taken", http.StatusConflict, "That name is taken", "Die naam is al in gebruik", "take another name, or revoke the token that has it"},
		{ErrUnknownWebhook, "unknown-webhook", http.StatusNotFound, "No such webhook", "Deze webhook bestaat niet", "look in `schakel webhook list`"},
		{ErrTarget, "target", http.StatusForbidden, "This address may not hear of events", "Dit adres mag geen gebeurtenissen horen", "webhooks go to this machine, and over https to what the setting `webhook-targets` names"},
		{ErrNotTaken, "not-taken", http.StatusBadGateway, "The other side did not take it", "De andere kant nam het niet aan", "look at what the other program answered"},
	}
}

// Codes are the codes of all problems, in the order of the table.
func Codes() (codes []string) {
	for _, r := range refusals() {
		codes = append(codes, r.code)
	}
	return append(codes, "protocol", "internal")
}

// ProblemOf says what err means to a caller. An error with no code of its own is
// the daemon's failure; its text stays, since only the device's owner can ask.
func ProblemOf(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	var rule *protocol.Refusal
	if errors.As(err, &rule) {
		return &Problem{Status: http.StatusUnprocessableEntity, Code: "protocol", Title: "Refused by the protocol",
			Titel: "Geweigerd volgens het protocol", Detail: err.Error(), Remedy: rule.Remedy.EN, Refusal: rule}
	}
	if errors.Is(err, context.Canceled) { // nobody else cancels a request that somebody still waits for
		err = ErrEnding
	}
	for _, r := range refusals() {
		if errors.Is(err, r.err) {
			return &Problem{Status: r.status, Code: r.code, Title: r.title, Titel: r.titel,
				Detail: err.Error(), Remedy: r.remedy}
		}
	}
	return &Problem{Status: http.StatusInternalServerError, Code: "internal", Title: "The daemon failed",
		Titel: "De daemon faalde", Detail: strings.TrimSpace(err.Error()), Remedy: "see the daemon's log and `schakel doctor`"}
}
