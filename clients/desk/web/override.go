package web

import (
	"strings"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/crypto/message"
)

// staleness is that the register is too old to send by, and what may be done about it: what
// is acute goes on the word of a named person who also telephoned. Whoever reads it is told.
type staleness struct {
	Since   time.Time // when its witnesses saw it last; zero: never
	Expired time.Time // since when its root rules no more; zero: it does
	Called  string
	Wrong   string
}

// staleness is nil where the register can be relied on, and where the message is not acute:
// that one is refused, and its form says why.
func (v *visit) staleness(age schakel.RegisterAge, u message.Urgency) *staleness {
	if u != message.Acute || age.State != schakel.Stale && !age.RootExpired {
		return nil
	}
	old := &staleness{Since: age.Vouched, Called: strings.TrimSpace(v.PostForm.Get("called"))}
	old.Called = old.Called[:min(len(old.Called), maxRef)]
	if age.State != schakel.Stale {
		old.Expired = age.RootExpires
	}
	return old
}

// word makes that a message can be prepared, before it is known which number was called.
func (old *staleness) word() *schakel.Override {
	if old == nil {
		return nil
	}
	return &schakel.Override{}
}

// override is the word of who signs, and the number; ok is false where it is missing.
func (old *staleness) override(l language) (word *schakel.Override, ok bool) {
	if old == nil {
		return nil, true
	}
	number, _ := protocol.Telephone(old.Called)
	if number == "" {
		old.Wrong = l.word("stale.no-number")
	}
	return &schakel.Override{Called: number}, old.Wrong == ""
}
