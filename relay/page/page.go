// Package page calls the person who is on call, through channels that may fail
// separately, and tells them a tier, an opaque reference, how many wait and to open
// Schakel.
//
// A [Page] has nothing else to say, so no channel can say more: not who wrote, about
// whom, in which case, nor of what kind. [Channels] makes a [Notifier] of a contact
// point. Points are the word of a partner, so a point that leads into the network of
// whoever pages is refused when it is dialled, after its name was resolved.
//
//	channels, err := page.New(page.Config{Mail: &page.Mail{...}})
//	notifier, err := channels.For(page.Point{Channel: page.NTFY, Target: "https://ntfy.example/topic"})
//	err = notifier.Notify(ctx, page.Page{Tier: envelope.TierAcute, Reference: page.Reference(key, id)})
//	outcome := page.OutcomeOf(err)
//
// Nothing here is durable and nothing is tried twice: whoever keeps the timers does.
package page

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"

	"schakel/crypto/envelope"
)

// Page is one call to one person. A zero Tier is that of a Test, which waits for nobody.
type Page struct {
	Tier      envelope.Tier
	Reference string // see Reference; anything else is refused
	Exercise  bool   // of a drill: only a daemon knows, the relay cannot
	Test      bool   // of the channel itself: nothing waits
	Waiting   int    // how much it stands for; shown from 2 up to MostWaiting
}

// MostWaiting bounds the number in a page: that and more are one, so that a page does
// not tell the operator of a channel how busy a desk is.
const MostWaiting = 20

// Notifier is one way to reach one person.
type Notifier interface {
	// Notify returns nil when whoever runs the channel took the page: that a person saw
	// it only an acknowledgement says. It ends with ctx, or after the channels' own
	// deadline. Its error is one of the sentinels, and never names a point: many a point
	// is a secret. It may be called from any goroutine.
	Notify(ctx context.Context, p Page) error
}

// ErrPage says that a page would say more, or less, than a page may.
var ErrPage = errors.New("not a page: a tier and a reference made by page.Reference")

// referenceLength is 40 bits in base32: enough to tell calls of one night apart.
const referenceLength = 8

// Reference is the reference of what waits, the same at each call about it, and
// opaque to whoever does not hold key: an identifier in a page would let the operator
// of a channel follow it elsewhere.
func Reference(key []byte, id []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("schakel/page/v1\x00"))
	mac.Write(id)
	code := base32.StdEncoding.EncodeToString(mac.Sum(nil))[:referenceLength]
	return code[:4] + "-" + code[4:]
}

// check keeps an identifier, a name or a text from going out as a reference.
func (p Page) check() error {
	a, b, ok := strings.Cut(p.Reference, "-")
	if !ok || len(a) != 4 || len(b) != 4 || strings.Trim(a+b, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" {
		return fmt.Errorf("%w: the reference has another form", ErrPage)
	}
	if p.Tier > envelope.TierAcute || p.Tier == envelope.TierNone && !p.Test {
		return fmt.Errorf("%w: tier %d", ErrPage, p.Tier)
	}
	if p.Waiting < 0 || p.Waiting > 0 && p.Test {
		return fmt.Errorf("%w: %d wait", ErrPage, p.Waiting)
	}
	return nil
}

// The marks of what is not the real thing, before all else.
const (
	exerciseMark = "OEFENING"
	testMark     = "TEST"
)

// tierWords are the tiers in Dutch and in English.
var tierWords = map[envelope.Tier][2]string{
	envelope.TierNone: {"proef", "test"}, envelope.TierRoutine: {"gewoon", "routine"},
	envelope.TierUrgent: {"spoed", "urgent"}, envelope.TierAcute: {"acuut", "acute"},
}

// title is the first line that a telephone shows.
func (p Page) title() string {
	title := "Schakel: " + tierWords[p.Tier][0]
	if p.Test {
		title = testMark + " - " + title
	}
	if p.Exercise {
		title = exerciseMark + " - " + title
	}
	return title
}

// text is all that a page says, in ASCII so that no channel has to encode it.
func (p Page) text() string {
	var b strings.Builder
	if p.Exercise {
		b.WriteString(exerciseMark + ", dit is niet echt. EXERCISE, this is not real.\n")
	}
	if p.Test {
		b.WriteString(testMark + ": er wacht niets. Nothing is waiting.\n")
	}
	words := tierWords[p.Tier]
	fmt.Fprintf(&b, "Open Schakel. Aandacht: %s. Kenmerk: %s.\n", words[0], p.Reference)
	fmt.Fprintf(&b, "Open Schakel. Attention: %s. Reference: %s.\n", words[1], p.Reference)
	switch n := p.waiting(); {
	case n == MostWaiting:
		fmt.Fprintf(&b, "%d of meer wachten. %d or more waiting.\n", n, n)
	case n > 1:
		fmt.Fprintf(&b, "%d wachten. %d waiting.\n", n, n)
	}
	return b.String()
}

func (p Page) waiting() int { return min(p.Waiting, MostWaiting) }

// Words are the title and the text, for channels that are built elsewhere.
func (p Page) Words() (title, text string) { return p.title(), p.text() }

// document is a page for a program: a hook or a webhook.
type document struct {
	Tier      string `json:"tier"`
	Reference string `json:"reference"`
	Exercise  bool   `json:"exercise"`
	Test      bool   `json:"test"`
	Waiting   int    `json:"waiting"` // MostWaiting: or more
	Text      string `json:"text"`
}

func (p Page) document() document {
	return document{Tier: tierWords[p.Tier][1], Reference: p.Reference, Exercise: p.Exercise, Test: p.Test, Waiting: p.waiting(), Text: p.text()}
}
