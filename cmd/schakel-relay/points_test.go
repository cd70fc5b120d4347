package main_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"schakel/relay/relaytest"
	"schakel/relay/wire"
)

// A point is a line at which a relay kills itself when the variable POINT names it. It
// is in no program that is released: the compiler is shown changed copies of files.
type point struct{ name, file, before string }

var points = []point{
	{"stored", "receipts.go", "\tterms := custody.Terms{StoreEpoch:"},                            // on disk, and nobody was told
	{"delivered", "session.go", "\t\treturn 0, again\n"},                                         // with the device, or on its way
	{"acknowledged", "read.go", "\t}\n\tfor _, f := range frames {\n\t\tif err := s.takeFrame("}, // heard, and not with the store
}

// deadly builds a relay with all points.
func deadly(t *testing.T) string {
	t.Helper()
	dir, room := t.TempDir(), filepath.Join("..", "..", "relay")
	replace := map[string]string{}
	show := func(name, content string) {
		original, err := filepath.Abs(filepath.Join(room, name))
		if err := errors.Join(err, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
		replace[original] = filepath.Join(dir, name)
	}
	show("point.go", "package relay\n\nimport (\n\t\"os\"\n\t\"syscall\"\n)\n\nfunc point(name string) {\n"+
		"\tif os.Getenv(\"POINT\") == name {\n\t\t_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)\n\t\tselect {}\n\t}\n}\n")
	for _, p := range points {
		raw, err := os.ReadFile(filepath.Join(room, p.file))
		if err != nil || strings.Count(string(raw), p.before) != 1 {
			t.Fatalf("%s: %d places for the point %q: %v", p.file, strings.Count(string(raw), p.before), p.name, err)
		}
		call := "\tpoint(\"" + p.name + "\")\n"
		if p.name == "delivered" {
			call = "\t\tfor _, f := range frames {\n\t\t\tif f.Type() == wire.TypeDeliver {\n\t\t\t\tpoint(\"delivered\")\n\t\t\t}\n\t\t}\n"
		}
		show(p.file, strings.Replace(string(raw), p.before, call+p.before, 1))
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	program, file := filepath.Join(dir, "schakel-relay"), filepath.Join(dir, "overlay.json")
	if err := errors.Join(err, os.WriteFile(file, overlay, 0o600)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-overlay", file, "-o", program, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// again starts the relay, which dies at a point, or at none.
func (p *process) again(at string) {
	p.t.Helper()
	p.wrap = nil
	if at != "" {
		p.wrap = []string{"env", "POINT=" + at}
	}
	p.start()
}

// died wants the relay to have killed itself. Until then the device may hear anything
// but a promise.
func (p *process) died(s *relaytest.Session) {
	p.t.Helper()
	for {
		f, err := s.Next()
		if err != nil {
			break
		}
		if _, promised := f.(wire.Stored); promised {
			p.t.Error("a receipt came before the relay died")
		}
	}
	_ = p.running.Wait()
	if status, ok := p.running.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		p.t.Fatalf("the relay ended with %v", p.running.ProcessState)
	}
}

// Faults 2, 3 and 4: the relay is killed at exactly the lines that crashes at random
// instants seldom meet. One envelope after the other: it is offered again under its id,
// or delivered again, and in the end it was acknowledged and is gone.
func TestKilledAtPoints(t *testing.T) {
	p, from, to, w := newProcess(t)
	p.program = deadly(t)
	p.again("")
	epochs(t, to, w)
	p.stop(syscall.SIGKILL)

	t.Log("between the commit and the receipt")
	p.again("stored")
	raw, id := from.Envelope(to)
	s := from.Login()
	s.Send(wire.Put{Envelope: raw})
	p.died(s)
	p.again("")
	s = from.Login()
	s.Send(wire.Put{Envelope: raw})
	if first := relaytest.Expect[wire.Stored](s); first.Leaves[0].ID != id {
		t.Error("the receipt does not promise the envelope")
	}
	p.stop(syscall.SIGKILL)

	t.Log("between the delivery and its acknowledgement")
	p.again("delivered")
	r := to.Login()
	r.Send(wire.Credit{Messages: 10, Bytes: 1 << 20})
	p.died(r)

	t.Log("between the acknowledgement and the deletion")
	p.again("acknowledged")
	r = to.Login()
	r.Send(wire.Credit{Messages: 10, Bytes: 1 << 20})
	d := relaytest.Expect[wire.Deliver](r)
	if string(d.Envelope) != string(raw) {
		t.Error("another envelope is delivered")
	}
	if f, quiet := r.Quiet(300 * time.Millisecond); !quiet {
		t.Errorf("it is stored twice, or something else is: %T", f)
	}
	r.Send(wire.Ack{Position: d.Position})
	p.died(r)

	p.again("")
	r = to.Login()
	r.Send(wire.Credit{Messages: 10, Bytes: 1 << 20})
	d = relaytest.Expect[wire.Deliver](r) // nobody wrote the acknowledgement down
	if string(d.Envelope) != string(raw) {
		t.Error("another envelope is delivered")
	}
	r.Send(wire.Ack{Position: d.Position}, wire.WantKeys{Tag: 1})
	relaytest.Expect[wire.KeysAre](r)
	eventually(t, "the acknowledgement is written down", func() bool {
		r := to.Login()
		defer r.Close()
		r.Send(wire.Credit{Messages: 10, Bytes: 1 << 20})
		_, quiet := r.Quiet(200 * time.Millisecond)
		return quiet
	})
}
