//go:build linux

package system_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"schakel/crypto/identity"
)

// What an application writes into its history.
const (
	doAttempt = "attempt"  // about to send
	doAccept  = "accept"   // Send returned: from here on the message may not get lost
	doReceive = "received" // the recipient's application was told of a new message
	doList    = "listed"   // the recipient's inbox at the end, in order of arrival
)

// record is one line of a history. Attempts are numbered by their sender, and the
// number stands in the message.
type record struct {
	Do   string          `json:"do"`
	From identity.DeskID `json:"from,omitempty"`
	N    int             `json:"n,omitempty"`
	Hash string          `json:"hash,omitempty"`
}

// history is the file of one application.
type history struct {
	mu  sync.Mutex // guards what follows
	out *os.File
}

func newHistory(t testing.TB, path string) *history {
	h := &history{out: must[*os.File](t)(os.Create(path))}
	t.Cleanup(func() { _ = h.out.Close() })
	return h
}

// add panics when it cannot write: a history with holes proves nothing.
func (h *history) add(r record) {
	line, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, err := h.out.Write(append(line, '\n')); err != nil {
		panic(err)
	}
}

func readHistory(t testing.TB, path string) (all []record) {
	t.Helper()
	f := must[*os.File](t)(os.Open(path))
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var r record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// tally is what a check counted.
type tally struct {
	attempts, accepted, received, listed int
}

// check compares the histories of senders with that of their recipient. Accepted
// is a subset of listed, listed a subset of attempted; nobody was told twice; and
// per sender everything came in the order of sending.
func check(sent, got []record) (n tally, wrong []string) {
	attempted, numbers := map[record]bool{}, map[string]record{}
	var accepted []string
	for _, r := range sent {
		key := record{From: r.From, N: r.N}
		if r.Do == doAttempt {
			attempted[key] = true
			continue
		}
		numbers[r.Hash] = key
		accepted = append(accepted, r.Hash)
	}
	n.attempts, n.accepted = len(attempted), len(accepted)
	told, listed := &sequence{what: "was told of"}, &sequence{what: "has"}
	for _, r := range got {
		key := record{From: r.From, N: r.N}
		if r.N == 0 {
			key = numbers[r.Hash]
		}
		if r.Do == doReceive {
			told.add(r.Hash, key)
			n.received++
			continue
		}
		listed.add(r.Hash, key)
		n.listed++
		if !attempted[key] {
			wrong = append(wrong, fmt.Sprintf("%.8s was never sent", r.Hash))
		}
	}
	for _, h := range accepted {
		if !listed.seen[h] {
			wrong = append(wrong, fmt.Sprintf("lost: %d of %s", numbers[h].N, numbers[h].From))
		}
	}
	return n, slices.Concat(wrong, told.wrong, listed.wrong)
}

// sequence checks what one application saw, in order.
type sequence struct {
	what  string
	seen  map[string]bool
	last  map[identity.DeskID]int
	wrong []string
}

func (s *sequence) add(hash string, key record) {
	if s.seen == nil {
		s.seen, s.last = map[string]bool{}, map[identity.DeskID]int{}
	}
	switch {
	case s.seen[hash]:
		s.wrong = append(s.wrong, fmt.Sprintf("the recipient %s %d of %s twice", s.what, key.N, key.From))
	case key.N != 0 && key.N == s.last[key.From]:
		s.wrong = append(s.wrong, fmt.Sprintf("the recipient %s two messages %d of %s", s.what, key.N, key.From))
	case key.N != 0 && key.N < s.last[key.From]:
		s.wrong = append(s.wrong, fmt.Sprintf("the recipient %s %d of %s after %d", s.what, key.N, key.From, s.last[key.From]))
	}
	s.seen[hash] = true
	s.last[key.From] = max(s.last[key.From], key.N)
}

// The checker itself: what is fine passes, and each kind of fault is found.
func TestCheckerFindsEachFault(t *testing.T) {
	sent := []record{}
	for n, hash := range []string{"a", "b", "c"} {
		sent = append(sent, record{doAttempt, safe, n + 1, ""}, record{doAccept, safe, n + 1, hash})
	}
	sent = append(sent, record{doAttempt, safe, 4, ""}) // nobody knows whether it was sent
	told := func(hashes ...string) (out []record) {
		for _, h := range hashes {
			out = append(out, record{Do: doReceive, Hash: h})
		}
		return out
	}
	listed := func(hashes ...string) (out []record) {
		for _, h := range hashes {
			out = append(out, record{Do: doList, From: safe, Hash: h, N: strings.Index(" abcd", h)})
		}
		return out
	}
	for name, c := range map[string]struct {
		got  []record
		want string
	}{
		"fine":               {slices.Concat(told("a", "b", "c"), listed("a", "b", "c")), ""},
		"not all were told":  {slices.Concat(told("a", "c"), listed("a", "b", "c")), ""},
		"an open attempt":    {listed("a", "b", "c", "d"), ""},
		"lost":               {listed("a", "c"), "lost: 2 of vt20/crisis"},
		"told twice":         {slices.Concat(told("a", "b", "a", "c"), listed("a", "b", "c")), "the recipient was told of 1 of vt20/crisis twice"},
		"listed twice":       {listed("a", "b", "b", "c"), "the recipient has 2 of vt20/crisis twice"},
		"sent twice":         {append(listed("a", "b", "c"), record{doList, safe, 3, "x"}), "the recipient has two messages 3 of vt20/crisis"},
		"told out of order":  {slices.Concat(told("b", "a"), listed("a", "b", "c")), "the recipient was told of 1 of vt20/crisis after 2"},
		"listed out of turn": {listed("b", "a", "c"), "the recipient has 1 of vt20/crisis after 2"},
		"never sent":         {append(listed("a", "b", "c"), record{doList, safe, 9, "x"}), "x was never sent"},
	} {
		t.Run(name, func(t *testing.T) {
			_, wrong := check(sent, c.got)
			if got := strings.Join(wrong, "; "); got != c.want {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}
