package signin

import "time"

// maxWrongDaily bounds the wrong PINs of one user over all sessions of a day. A session ends
// after a few, but a keeper makes another link, and who holds the organisation's own sign-in
// comes in by that again: five at a time is a million in the end.
const maxWrongDaily = 20

// take takes one of the day's tries of a session's user, before the PIN is looked at, and
// refuses with ErrTries where none is left. took must be called, and gives it back where the
// PIN was not wrong. A session that the right PIN has opened before needs none: nobody can
// guess somebody out of the day's work.
func (d *Door) take(token string) (took func(wrong bool), err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, ok := d.sessions[hashOf(token)]
	if !ok {
		return nil, ErrNoSession
	}
	if s.proved {
		return func(bool) {}, nil
	}
	now := d.now()
	var today []time.Time
	for _, at := range d.wrong[s.user] {
		if now.Sub(at).Abs() < 24*time.Hour {
			today = append(today, at)
		}
	}
	if len(today) >= maxWrongDaily {
		return nil, ErrTries
	}
	d.wrong[s.user] = append(today, now)
	return func(wrong bool) {
		if !wrong {
			d.giveBack(s.user)
		}
	}, nil
}

func (d *Door) giveBack(user [16]byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if all := d.wrong[user]; len(all) > 1 {
		d.wrong[user] = all[:len(all)-1]
	} else {
		delete(d.wrong, user)
	}
}
