//go:build linux

package system_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/relay/queue"
	"schakel/relay/queue/redisqueue"
	"schakel/relay/queue/redisqueue/redistest"
)

// trimmed is two desks and a relay on a Redis whose operator trims mailboxes.
type trimmed struct {
	*schakeltest.Chain
	redis    *redistest.Server
	from, to *schakeltest.Member
}

func newTrimmed(t *testing.T) *trimmed {
	redistest.Need(t)
	server := must[*redistest.Server](t)(redistest.Start(t.TempDir()))
	t.Cleanup(server.Stop)
	c := schakeltest.Prepare(t)
	c.Store = func() (queue.Store, error) { return redisqueue.Open(context.Background(), server.Config()) }
	c.StartRelay()
	d := &trimmed{c, server, c.Join(safe, identity.RoleVeiligThuis), c.Join(piket, identity.RoleKnooppunt)}
	d.from.Start()
	d.to.Start()
	eventually(t, "the desks know each other", patience, func() bool {
		there, err := d.from.Node.Directory(t.Context())
		return err == nil && len(there) == 1 && there[0].Reachable
	})
	return d
}

// send sends the next message and waits until it is that far.
func (d *trimmed) send(t *testing.T, n int, state schakel.State) schakel.Sent {
	t.Helper()
	sent := must[schakel.Sent](t)(d.from.Node.Send(t.Context(), schakel.Draft{Class: "adviesvraag", Urgency: message.Routine,
		To: []identity.DeskID{piket}, Body: must[[]byte](t)(numbered(safe, n))}))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := d.from.Node.Wait(ctx, sent.Hash, state); err != nil {
		t.Fatalf("message %d: %v", n, err)
	}
	return sent
}

// trim takes everything out of the recipient's mailbox, and says how much that was.
func (d *trimmed) trim(t *testing.T) (gone int64) {
	t.Helper()
	root := d.redis.Root()
	defer root.Close()
	for _, mailbox := range must[[]string](t)(root.Keys(t.Context(), "*mail:"+string(piket)).Result()) {
		gone += must[int64](t)(root.XTrimMaxLen(t.Context(), mailbox, 0).Result())
	}
	return gone
}

func (d *trimmed) has(sent schakel.Sent) bool {
	all, err := d.to.Node.List(context.Background(), schakel.Filter{})
	return err == nil && slices.ContainsFunc(all, func(s schakel.Summary) bool { return s.Hash == sent.Hash })
}

func (d *trimmed) alarmed() bool {
	alarms, err := d.to.Node.Alarms(context.Background())
	return err == nil && slices.ContainsFunc(alarms, func(a schakel.Alarm) bool { return a.Kind == schakel.AlarmGap })
}

// away plays fault 33 up to the moment when half an hour has passed: the recipient was away
// while two messages were sent, the first of them may be trimmed, and now the sender is away.
func (d *trimmed) away(t *testing.T, trim bool) (first, second schakel.Sent) {
	d.send(t, 1, schakel.StateDelivered)
	d.to.Stop()
	first = d.send(t, 2, schakel.StateAtRelay)
	if trim && d.trim(t) == 0 {
		t.Fatal("nothing was in the mailbox")
	}
	second = d.send(t, 3, schakel.StateAtRelay)
	d.from.Stop()
	d.to.Reopen()
	d.to.Start()
	eventually(t, "the second is here", patience, func() bool { return d.has(second) })
	d.Pass(31 * time.Minute)
	return first, second
}

// Fault 33: an operator trims a mailbox of a real Redis while a message waits in it. The
// recipient is alarmed by the gap, and when the sender is there it makes the delivery again,
// the message comes and the alarm ends.
func TestMailboxIsTrimmed(t *testing.T) {
	d := newTrimmed(t)
	first, _ := d.away(t, true)
	eventually(t, "the recipient is alarmed", patience, d.alarmed)
	if d.has(first) { // control: it was the sender who could bring it
		t.Fatal("what was trimmed is here, and nobody has sent it again")
	}
	d.from.Reopen()
	d.from.Start()
	eventually(t, "what was trimmed is here", 2*patience, func() bool {
		d.Pass(time.Minute) // a desk says again what it misses, and not all the time
		return d.has(first)
	})
	eventually(t, "the alarm ends", patience, func() bool { return !d.alarmed() })
}

// Control: where nothing is trimmed, both messages come and nobody is alarmed.
func TestMailboxIsNotTrimmed(t *testing.T) {
	d := newTrimmed(t)
	first, _ := d.away(t, false)
	eventually(t, "the first is here", patience, func() bool { return d.has(first) })
	if within(2*time.Second, asking, d.alarmed) {
		t.Error("the recipient misses something, and nothing is missing")
	}
}
