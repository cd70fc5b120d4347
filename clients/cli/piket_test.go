package cli_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"schakel/clients/cli"
	"schakel/clients/schakel"
)

// night runs piket with somebody at the terminal who types what in gives.
func (p *place) night(in io.Reader, args ...string) (out string, code int) {
	p.t.Helper()
	var both bytes.Buffer
	std := cli.Stdio{In: in, Out: &both, Err: &both, Now: now, Zone: time.UTC, Asks: true,
		Environ: append([]string{"SCHAKEL_HOME=" + p.home}, p.environ...)}
	code = cli.Main(p.t.Context(), append([]string{"piket"}, args...), std)
	return both.String(), code
}

// Whoever falls asleep over a question, whichever it is, leaves nothing open.
func TestOfficerFallsAsleep(t *testing.T) {
	p := newPlace(t)
	p.serve(fullNode())
	for what, typed := range map[string]string{"over the list": "", "over who acknowledges": "1\n"} {
		r, w := io.Pipe()
		go func() { _, _ = io.WriteString(w, typed) }()
		out, code := p.night(r, "--lock-after", "1s")
		_ = w.Close()
		if code != cli.Locked || !contains(out, "nobody typed anything for 1s") {
			t.Errorf("%s: exit code %d\n%s", what, code, out)
		}
	}
}

// Without the relay the officer is told to telephone, and whom.
func TestOfficerWithoutRelay(t *testing.T) {
	p := newPlace(t)
	p.serve(&scripted{status: func(s *schakel.Status) { s.Connected, s.LastError = false, "relay unreachable" }})
	out, code := p.night(strings.NewReader("q\n"), "--wait", "50ms")
	if code != cli.Done || !contains(out, "BEL", "+31600000006", "Landelijk Knooppunt", "schakel card", "acuut", "melding") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if out, _ = p.night(strings.NewReader("q\n"), "--wait", "50ms", "--english"); !contains(out, "TELEPHONE") {
		t.Error(out)
	}
}

// What is shown can be passed over: reading is not acknowledging.
func TestOfficerPassesOver(t *testing.T) {
	p, n := newPlace(t), fullNode()
	p.serve(n)
	out, code := p.night(strings.NewReader("1\n\nq\n"))
	if code != cli.Done || len(n.acks) != 0 || !contains(out, "nietInformeren", "Wie bevestigt") {
		t.Errorf("exit code %d, %d acknowledgements\n%s", code, len(n.acks), out)
	}
	if _, _, code := p.run("piket"); code != cli.Usage {
		t.Errorf("without anybody at a terminal: exit code %d", code)
	}
}
