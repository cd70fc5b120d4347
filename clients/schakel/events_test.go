package schakel_test

import (
	"strconv"
	"testing"
	"time"

	"schakel/clients/schakel"
)

// TestSlowListener: who does not keep up loses the oldest events and hears of it, one who
// does loses none, and nobody waits.
func TestSlowListener(t *testing.T) {
	var l schakel.Listeners
	slow, cancel := l.Subscribe()
	defer cancel()
	fast, stop := l.Subscribe()
	defer stop()
	const all = 1000
	for i := range all {
		l.Publish(schakel.Event{Kind: schakel.EventReceived, Message: strconv.Itoa(i), At: time.Unix(int64(i), 0)})
		if e := <-fast; e.Message != strconv.Itoa(i) {
			t.Fatalf("event %d is %+v", i, e)
		}
	}
	next, newest := 0, ""
	for len(slow) > 0 {
		e := <-slow
		if e.Kind == schakel.EventGap {
			next = -1
			continue
		}
		if next >= 0 && e.Message != strconv.Itoa(next) && newest != "" {
			t.Errorf("event %s, want %d, and no gap told", e.Message, next)
		}
		n, err := strconv.Atoi(e.Message)
		if err != nil {
			t.Fatal(err)
		}
		next, newest = n+1, e.Message
	}
	if newest != strconv.Itoa(all-1) {
		t.Errorf("the newest is %s", newest)
	}
}
