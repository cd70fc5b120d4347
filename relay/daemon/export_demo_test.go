package daemon

import (
	"log/slog"

	"schakel/relay"
)

// Demonstration is the tap of a relay that runs with --demo over a data folder.
func Demonstration(data string) (tap relay.Tap, end func() error, err error) {
	d, err := newDemonstration(settings{"data": data}, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, nil, err
	}
	return d.tap, d.close, nil
}
