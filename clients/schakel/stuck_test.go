package schakel_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/clients/store"
	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/relay/wire"
)

// stuckChain is a doctor whose message to Veilig Thuis cannot arrive, and the
// police, whom everything must reach all the same.
func stuckChain(t *testing.T) (chain *schakeltest.Chain, doctor, safe, police *schakeltest.Member, waiting message.Hash) {
	t.Helper()
	chain = schakeltest.New(t)
	doctor = chain.Join("arts/praktijk", identity.RoleSignaleerder)
	safe = chain.Join("vt20/crisis", identity.RoleVeiligThuis)
	police = chain.Join("politie-mn/meldkamer", identity.RolePolitie)
	doctor.Start()
	police.Start()
	eventually(t, "the doctor knows both desks", func() bool {
		desks, err := doctor.Node.Directory(t.Context())
		return err == nil && len(desks) == 2 && desks[0].Reachable && desks[1].Reachable
	})
	sent, err := doctor.Node.Send(t.Context(), schakel.Draft{
		Class: "signaal", Urgency: message.Routine, To: []identity.DeskID{safe.Desk}, Body: example(t, "signaal"),
	})
	if err != nil {
		t.Fatal(err)
	}
	view(t, doctor, func(tx *store.Tx) error {
		row, err := tx.FindMessage(sent.Hash)
		waiting = row.Hash
		return err
	})
	return chain, doctor, safe, police, waiting
}

func view(t *testing.T, m *schakeltest.Member, f func(*store.Tx) error) {
	t.Helper()
	if err := m.Store().View(context.Background(), f); err != nil {
		t.Fatal(err)
	}
}

func reaches(t *testing.T, from, to *schakeltest.Member) {
	t.Helper()
	ctx := testContext(t)
	sent, err := from.Node.Send(ctx, schakel.Draft{Class: "melding", Urgency: message.Acute, To: []identity.DeskID{to.Desk}, Body: example(t, "melding")})
	if err != nil {
		t.Fatalf("nothing can be sent any more: %v", err)
	}
	if _, err := from.Node.Wait(ctx, sent.Hash, schakel.StateDelivered); err != nil {
		t.Fatalf("nothing arrives any more: %v", err)
	}
}

// A desk that is revoked while something for it waits stops nothing else.
func TestRevokedDeskDoesNotStopTheOthers(t *testing.T) {
	chain, doctor, safe, police, _ := stuckChain(t)
	chain.Revoke(safe.Desk)
	eventually(t, "the doctor hears of it", func() bool {
		desks, err := doctor.Node.Directory(t.Context())
		return err == nil && (len(desks) == 1 || !desks[0].Reachable || !desks[1].Reachable)
	})
	chain.Pass(8 * 24 * time.Hour) // its envelope has expired, and is due to be made again
	reaches(t, doctor, police)
}

// A delivery that was made again more often than a delivery can say stops nothing,
// itself included.
func TestSupersededTooOften(t *testing.T) {
	_, doctor, safe, police, waiting := stuckChain(t)
	const often = delivery.MaxSuperseded + 50
	err := doctor.Store().Update(t.Context(), func(tx *store.Tx) error {
		now := time.Now()
		for i := range uint64(often) {
			var id envelope.ID
			rand.Read(id[:])
			err := tx.PutDelivery(store.Delivery{Envelope: id, Kind: delivery.KindMessage, Message: waiting, Desk: safe.Desk,
				Counter: 1000 + i, Sealer: doctor.Node.Device(), Created: now.Add(-48 * time.Hour), Expires: now.Add(-time.Hour), Raw: []byte{0}})
			if err != nil {
				return err
			}
		}
		ds, err := tx.DeliveriesOf(waiting, safe.Desk)
		if err != nil {
			return err
		}
		for _, d := range ds {
			if err := tx.Retire(d.Envelope, now.Add(-time.Hour)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is made again", func() bool {
		var due []store.Recipient
		view(t, doctor, func(tx *store.Tx) (err error) { due, err = tx.Undelivered(time.Now(), 1); return err })
		return len(due) == 0
	})
	reaches(t, doctor, police)
}

// A register of more pieces than one frame holds is taken in within one session.
func TestRegisterOfManyPieces(t *testing.T) {
	chain := schakeltest.Prepare(t)
	log := &lockedBuffer{}
	chain.Log = slog.New(slog.NewTextHandler(log, nil))
	chain.StartRelay()
	doctor := chain.Join("arts/praktijk", identity.RoleSignaleerder)
	chain.Grow(wire.MaxEntries + 100)
	police := chain.Join("politie-mn/meldkamer", identity.RolePolitie)
	doctor.Start()
	police.Start()
	eventually(t, "the doctor knows the police", func() bool {
		desks, err := doctor.Node.Directory(t.Context())
		return err == nil && len(desks) == 1 && desks[0].Reachable
	})
	reaches(t, doctor, police)
	if strings.Contains(log.String(), "session ended") {
		t.Errorf("a session broke:\n%s", log)
	}
}

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
