package relay

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// sharedStore is a store that other relays write to as well. Listen rings for what they
// wrote, until ctx ends; it may miss some, and the sweep is for those.
type sharedStore interface {
	Listen(ctx context.Context, ring func(identity.DeskID))
}

// watchedStore is a store whose settings can be changed under it. Unsafe says why it
// refuses envelopes, or nothing.
type watchedStore interface{ Unsafe() string }

// listen rings for what other relays on the same store wrote.
func (r *Relay) listen(ctx context.Context) {
	if s, ok := r.config.Store.(sharedStore); ok {
		s.Listen(ctx, r.hub.rungElsewhere)
	}
}

// measureStore shows what the store promises, and whether it can keep it.
func measureStore(reg *prometheus.Registry, store queue.Store, state queue.State) {
	guarantee := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "schakel", Subsystem: "relay", Name: "store_guarantee",
		Help: "What a receipt promises: 0 nothing, 1 on disk, 2 on disk and at a replica."})
	guarantee.Set(float64(state.Guarantee))
	unsafe := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "schakel", Subsystem: "relay", Name: "store_unsafe",
		Help: "1 while envelopes are refused because of the store's settings or for want of replicas."}, func() float64 {
		if w, ok := store.(watchedStore); ok && w.Unsafe() != "" {
			return 1
		}
		return 0
	})
	reg.MustRegister(guarantee, unsafe)
}
