package relay_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/relay/queue"
	"schakel/relay/queue/redisqueue"
	"schakel/relay/queue/redisqueue/redistest"
	"schakel/relay/relaytest"
	"schakel/relay/wire"
)

// redisWorld is a relay on a Redis of its own, which can be stopped and put back.
type redisWorld struct {
	*relaytest.World
	dir    string
	server *redistest.Server
}

func newRedisWorld(t *testing.T) *redisWorld {
	t.Helper()
	redistest.Need(t)
	r := &redisWorld{dir: t.TempDir()}
	t.Cleanup(func() { r.server.Stop() })
	r.World = relaytest.New(t, relaytest.Config{Open: func() (_ queue.Store, err error) {
		if r.server, err = redistest.Start(r.dir); err != nil {
			return nil, err
		}
		store, err := redisqueue.Open(t.Context(), r.server.Config())
		if err != nil {
			return nil, err
		}
		return store, nil
	}})
	return r
}

// still does f to the folder of Redis while Redis and the relay stand still.
func (r *redisWorld) still(t *testing.T, f func(appendonly string) error) {
	t.Helper()
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}
	r.server.Stop()
	if err := f(filepath.Join(r.dir, "appendonlydir")); err != nil {
		t.Fatal(err)
	}
	r.Start()
}

// offering is a device that keeps what it sealed, and offers it when it has to.
type offering struct {
	*relaytest.Device
	kept map[envelope.ID][]byte
}

func (o *offering) offer(t *testing.T, s *relaytest.Session, ids ...envelope.ID) {
	t.Helper()
	for _, id := range ids {
		s.Send(wire.Put{Envelope: o.kept[id]})
	}
	for stored := 0; stored < len(ids); {
		stored += len(relaytest.Expect[wire.Stored](s).Leaves)
	}
}

func (o *offering) seal(to *relaytest.Device, count int) (ids []envelope.ID) {
	for range count {
		raw, id := o.Envelope(to)
		o.kept[id] = raw
		ids = append(ids, id)
	}
	return ids
}

// take takes count envelopes, acknowledges them, and returns which.
func take(s *relaytest.Session, count int) (got []envelope.ID) {
	var last wire.Deliver
	s.Send(wire.Credit{Messages: uint32(count), Bytes: 1 << 20})
	for len(got) < count {
		last = relaytest.Expect[wire.Deliver](s)
		e, err := envelope.Parse(last.Envelope)
		if err == nil {
			got = append(got, e.Header.ID)
		}
	}
	s.Send(wire.Ack{Position: last.Position})
	return got
}

// TestRedisIsRestored copies appendonlydir as the operator does, goes on, and puts
// the copy back. A device that offers again whenever the epoch is another loses
// nothing; what the recipient had it is given again at most on the wire, and knows.
func TestRedisIsRestored(t *testing.T) {
	r := newRedisWorld(t)
	from := &offering{r.Enrol("vt20/crisis", identity.RoleVeiligThuis), make(map[envelope.ID][]byte)}
	to := r.Enrol("pol-mn/zeden", identity.RolePolitie)
	copied := filepath.Join(t.TempDir(), "copy")
	session := from.Login()
	from.offer(t, session, from.seal(to, 5)...)
	r.still(t, func(dir string) error { return os.CopyFS(copied, os.DirFS(dir)) })
	session = from.Login()
	before := session.Ready.StoreEpoch
	recent := from.seal(to, 5)
	from.offer(t, session, recent...)
	had := take(to.Login(), 7)
	r.still(t, func(dir string) error {
		return errors.Join(os.RemoveAll(dir), os.CopyFS(dir, os.DirFS(copied)))
	})
	session = from.Login()
	if session.Ready.StoreEpoch == before {
		t.Fatal("a restored Redis has the epoch that it had: nobody would offer again")
	}
	session2 := to.Login()
	got := take(session2, 5)
	// Control: until the sender offers again, what came after the copy is gone.
	if _, quiet := session2.Quiet(300 * time.Millisecond); !quiet {
		t.Error("more is there than was copied: the test does not see an old store")
	}
	var all []envelope.ID
	for id := range from.kept {
		all = append(all, id)
	}
	from.offer(t, session, all...)
	got = append(got, take(session2, 5)...)
	for _, id := range recent {
		if !slices.Contains(got, id) {
			t.Errorf("%s is lost", id)
		}
	}
	once := slices.Compact(slices.SortedFunc(slices.Values(append(got, had...)), func(a, b envelope.ID) int {
		return slices.Compare(a[:], b[:])
	}))
	if len(got) != 10 || len(once) != 10 {
		t.Errorf("given %d, of %d envelopes", len(got), len(once))
	}
}
