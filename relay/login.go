package relay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"schakel/crypto/identity"
	"schakel/relay/auth"
	"schakel/relay/wire"
)

// login challenges the device and checks its token. Until it has succeeded the
// connection may send one message of 1 KiB, and has LoginTime for it.
func (s *session) login(ctx context.Context) error {
	r := s.relay
	s.conn.ReadBy(time.Now().Add(r.config.Limits.LoginTime))
	nonce, err := auth.NewNonce(r.config.Random)
	if err != nil {
		return err
	}
	challenge := wire.Challenge{Nonce: nonce, Relay: r.config.ID, Version: wire.Version}
	if err := s.conn.Write(ctx, s.tapped([]wire.Frame{challenge})...); err != nil {
		return err
	}
	frames, err := s.conn.ReadFrames(ctx)
	if err != nil {
		return err
	}
	frames = s.heard(frames)
	if len(frames) != 1 || frames[0].Type() != wire.TypeLogin {
		return fmt.Errorf("%w: want one login", wire.ErrFrame)
	}
	s.rights, err = r.verifier.Verify(frames[0].(wire.Login).Token, nonce, s.conn.Binding())
	return err
}

// greet makes the session the live one of its device and tells where it stands.
func (s *session) greet(ctx context.Context) error {
	r := s.relay
	s.conn.SetReadLimit(wire.MaxMessage)
	s.conn.ReadBy(time.Time{})
	if s.entering != nil {
		s.entering.settle()
	}
	s.mu.Lock()
	s.shared.entered, s.shared.swept = true, true
	s.mu.Unlock()
	s.meter = r.hub.enter(s, r.begin(ctx, s))
	r.metrics.logins.WithLabelValues("ok").Inc()
	s.log = s.log.With("device", s.rights.Device.String())
	s.log.Info("device logged in")
	if !r.active(s.rights.Device) { // revoked between the check and the entry into the hub
		s.end(wire.CloseRevoked)
		return nil
	}
	cursor, err := r.config.Store.Cursor(ctx, s.rights.Desk, s.rights.Device)
	if err != nil {
		return r.storeFailed(err)
	}
	if cursor.Dropped {
		s.end(wire.CloseRevoked)
		return nil
	}
	s.sent = cursor.Position
	ready := wire.Ready{
		StoreEpoch: r.state.Epoch, Ends: uint64(s.rights.Ends.Unix()), Now: r.seconds(), RegisterSize: r.config.Register.Size(),
	}
	return s.conn.Write(ctx, s.tapped([]wire.Frame{ready})...)
}

func (r *Relay) active(id identity.DeviceID) bool {
	_, ok := r.device(id, r.config.Now())
	return ok
}

// loginCode is what the network hears of a failed login: for every token the same.
func loginCode(err error) wire.CloseCode {
	if errors.Is(err, auth.ErrToken) {
		return wire.CloseLogin
	}
	return wire.CodeFor(err)
}

func (r *Relay) loginRefused(s *session, err error) {
	reason := "connection"
	var refusal *auth.Refusal
	if errors.As(err, &refusal) {
		reason = string(refusal.Reason)
	}
	r.metrics.logins.WithLabelValues(reason).Inc()
	s.log.Info("login refused", "reason", reason)
}
