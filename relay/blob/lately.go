package blob

import (
	"sync"
	"time"
)

// lately remembers since when something is so, for a while. Its zero value is ready.
type lately[K comparable] struct {
	mu    sync.Mutex // guards since
	since map[K]time.Time
}

// known returns since when it is so of one, and forgets what was so before life.
func (l *lately[K]) known(one K, now time.Time, life time.Duration) (since time.Time, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for other, at := range l.since {
		if age := now.Sub(at); age < 0 || age >= life {
			delete(l.since, other)
		}
	}
	since, ok = l.since[one]
	return since, ok
}

// note remembers one, unless so many are known already.
func (l *lately[K]) note(one K, now time.Time, most int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.since == nil {
		l.since = make(map[K]time.Time)
	}
	if len(l.since) < most {
		l.since[one] = now
	}
}

func (l *lately[K]) forget(one K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.since, one)
}
