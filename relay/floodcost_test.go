//go:build unix

package relay_test

import (
	"bytes"
	"syscall"
	"testing"
	"time"

	"schakel/relay"
	"schakel/relay/relaytest"
	"schakel/relay/wire"
)

// fewProcessors is what a flood may cost until it is cut: a twentieth of a processor for ten
// seconds. Both ends are in this process and count.
const fewProcessors = 500 * time.Millisecond

// processorTime is what this process has used.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// flooded has a device send the same bytes until it is cut or enough was spent, and returns
// what was spent of the processor.
func flooded(t *testing.T, limits relay.Limits, begin, flood []byte, enough time.Duration) (spent time.Duration, cut bool) {
	w, vt, _ := pair(t, relaytest.Config{Limits: limits})
	p := dialRaw(t, w)
	p.login(vt)
	before := processorTime(t)
	_, err := p.tls.Write(begin)
	for err == nil && spent < enough {
		_, err = p.tls.Write(flood)
		spent = processorTime(t) - before
	}
	return spent, err != nil
}

// Fault 64: an endless flood of empty fragments is cut, and what it took of the processor until
// then is bounded.
func TestEmptyFragmentsCostLittle(t *testing.T) {
	empty := bytes.Repeat(frame(opContinuation, false, nil), 100)
	spent, cut := flooded(t, relay.Limits{}, frame(opBinary, false, nil), empty, time.Minute)
	t.Logf("cut after %v of the processor, of both ends", spent)
	if !cut || spent > fewProcessors {
		t.Errorf("cut: %t, after %v of the processor", cut, spent)
	}
}

// Control: fragments that may be are not cut, and cost more than that.
func TestFragmentsThatMayBeCostMore(t *testing.T) {
	var fragments []byte
	message := encode(t, wire.Credit{Messages: 1, Bytes: 1})
	for i, b := range message {
		op := byte(opContinuation)
		if i == 0 {
			op = opBinary
		}
		fragments = append(fragments, frame(op, i == len(message)-1, []byte{b})...)
	}
	spent, cut := flooded(t, relay.Limits{FramesPerSecond: 1 << 30}, nil, bytes.Repeat(fragments, 50), 2*fewProcessors)
	if cut || spent <= fewProcessors {
		t.Errorf("cut: %t, after %v of the processor: what bounds the flood is not seen", cut, spent)
	}
}
