package simulation_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"schakel/relay/queue/queuetest/lossy"
)

// deed is one thing that goes wrong.
type deed int

const (
	kill     deed = iota // of the relay's process: what was being written may be there
	powerCut             // of its machine: nobody is told
	killIn               // kill, in the middle of the next write
	restart              // as an operator does
	cut                  // of one device's connection, within a frame
	darken               // of one device's connection: nobody is told
	slowNet
	slicedNet
	clock // of the relay
	away  // the store
	full
	unconfirmed
	broken // the next sync fails
	slowDisk
	deafPager
	deeds
)

func (d deed) String() string {
	return [...]string{
		"kill", "power cut", "kill in a write", "restart", "cut", "dark", "slow network", "sliced network", "clock", "store away",
		"disk full", "unconfirmed", "broken sync", "slow disk", "deaf pager",
	}[d]
}

// misfortune is when a deed begins, how long it lasts, and how it is done.
type misfortune struct {
	deed
	from, to time.Duration // from the beginning
	who      int           // which device
	keep     int           // how much of what was being written stays
	skew     time.Duration
}

// skews are how wrong the relay's clock may be: it ends sessions and lets envelopes expire.
var skews = []time.Duration{0, 0, -2 * time.Minute, -time.Second, time.Second, 2 * time.Minute, 13 * time.Hour}

// curse draws what goes wrong in a simulation that is troubled for so long. It uses
// nothing but luck, so a seed always has the same.
func curse(luck *rand.Rand, devices int, troubled time.Duration) (list []misfortune) {
	// Each seed has its own mixture, so that some have much of one thing.
	var weights [deeds]float64
	sum := 0.0
	for d := range weights {
		weights[d] = luck.Float64() * luck.Float64()
		sum += weights[d]
	}
	pick := func() deed {
		x := luck.Float64() * sum
		for d, w := range weights {
			if x -= w; x < 0 {
				return deed(d)
			}
		}
		return cut
	}
	for at := time.Duration(0); ; {
		at += time.Duration(luck.Int64N(int64(5 * time.Second)))
		if at >= troubled {
			break
		}
		m := misfortune{deed: pick(), from: at, who: luck.IntN(devices), keep: luck.IntN(4), skew: skews[luck.IntN(len(skews))]}
		m.to = at + 200*time.Millisecond + time.Duration(luck.ExpFloat64()*float64(3*time.Second))
		m.to = min(m.to, troubled-time.Duration(len(list))*time.Microsecond)
		list = append(list, m)
	}
	return list
}

// turn is the beginning or the end of a misfortune.
type turn struct {
	at  time.Duration
	end bool
	misfortune
}

// agenda puts all turns in their order.
func agenda(list []misfortune) (all []turn) {
	for _, m := range list {
		all = append(all, turn{at: m.from, misfortune: m}, turn{at: m.to, end: true, misfortune: m})
	}
	slices.SortStableFunc(all, func(a, b turn) int { return cmp.Compare(a.at, b.at) })
	return all
}

// suffer lets everything on the agenda happen.
func (w *world) suffer(all []turn) {
	for _, t := range all {
		<-time.After(time.Until(w.began.Add(t.at)))
		w.active[t.deed] += map[bool]int{false: 1, true: -1}[t.end]
		w.note(-1, fmt.Sprint(t.deed, " ", t.end, " ", t.who), nil)
		w.happen(t)
	}
}

func (w *world) happen(t turn) {
	switch t.deed {
	case kill, powerCut:
		if t.end {
			w.start()
		} else {
			w.kill(t.keep, t.deed == powerCut)
		}
	case killIn:
		w.mu.Lock()
		w.killIn, w.killKeep = !t.end, t.keep
		w.mu.Unlock()
		if t.end {
			w.start()
		}
	case restart:
		if t.end {
			w.start()
		} else {
			w.stop()
		}
	case cut, darken:
		for _, c := range w.net.of(t.who) {
			if t.deed == cut {
				c.cut()
			} else {
				c.darken()
			}
		}
	case slowNet, slicedNet:
		w.net.turn(weather{slow: w.active[slowNet] > 0, sliced: w.active[slicedNet] > 0})
	case clock:
		if !t.end {
			w.setClock(t.skew)
		}
	default:
		w.trouble()
	}
	w.outages.now(w.down() || w.active[away]+w.active[unconfirmed]+w.active[slowDisk]+w.active[deafPager]+w.active[broken]+w.active[killIn] > 0)
}

// trouble is what the disk and the pagers have.
func (w *world) trouble() {
	w.disk.Suffer(lossy.Trouble{
		Away: w.active[away] > 0, Full: w.active[full] > 0, Unconfirmed: w.active[unconfirmed] > 0, Broken: w.active[broken] > 0,
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.slowDisk, w.deaf = w.active[slowDisk] > 0, w.active[deafPager] > 0
}
