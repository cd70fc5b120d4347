package signin

import (
	"context"
	"errors"
	"time"

	"schakel/clients/desk"
	"schakel/crypto/identity"
)

// Invited says for whom an unused link is, and leaves it unused: what looks at links
// before people do, such as a mail filter, must not use them up.
func (d *Door) Invited(ctx context.Context, link string) (desk.User, error) {
	d.mu.Lock()
	l, ok := d.links[hashOf(link)]
	d.mu.Unlock()
	if !ok || !l.until.After(d.now()) {
		return desk.User{}, ErrLink
	}
	return d.user(ctx, l.user)
}

// Redeem uses a link up and begins a session, whose token it returns.
func (d *Door) Redeem(ctx context.Context, link string) (token string, err error) {
	d.mu.Lock()
	l, ok := d.links[hashOf(link)]
	delete(d.links, hashOf(link))
	d.mu.Unlock()
	if !ok || !l.until.After(d.now()) {
		return "", ErrLink
	}
	token, err = d.begin(ctx, l.user)
	if err == nil && l.locked {
		d.Lock(token)
	}
	return token, err
}

// begin begins a session under a token that no browser ever had: one that was planted
// there before is worth nothing (session fixation).
func (d *Door) begin(ctx context.Context, id [16]byte) (string, error) {
	user, err := d.user(ctx, id)
	if err != nil {
		return "", err
	}
	if err := d.note(ctx, "web-signed-in", id, personOf(user)); err != nil {
		return "", err
	}
	token, h := secret()
	now := d.now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.sessions) >= maxSessions {
		d.dropOldest()
	}
	d.sessions[h] = newSession(id, now, now)
	return token, nil
}

func personOf(u desk.User) identity.PersonID {
	id, err := identity.ParsePersonID(u.Person)
	if err != nil {
		return identity.PersonID{}
	}
	return id
}

func (d *Door) dropOldest() {
	var oldest hash
	var found *session
	for h, s := range d.sessions {
		if found == nil || s.seen.Before(found.seen) {
			oldest, found = h, s
		}
	}
	if found != nil {
		found.end()
		delete(d.sessions, oldest)
	}
}

func (s *session) end() {
	select {
	case <-s.over:
	default:
		close(s.over)
	}
}

// Visitor is who is behind a token. Looking counts as a sign of life only where alive
// says so: a page that refreshes itself must not keep a desk open that nobody sits at.
// It refuses with ErrNoSession and ErrLocked; with ErrLocked the user is named.
func (d *Door) Visitor(ctx context.Context, token string, alive bool) (desk.User, error) {
	id, locked, err := d.look(token, alive)
	if err != nil {
		return desk.User{}, err
	}
	user, err := d.user(ctx, id)
	if errors.Is(err, ErrNoSession) {
		d.End(ctx, token)
	}
	if err == nil && locked {
		err = ErrLocked
	}
	return user, err
}

func (d *Door) look(token string, alive bool) (id [16]byte, locked bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, ok := d.sessions[hashOf(token)]
	if !ok {
		return id, false, ErrNoSession
	}
	now := d.now()
	if now.Sub(s.began) >= sessionLife {
		s.end()
		delete(d.sessions, hashOf(token))
		return id, false, ErrNoSession
	}
	if now.Sub(s.seen) >= d.idle {
		s.lock()
	}
	if alive && !s.locked {
		s.seen = now
	}
	return s.user, s.locked, nil
}

func (s *session) lock() {
	s.locked = true
	s.end()
}

// Over is closed when the session locks or ends: what streams to it must stop. It is
// closed already for a token that is none.
func (d *Door) Over(token string) <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s, ok := d.sessions[hashOf(token)]; ok {
		return s.over
	}
	over := make(chan struct{})
	close(over)
	return over
}

// Lock locks a session, if there is one.
func (d *Door) Lock(token string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s, ok := d.sessions[hashOf(token)]; ok {
		s.lock()
	}
}

// End ends a session, if there is one.
func (d *Door) End(ctx context.Context, token string) { d.endHash(ctx, hashOf(token)) }

func (d *Door) endHash(ctx context.Context, h hash) {
	d.mu.Lock()
	s, ok := d.sessions[h]
	delete(d.sessions, h)
	d.mu.Unlock()
	if ok {
		s.end()
		if err := d.note(ctx, "web-signed-out", s.user, identity.PersonID{}); err != nil {
			d.log.Warn("signing out not in the access log", "err", err)
		}
	}
}

