package relay

import (
	"github.com/prometheus/client_golang/prometheus"

	"schakel/relay/oncall"
	"schakel/relay/queue"
)

// Defaults are the limits that zero fields take.
func Defaults() Limits { return Limits{}.withDefaults() }

// Patient has a device's reader never wait for the answers that the device does not
// take, for the control of TestDeviceThatReadsNoAnswers.
func Patient(l Limits) Limits {
	l.answers = 1 << 40
	return l
}

// Metrics describes every metric, also those that have not counted anything yet.
func Metrics() (descriptions []string) {
	registry := prometheus.NewRegistry()
	newMetrics(registry)
	oncall.NewMetrics(registry)
	measureStore(registry, nil, queue.State{})
	all := make(chan *prometheus.Desc, 1000)
	registry.Describe(all)
	close(all)
	for d := range all {
		descriptions = append(descriptions, d.String())
	}
	return descriptions
}

// Hold keeps the lock of the hub, as a deadlock would, until free is called.
func (r *Relay) Hold() (free func()) {
	r.hub.mu.Lock()
	return r.hub.mu.Unlock
}

// HostOf is what limits per address count by.
func HostOf(address string) string { return hostOf(address) }
