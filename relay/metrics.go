package relay

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are the relay's numbers. Labels are codes from fixed tables: no device,
// desk or organisation ever.
type metrics struct {
	sessions     prometheus.Gauge
	registerSize prometheus.Gauge
	registerLate prometheus.Gauge
	cosignedSize prometheus.Gauge
	cosignedTime prometheus.Gauge
	logins       *prometheus.CounterVec // result
	closes       *prometheus.CounterVec // code
	puts         *prometheus.CounterVec // code
	entries      *prometheus.CounterVec // code
	cosignatures *prometheus.CounterVec // result
	expired      *prometheus.CounterVec // delivered
	blobs        *prometheus.GaugeVec   // state
	blobBytes    prometheus.Gauge
	blobFree     prometheus.Gauge
	blobRequests *prometheus.CounterVec // verb, status
	blobLooks    prometheus.Gauge
	stored       prometheus.Counter
	deliveries   prometheus.Counter
	acks         prometheus.Counter
	damaged      prometheus.Counter
	panics       prometheus.Counter
	shed         prometheus.Counter
	owed         prometheus.Gauge
	batch        prometheus.Histogram
}

func newMetrics(reg *prometheus.Registry) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "schakel", Subsystem: "relay", Name: name, Help: help})
	}
	vector := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "schakel", Subsystem: "relay", Name: name, Help: help}, []string{label})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "schakel", Subsystem: "relay", Name: name, Help: help})
	}
	m := &metrics{
		sessions:     gauge("sessions", "Devices with a live session."),
		registerSize: gauge("register_entries", "Entries in the register."),
		registerLate: gauge("register_late", "1 while this relay cannot follow the register that it shares with others."),
		cosignedSize: gauge("register_cosigned_entries", "Entries in the register that its witnesses have cosigned; 0 where it has none."),
		cosignedTime: gauge("register_cosigned_timestamp_seconds", "When the quorum of witnesses cosigned the register last."),
		cosignatures: vector("cosignatures_total", "Cosignatures that witnesses gave, by result.", "result"),
		logins:       vector("logins_total", "Logins by result.", "result"),
		closes:       vector("sessions_closed_total", "Sessions ended, by close code.", "code"),
		puts:         vector("puts_total", "Envelopes offered, by answer.", "code"),
		entries:      vector("entries_total", "Register entries offered, by answer.", "code"),
		expired:      vector("expired_total", "Envelopes and notices that reached their expiry.", "delivered"),
		blobs: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "schakel", Subsystem: "relay", Name: "blobs", Help: "Sealed attachments kept, by state.",
		}, []string{"state"}),
		blobBytes: gauge("blob_bytes", "Bytes of sealed attachments; those that are not complete count in full."),
		blobFree:  gauge("blob_free_bytes", "Room for sealed attachments; 0 where the store cannot tell."),
		blobLooks: gauge("blob_look_timestamp_seconds", "When the sealed attachments were last counted and what is past its time removed."),
		blobRequests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "schakel", Subsystem: "relay", Name: "blob_requests_total", Help: "Requests for sealed attachments, by verb and status.",
		}, []string{"verb", "status"}),
		stored:     counter("stored_total", "Envelopes promised in custody receipts."),
		deliveries: counter("deliveries_total", "Envelopes and notices handed to devices."),
		acks:       counter("acks_total", "Acknowledgements by devices."),
		damaged:    counter("damaged_records_total", "Records that failed their checksum."),
		panics:     counter("panics_total", "Sessions ended by a fault of the program."),
		shed:       counter("shed_total", "Connections turned away for lack of room."),
		owed:       gauge("unacknowledged_seconds", "For how long a device has acknowledged nothing of what it was handed, at most; 0 where none owes anything."),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "schakel", Subsystem: "relay", Name: "batch_operations",
			Help: "Operations per durable batch.", Buckets: prometheus.ExponentialBuckets(1, 4, 7),
		}),
	}
	reg.MustRegister(m.sessions, m.registerSize, m.registerLate, m.cosignedSize, m.cosignedTime, m.cosignatures, m.logins, m.closes, m.puts, m.entries, m.expired,
		m.stored, m.deliveries, m.acks, m.damaged, m.panics, m.shed, m.owed, m.batch, m.blobs, m.blobBytes, m.blobFree, m.blobLooks, m.blobRequests,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// adminServer serves health and metrics. Its listener belongs on loopback.
func (r *Relay) adminServer() *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		switch {
		case !r.ready.Load():
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		case r.pager.silent():
			http.Error(w, "not ready: nobody is paged", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(r.registry, promhttp.HandlerOpts{}))
	return &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 4 << 10}
}
