// Package bench measures a relay and the sealing beside their bare foundations, in
// one run on one machine: the whole relay with TLS, login, checks and receipts beside
// a bare bbolt group commit of the same bytes at the same concurrency, and
// sealing beside bare age plus signatures.
//
// It starts a relay of its own, a separate process on loopback with a register,
// keys and a folder that are thrown away, and speaks to it as devices do. Absolute
// figures wander with the machine; the ratios of one run are the point.
package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Config says what to measure. Zero fields take the defaults.
type Config struct {
	Relay    string        // path of schakel-relay
	Redis    bool          // mailboxes are on a redis-server of the run's own, not in a file
	Senders  int           // devices that send, and as many that receive; default 8
	InFlight int           // envelopes on their way per sender; default 64
	Size     int           // bytes of the sealed part; default 6144
	Messages int           // for throughput and backlog; default 20000
	Rate     int           // messages per second for latency; default 2000
	Seconds  int           // how long the latency is measured; default 5
	Idle     int           // idle connections; default 200
	Timeout  time.Duration // of the whole run; default 10 minutes
	Progress func(string)  // told what is being measured; may be nil
}

// ErrConfig says which figure is out of bounds.
var ErrConfig = errors.New("bench cannot run like that")

func (c Config) complete() (Config, error) {
	for _, f := range []struct {
		name                  string
		value                 *int
		fallback, least, most int
	}{
		{"senders", &c.Senders, 8, 1, 64}, {"in-flight", &c.InFlight, 64, 1, 1024}, {"size", &c.Size, 6144, 256, 512 << 10},
		{"messages", &c.Messages, 20000, 100, 1_000_000}, {"rate", &c.Rate, 2000, 1, 100_000}, {"seconds", &c.Seconds, 5, 1, 600},
		{"idle", &c.Idle, 200, 1, 5000},
	} {
		if *f.value == 0 {
			*f.value = f.fallback
		}
		if *f.value < f.least || *f.value > f.most {
			return c, fmt.Errorf("%w: %s is %d, want %d to %d", ErrConfig, f.name, *f.value, f.least, f.most)
		}
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Minute
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	return c, nil
}

func (c Config) store() string {
	if c.Redis {
		return "redis"
	}
	return "bolt"
}

// Report is what was measured. Rates are per second, times in the unit named.
type Report struct {
	Schema   string `json:"schema"`
	Store    string `json:"store"`
	Senders  int    `json:"senders"`
	InFlight int    `json:"inFlight"`
	Size     int    `json:"envelopeBytes"`

	Throughput Throughput `json:"throughput"`
	Bare       Bare       `json:"bareStore"`
	Ratio      float64    `json:"relayToBareStore"` // whole relay divided by bare store
	Latency    Latency    `json:"latency"`
	Backlog    Backlog    `json:"backlog"`
	Idle       Idle       `json:"idle"`
	Sealing    Sealing    `json:"sealing"`
}

// Throughput is the closed loop: a message counts when its sender has the custody
// receipt and its recipient has acknowledged it.
type Throughput struct {
	Messages  int     `json:"messages"`
	PerSecond float64 `json:"perSecond"`
	RelayCPU  float64 `json:"relayCPUMicrosecondsPerMessage"`
	RelayRSS  int64   `json:"relayResidentBytes"`
	RedisCPU  float64 `json:"redisCPUMicrosecondsPerMessage"` // 0 without Redis
}

// Bare is the group commit of the same bytes in the same kind of store, with the
// deletions riding along, and nothing else.
type Bare struct {
	PerSecond float64 `json:"perSecond"`
	RedisCPU  float64 `json:"redisCPUMicrosecondsPerMessage"` // 0 without Redis
}

// Latency is the open loop: messages start on a clock, whether or not the ones
// before are done, so that a stall is seen by every message that had to wait.
type Latency struct {
	Rate      int     `json:"rate"`
	Stored50  float64 `json:"storedP50Milliseconds"`
	Stored99  float64 `json:"storedP99Milliseconds"`
	Deliver50 float64 `json:"deliveredP50Milliseconds"`
	Deliver99 float64 `json:"deliveredP99Milliseconds"`
}

// Backlog is what waits for recipients that are away, and its draining.
type Backlog struct {
	Messages     int     `json:"messages"`
	InPerSecond  float64 `json:"inPerSecond"`
	OutPerSecond float64 `json:"outPerSecond"`
}

// Idle is what a connection costs the relay that does nothing.
type Idle struct {
	Connections   int   `json:"connections"`
	BytesEach     int64 `json:"residentBytesEach"`
	SessionsAlive int   `json:"sessionsAlive"`
}

// Sealing compares one sealing and one opening with bare age and the signatures.
type Sealing struct {
	Seal      float64 `json:"sealMicroseconds"`
	BareSeal  float64 `json:"bareSealMicroseconds"`
	SealRatio float64 `json:"sealToBare"`
	Open      float64 `json:"openMicroseconds"`
	BareOpen  float64 `json:"bareOpenMicroseconds"`
	OpenRatio float64 `json:"openToBare"`
}

// Run measures everything once.
func Run(ctx context.Context, c Config) (r Report, err error) {
	if c, err = c.complete(); err != nil {
		return r, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	r = Report{Schema: "schakel.bench/1", Store: c.store(), Senders: c.Senders, InFlight: c.InFlight, Size: c.Size}
	ch, err := start(ctx, c)
	if ch != nil {
		defer func() { err = errors.Join(err, ch.close()) }()
	}
	if err != nil {
		return r, err
	}
	for _, step := range []struct {
		what string
		run  func() error
	}{
		{"idle connections", func() (err error) { r.Idle, err = ch.idle(ctx); return err }},
		{"throughput through the whole relay", func() (err error) { r.Throughput, err = ch.throughput(ctx); return err }},
		{"bare store", func() (err error) { r.Bare, err = ch.bare(ctx); return err }},
		{"latency", func() (err error) { r.Latency, err = ch.latency(ctx); return err }},
		{"backlog", func() (err error) { r.Backlog, err = ch.backlog(ctx); return err }},
		{"sealing", func() (err error) { r.Sealing, err = sealing(); return err }},
	} {
		c.Progress(step.what)
		if err := step.run(); err != nil {
			return r, fmt.Errorf("failed to measure %s: %w", step.what, err)
		}
	}
	r.Ratio = r.Throughput.PerSecond / r.Bare.PerSecond
	return r, nil
}
