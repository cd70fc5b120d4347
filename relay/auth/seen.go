package auth

import (
	"sync"
	"time"
)

// maxSeen bounds the memory for token ids. Only verified tokens are remembered,
// each for at most a minute, so reaching it takes a thousand logins a second by
// enrolled devices; then logins are refused, because forgetting would be worse.
const maxSeen = 1 << 16

// seen remembers token ids until they expire. The nonce alone already stops
// replay; this stops it also where a nonce were ever given twice.
type seen struct {
	mu    sync.Mutex // guards both
	until map[string]time.Time
	swept time.Time
}

func newSeen() *seen { return &seen{until: make(map[string]time.Time)} }

// first reports whether id was not seen before, and remembers it.
func (s *seen) first(id string, expires, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.swept) >= time.Second {
		s.swept = now
		for old, t := range s.until {
			if !t.After(now) {
				delete(s.until, old)
			}
		}
	}
	if _, known := s.until[id]; known || id == "" || len(s.until) >= maxSeen {
		return false
	}
	s.until[id] = expires
	return true
}
