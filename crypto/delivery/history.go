package delivery

import (
	"fmt"

	"schakel/crypto/message"
)

// MaxHistory bounds the messages that one desk hands another again.
const MaxHistory = 10_000

// History is how a desk that lost all its devices gets back what it said to a partner and
// heard of it. Its new device asks; a person of the partner confirms that by telephone; then
// each message comes again in its permanent bytes, whose signatures are verified as those of
// any message.
type History struct {
	Version uint64 `cbor:"1,keyasint"`
	Ask     bool   `cbor:"2,keyasint"` // the new device asks, and the rest is empty
	Part    uint64 `cbor:"3,keyasint"` // from 1 to Of; 0: there is nothing to hand over
	Of      uint64 `cbor:"4,keyasint"`
	Message []byte `cbor:"5,keyasint"` // permanent bytes
}

// ParseHistory reads the content of a delivery of KindHistory. The message inside is still
// to be parsed.
func ParseHistory(b []byte) (History, error) { return parse[History](b) }

func (h History) check() error {
	if err := checkVersion(h.Version); err != nil {
		return err
	}
	none := h.Part == 0
	if h.Ask && !none || h.Of > MaxHistory || h.Part > h.Of || none != (h.Of == 0) || none != (len(h.Message) == 0) || len(h.Message) > message.MaxSize {
		return fmt.Errorf("%w: history, part %d of %d with %d bytes", ErrFormat, h.Part, h.Of, len(h.Message))
	}
	return nil
}
