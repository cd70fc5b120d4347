package bench

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// usage is what a process has used and holds.
type usage struct {
	cpu      time.Duration
	resident int64
}

// clockTick is the unit of /proc/PID/stat on Linux, whatever the kernel's own.
const clockTick = 10 * time.Millisecond

// processOf reads /proc; elsewhere than on Linux it knows nothing, and says zero.
func processOf(pid int) (u usage) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u
	}
	_, rest, ok := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 22 {
		return u
	}
	number := func(i int) int64 {
		n, _ := strconv.ParseInt(fields[i], 10, 64)
		return n
	}
	return usage{cpu: time.Duration(number(11)+number(12)) * clockTick, resident: number(21) * int64(os.Getpagesize())}
}

// idle measures what the relay holds for connections that do nothing. It comes
// first, while the relay's memory holds nothing else that could be reused; the
// first tenth warms up what the relay needs once.
func (ch *chain) idle(ctx context.Context) (i Idle, err error) {
	warm := len(ch.idlers) / 10
	if err := ch.connectAll(ctx, ch.idlers[:warm]); err != nil {
		return i, err
	}
	before := processOf(ch.relay.PID()).resident
	if err := ch.connectAll(ctx, ch.idlers[warm:]); err != nil {
		return i, err
	}
	after := processOf(ch.relay.PID()).resident
	for _, d := range ch.idlers {
		d.hangUp()
	}
	n := len(ch.idlers) - warm
	return Idle{Connections: n, SessionsAlive: len(ch.idlers), BytesEach: max(after-before, 0) / int64(n)}, nil
}