func (d *Door) endAll(user [16]byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for h, s := range d.sessions {
		if s.user == user {
			s.end()
			delete(d.sessions, h)
		}
	}
	for h, l := range d.links {
		if l.user == user {
			delete(d.links, h)
		}
	}
}

// Unlock opens a locked session by the PIN of its user's person, under a new token. It
// refuses with ErrPIN, and ends the session at the fifth wrong one: then ErrNoSession; and
// with ErrTries. A user without a person signs in again.
func (d *Door) Unlock(ctx context.Context, token, pin string) (string, error) {
	user, err := d.Visitor(ctx, token, false)
	if err == nil {
		return token, nil // not locked: nothing to do
	}
	if !errors.Is(err, ErrLocked) || user.Person == "" || !d.tryPIN(token) {
		d.End(ctx, token)
		return "", ErrNoSession
	}
	took, err := d.take(token)
	if err != nil {
		d.End(ctx, token)
		return "", err
	}
	_, err = d.signingKey(ctx, personOf(user), pin)
	took(errors.Is(err, ErrPIN))
	if errors.Is(err, ErrPIN) {
		if !d.triesLeft(token) {
			d.End(ctx, token)
			return "", ErrNoSession
		}
		return "", ErrPIN
	}
	if err != nil {
		return "", err
	}
	return d.renew(token)
}

// tryPIN takes one of the tries, before the PIN is looked at: tries that run at the same
// time each cost one.
func (d *Door) tryPIN(token string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, ok := d.sessions[hashOf(token)]
	if !ok || s.wrong >= maxWrong {
		return false
	}
	s.wrong++
	return true
}

func (d *Door) triesLeft(token string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, ok := d.sessions[hashOf(token)]
	return ok && s.wrong < maxWrong
}

// renew goes on with a session under a new token: the old one may have been seen while
// the desk stood locked.
func (d *Door) renew(token string) (string, error) {
	fresh, h := secret()
	d.mu.Lock()
	defer d.mu.Unlock()
	s, ok := d.sessions[hashOf(token)]
	if !ok {
		return "", ErrNoSession
	}
	delete(d.sessions, hashOf(token))
	s.end()
	next := newSession(s.user, s.began, d.now())
	next.proved = true
	d.sessions[h] = next
	return fresh, nil
}

// Try lets a form of an open session have a PIN looked at, one at a time: tries that are sent
// together are tries all the same. tried must be called, and says whether it was wrong; the
// fifth that was locks the session, where five tries are left. typed says that somebody typed
// it. It refuses with ErrNoSession, ErrLocked and ErrTries.
func (d *Door) Try(ctx context.Context, token string, typed bool) (tried func(wrong bool), err error) {
	s, err := d.open(token)
	if err != nil {
		return nil, err
	}
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	took := func(bool) {}
	if _, err = d.open(token); err == nil && typed { // not locked by those that went before
		took, err = d.take(token)
	}
	if err != nil {
		<-s.turn
		return nil, err
	}
	return func(wrong bool) {
		defer func() { <-s.turn }()
		took(wrong)
		if wrong && d.slipped(s) {
			d.guessed(ctx, s.user)
		}
	}, nil
}

// guessed writes down that there were too many wrong PINs: who guesses does not wait for it.
func (d *Door) guessed(ctx context.Context, user [16]byte) {
	ctx = context.WithoutCancel(ctx)
	if err := d.note(ctx, "web-wrong-pins", user, identity.PersonID{}); err != nil {
		d.log.Warn("wrong PINs not in the access log", "err", err)
	}
}

// slipped counts a wrong PIN, and reports whether it locks the session.
func (d *Door) slipped(s *session) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.slips++; s.slips < maxWrong {
		return false
	}
	s.lock()
	return true
}

// open is a session that is not locked.
func (d *Door) open(token string) (*session, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, ok := d.sessions[hashOf(token)]
	switch {
	case !ok:
		return nil, ErrNoSession
	case s.locked:
		return nil, ErrLocked
	}
	return s, nil
}

// Remaining is how long a session stays open without a sign of life.
func (d *Door) Remaining(token string) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, ok := d.sessions[hashOf(token)]
	if !ok || s.locked {
		return 0
	}
	return d.idle - d.now().Sub(s.seen)
}
