package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"schakel/clients/schakel"
	"schakel/clients/store"
	"schakel/crypto/envelope"
	"schakel/relay/page"
)

const prefix = "schakel_desk_"

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prefix+name, help, labels, nil)
}

// All metrics of a desk's daemon, beside those of Go and of the process.
var (
	connected    = desc("connected", "1 while the relay has this device's session.")
	contact      = desc("contact_timestamp_seconds", "When the connection to the relay last stood; 0: not since the daemon began.")
	clockAhead   = desc("clock_ahead_seconds", "The relay's clock less this machine's, at login.")
	keysUntil    = desc("keys_until_timestamp_seconds", "Until when this device has published keys: after that nobody can write to it.")
	deviceUntil  = desc("device_until_timestamp_seconds", "Until when the register has this device.")
	certificate  = desc("web_certificate_timestamp_seconds", "Until when the certificate of the web desk is valid; absent where it has none.")
	leaving      = desc("waiting", "Deliveries to others that no relay has taken yet.")
	leavingOld   = desc("waiting_oldest_seconds", "How long the oldest of them waits; 0: none does.")
	toSign       = desc("unacknowledged", "Messages that wait for a person of this desk to acknowledge, or for a further one.", "tier")
	toSignOld    = desc("unacknowledged_oldest_seconds", "How long the oldest of them is here; 0: none waits.", "tier")
	unheard      = desc("unheard", "Messages of this desk that nobody there acknowledged in time: telephone.", "tier")
	obligations  = desc("obligations", "What the protocol asks of this desk besides: in time (due) and late (overdue).", "state")
	alarms       = desc("alarms", "Open alarms by kind.", "kind")
	pages        = desc("pages_total", "Pages of this device, by tier, channel and outcome.", "tier", "channel", "outcome")
	pager        = desc("pager", "1 where this device pages.")
	beat         = desc("pager_beat_timestamp_seconds", "When its pager last looked at what is due; 0: not yet, or it pages nobody.")
	rotaKnown    = desc("rota", "1 where this desk has a rota.")
	rotaGaps     = desc("rota_gaps", "Stretches without anybody on call in the 14 days from now.")
	drill        = desc("drill_answered_timestamp_seconds", "When a person of this desk last acknowledged a drill; 0: never, or long ago.")
	backup       = desc("backup_timestamp_seconds", "When the latest backup of this store was made; 0: never.")
	quarantined  = desc("quarantined", "Arrivals that are set aside.")
	rejected     = desc("rejected_total", "Arrivals that were refused, since this store was made.")
	diskFree     = desc("disk_free_bytes", "Room on the disk of the store.")
	ownMetrics   = []*prometheus.Desc{connected, contact, clockAhead, keysUntil, deviceUntil, certificate, leaving, leavingOld, toSign, toSignOld, unheard, obligations, alarms, pages, pager, beat, rotaKnown, rotaGaps, drill, backup, quarantined, rejected, diskFree}
	tiersOfCalls = []envelope.Tier{envelope.TierRoutine, envelope.TierUrgent, envelope.TierAcute}
)

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range ownMetrics {
		out <- d
	}
}

// Collect implements prometheus.Collector. What cannot be counted fails the whole scrape:
// a zero would look like a quiet night.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	f, err := c.figures()
	if err != nil {
		out <- prometheus.NewInvalidMetric(connected, err)
		return
	}
	now, gauge := c.Now(), func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(connected, one(f.Connected))
	gauge(contact, seconds(f.Contact))
	gauge(clockAhead, f.ClockAhead.Seconds())
	gauge(keysUntil, seconds(f.KeysUntil))
	gauge(deviceUntil, seconds(f.DeviceEnds))
	gauge(leaving, float64(f.Leaving.Number))
	gauge(leavingOld, age(f.Leaving, now))
	for _, t := range tiersOfCalls {
		gauge(toSign, float64(f.Unacknowledged[t].Number), page.TierLabel(t))
		gauge(toSignOld, age(f.Unacknowledged[t], now), page.TierLabel(t))
		gauge(unheard, float64(f.Unheard[t]), page.TierLabel(t))
	}
	gauge(obligations, float64(f.Duties), "due")
	gauge(obligations, float64(f.Overdue), "overdue")
	for kind, n := range f.Alarms {
		gauge(alarms, float64(n), string(kind))
	}
	for p, n := range f.Pages {
		out <- prometheus.MustNewConstMetric(pages, prometheus.CounterValue, float64(n), page.TierLabel(p.Tier), p.Channel, p.Outcome)
	}
	gauge(pager, one(f.Pager))
	gauge(beat, seconds(f.Beat))
	gauge(rotaKnown, one(f.Rota.Known))
	gauge(rotaGaps, float64(f.Rota.Gaps))
	gauge(drill, seconds(f.DrillAnswer))
	gauge(backup, seconds(f.Backup))
	gauge(quarantined, float64(f.Quarantined))
	out <- prometheus.MustNewConstMetric(rejected, prometheus.CounterValue, float64(f.Rejected))
	c.surroundings(out)
}

// surroundings are of the machine: what of it cannot be read fails the scrape too.
func (c *collector) surroundings(out chan<- prometheus.Metric) {
	if free, err := store.Free(c.Folder); err != nil {
		out <- prometheus.NewInvalidMetric(diskFree, err)
	} else {
		out <- prometheus.MustNewConstMetric(diskFree, prometheus.GaugeValue, float64(free))
	}
	if !c.Certificate.IsZero() {
		out <- prometheus.MustNewConstMetric(certificate, prometheus.GaugeValue, seconds(c.Certificate))
	}
}

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// seconds is a time as Prometheus has it, 0 for none.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.Unix())
}

func age(h schakel.Held, now time.Time) float64 {
	if h.Since.IsZero() {
		return 0
	}
	return max(now.Sub(h.Since), 0).Seconds()
}
