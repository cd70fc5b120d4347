package oncall

import (
	"github.com/prometheus/client_golang/prometheus"

	"schakel/crypto/envelope"
	"schakel/relay/page"
	"schakel/relay/wire"
)

// Metrics are the loop's numbers. Labels are from fixed tables: no desk, contact or
// envelope ever.
type Metrics struct {
	owner, beat, waiting, silent            prometheus.Gauge
	takeovers, alarms, merged, late         prometheus.Counter
	unjournaled, operator, unreached, plans prometheus.Counter
	damaged                                 prometheus.Counter
	pages                                   *prometheus.CounterVec // tier, channel, outcome
}

// NewMetrics makes them, and registers them where there is a registry.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "schakel", Subsystem: "relay_oncall", Name: name, Help: help})
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "schakel", Subsystem: "relay_oncall", Name: name, Help: help})
	}
	m := &Metrics{
		owner:       gauge("owner", "1 while this relay keeps the timers."),
		beat:        gauge("beat_timestamp_seconds", "When this relay last heard that it keeps the timers."),
		waiting:     gauge("waiting", "Envelopes that nobody has attended, where this relay keeps the timers."),
		silent:      gauge("silent", "1 while the dead man's alarm is on: nobody may count on pages."),
		takeovers:   counter("takeovers_total", "Times that this relay began to keep the timers."),
		alarms:      counter("alarms_total", "Senders that were told that nobody attends."),
		merged:      counter("merged_total", "Pages that went out together with another to the same contact."),
		late:        counter("late_total", "Rungs begun more than 5 s after they were due."),
		unjournaled: counter("unjournaled_total", "Rungs begun while the journal did not answer."),
		operator:    counter("operator_total", "Pages to the operator: no plan, nobody reached, or silence."),
		unreached:   counter("unreached_total", "Rungs by which nobody could be reached."),
		plans:       counter("without_plan_total", "Rungs for desks that have published no plan."),
		damaged:     counter("damaged_total", "Timers and plans that came back damaged: what waits climbs all the same."),
		pages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "schakel", Subsystem: "relay_oncall", Name: "pages_total", Help: "Pages by tier, channel and outcome.",
		}, []string{"tier", "channel", "outcome"}),
	}
	if reg != nil {
		reg.MustRegister(m.owner, m.beat, m.waiting, m.silent, m.takeovers, m.alarms, m.merged, m.late,
			m.unjournaled, m.operator, m.unreached, m.plans, m.damaged, m.pages)
	}
	return m
}

func (m *Metrics) paged(p wire.Paged) {
	m.pages.WithLabelValues(page.TierLabel(envelope.Tier(p.Tier)), page.ChannelLabel(p.Channel), p.Outcome).Inc()
}
