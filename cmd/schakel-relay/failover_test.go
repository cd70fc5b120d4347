package main_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"schakel/crypto/custody"
	"schakel/crypto/envelope"
	"schakel/relay/queue/redisqueue/redistest"
	"schakel/relay/relaytest"
	"schakel/relay/wire"
)

// onSentinel has a relay keep its mailboxes in a Redis that sentinels watch.
func (p *process) onSentinel(servers *redistest.Sentinels) {
	p.t.Helper()
	c := servers.Config()
	password, err := c.Password()
	if err != nil {
		p.t.Fatal(err)
	}
	folder := filepath.Dir(p.data)
	secret := filepath.Join(folder, "redis-password")
	settings := fmt.Sprintf("store = \"redis\"\nredis-address = %q\nredis-master = %q\nredis-replicas = \"%d\"\n"+
		"redis-password-file = %q\nredis-admin-password-file = %q\n", c.Address, c.Master, c.Replicas, secret, secret)
	for path, content := range map[string]string{secret: password, filepath.Join(folder, "relay.toml"): settings} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			p.t.Fatal(err)
		}
	}
}

// supervise starts the relay again whenever it ends, as systemd does, until the test
// ends. It counts how often.
func (p *process) supervise() (started func() int) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	var mu sync.Mutex
	starts := 0
	running.Go(func() {
		for ctx.Err() == nil {
			c := p.command("serve")
			line := exec.CommandContext(ctx, c.Path, c.Args[1:]...)
			line.Env, line.Stderr = c.Env, &p.log
			mu.Lock()
			starts++
			mu.Unlock()
			_ = line.Run()
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	})
	p.t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		return starts
	}
}

// ready waits until the relay says that it is.
func (p *process) ready() {
	p.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	for began := time.Now(); time.Since(began) < time.Minute; {
		resp, err := client.Get("http://" + p.admin + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		<-time.After(20 * time.Millisecond)
	}
	p.t.Fatal("not ready:\n", p.log.String())
}

// promises reads what a relay promises until it has so many, or is gone: on disk, and
// at a replica.
func promises(t *testing.T, s *relaytest.Session, promised map[envelope.ID]bool, enough int) {
	for len(promised) < enough {
		f, err := s.Next()
		if err != nil {
			return
		}
		if stored, ok := f.(wire.Stored); ok {
			if stored.Batch.Guarantee != custody.GuaranteeReplicas {
				t.Errorf("the receipt promises %v", stored.Batch.Guarantee)
			}
			for _, l := range stored.Leaves {
				promised[l.ID] = true
			}
		}
	}
}

// flood sends envelopes until the connection ends.
func flood(s *relaytest.Session, from, to *relaytest.Device) {
	for {
		raw, _ := from.Envelope(to)
		if s.Conn.Write(context.Background(), wire.Put{Envelope: raw}) != nil {
			return
		}
		<-time.After(time.Millisecond)
	}
}

// The primary of the relay's Redis dies under load. The relay ends and is started
// again, finds the replica in its place under a new epoch, and everything that it
// promised is delivered, once.
func TestRedisFailsOver(t *testing.T) {
	redistest.Need(t)
	servers, err := redistest.StartSentinels(t.TempDir(), 1, 2*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer servers.Stop()
	p, from, to, w := newProcess(t)
	p.onSentinel(servers)
	started := p.supervise()
	p.ready()
	epochs(t, to, w)
	promised := map[envelope.ID]bool{}
	before := from.Login()
	go flood(before, from, to)
	promises(t, before, promised, 50)
	primary := servers.Primary()
	primary.Kill()
	killed := time.Now()
	returned := make(chan error, 1)
	go func() {
		for servers.Primary() == nil && time.Since(killed) < time.Minute {
			<-time.After(20 * time.Millisecond)
		}
		returned <- servers.Return(primary)
	}()
	promises(t, before, promised, 1<<30) // what was under way, until the relay ends
	if err := <-returned; err != nil {
		t.Fatal(err)
	}
	p.ready()
	after := from.Login()
	if after.Ready.StoreEpoch == before.Ready.StoreEpoch {
		t.Error("the epoch is that of before the failover")
	}
	go flood(after, from, to)
	promises(t, after, promised, len(promised)+50)
	t.Logf("%d promised; takes envelopes again %v after the primary died; started %d times",
		len(promised), time.Since(killed).Round(time.Millisecond), started())
	after.Close()
	delivered(t, to, promised)
}

// delivered wants everything that was promised, and nothing twice.
func delivered(t *testing.T, to *relaytest.Device, promised map[envelope.ID]bool) {
	t.Helper()
	s := to.Login()
	s.Send(wire.Credit{Messages: 1 << 20, Bytes: 1 << 30})
	seen := map[envelope.ID]bool{}
	for missing := len(promised); missing > 0; {
		e, err := envelope.Parse(relaytest.Expect[wire.Deliver](s).Envelope)
		if err != nil {
			t.Fatal(err)
		}
		if seen[e.Header.ID] {
			t.Errorf("%x came twice", e.Header.ID)
		}
		seen[e.Header.ID] = true
		if promised[e.Header.ID] {
			missing--
		}
	}
}
