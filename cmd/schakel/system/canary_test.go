//go:build linux

package system_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/relay/wire"
)

// canaryClass has places for all that must not be seen, a file's name among them.
const canaryClass = "melding"

// canaries are what must be nowhere but at the partners: the text of a message,
// names in it, a file name, its class, its case, who acknowledged it and how.
type canaries struct {
	text, victim, file, action string
	zaak                       message.CaseRef
}

func newCanaries() canaries {
	return canaries{text: "kanarie-tekst-" + rand.Text(), victim: "Kanarie-" + rand.Text(), file: "kanarie-" + rand.Text() + ".pdf",
		action: "kanarie-actie-" + rand.Text()}
}

func (k canaries) needles() []needle {
	return slices.Concat(needles("the text", k.text), needles("the victim's name", k.victim), needles("the file's name", k.file),
		needles("the first action", k.action), needles("the person's name", officer), needles("the class", canaryClass),
		needles("the class of the acknowledgement", protocol.ClassAcknowledgement),
		needles("the case", k.zaak.String()), needles("the case's bytes", string(k.zaak[:])))
}

// watched is a chain whose line, log, metrics, memory and folder are looked at.
type watched struct {
	*chain
}

func newWatched(c *chain) *watched {
	c.programs = must[programs](c.t)(plain()) // the race detector's shadow memory has no end
	if len(c.relays) == 1 {                   // several have their line already
		c.putBehindLine()
	}
	for _, r := range c.relays {
		r.admin = must[string](c.t)(freeAddress())
	}
	c.startRelays()
	return &watched{chain: c}
}

func fetch(t testing.TB, url string) []byte {
	t.Helper()
	resp := must[*http.Response](t)(http.Get(url))
	defer resp.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	return must[[]byte](t)(io.ReadAll(resp.Body))
}

// search looks at every place and returns what was found, by place.
func (w *watched) search(all []needle) map[string][]string {
	w.t.Helper()
	found := map[string][]string{"line": must[[]string](w.t)(searchFile(w.tape(), all))}
	for _, r := range w.relays {
		memory, n, err := searchMemory(r.cmd.Process.Pid, all)
		if err != nil || n < 10<<20 {
			w.t.Errorf("only %d bytes of the memory of %s searched: %v", n, r.name, err)
		}
		metrics := fetch(w.t, "http://"+r.admin+"/metrics") // all that it tells about itself
		found[r.place("memory")] = memory
		found[r.place("folder")] = must[[]string](w.t)(searchFolder(r.home, all))
		found[r.place("log")] = must[[]string](w.t)(searchFile(r.logged, all))
		found[r.place("metrics")] = must[[]string](w.t)(search(bytes.NewReader(metrics), all))
	}
	if w.redis != nil { // its folder holds its log too
		memory, n, err := searchMemory(w.redis.Process().Pid, all)
		if err != nil || n < 1<<20 {
			w.t.Errorf("only %d bytes of the memory of Redis searched: %v", n, err)
		}
		found["redis memory"], found["redis folder"] = memory, must[[]string](w.t)(searchFolder(w.file("redis"), all))
	}
	return found
}

// place names a part of a relay among the places that are searched.
func (r *relayNode) place(part string) string { return part + " of " + r.name }

// mailboxes are the places where an envelope passes or lies, by how their names
// begin: an envelope passes through one of the relays.
func (w *watched) mailboxes() []string {
	if w.redis != nil {
		return []string{"memory of ", "redis memory", "redis folder"}
	}
	return []string{"memory of ", "folder of "}
}

// Nothing of a message is anywhere at the relay: not in its folder, its log at the
// level debug, its metrics, the memory of its process, that of its Redis and the
// files of that, nor in what passes on the line. One desk is away, so that its envelope lies there; the other has opened
// and acknowledged.
func TestNothingReadableAtTheRelay(t *testing.T) { onEach(t, nothingReadable) }

func nothingReadable(t *testing.T, c *chain) {
	w := newWatched(c)
	for _, id := range []identity.DeskID{doctor, safe, police} {
		w.startDesk(id)
	}
	k := newCanaries()
	w.knows(doctor, safe)
	w.knows(safe, doctor)
	w.knows(doctor, police)
	w.desks[police].kill()
	sent := w.tell(doctor, []identity.DeskID{safe, police}, &k)
	w.awaitState(doctor, sent, safe, schakel.StateDelivered)
	w.awaitState(doctor, sent, police, schakel.StateAtRelay)
	w.empty(w.search(k.needles()))
	if letter := must[schakel.Letter](t)(w.desks[safe].client.Read(t.Context(), sent.Hash)); !strings.Contains(string(letter.Body), k.text) {
		t.Error("the message holds no canary: nothing could have been found")
	}
	must[schakel.Sent](t)(w.desks[safe].client.Acknowledge(t.Context(), sent.Hash,
		schakel.Acknowledgement{Person: officer, PIN: pin, FirstAction: k.action}))
	w.awaitState(doctor, sent, safe, schakel.StateAcknowledged)
	w.empty(w.search(k.needles()))

	t.Run("the search sees every place", w.sees)
	t.Run("what is not sealed is seen", w.seesUnsealed)
	t.Run("what leaks is found", func(t *testing.T) { w.leaks(t, k) })
}

// tell sends a message with canaries in it.
func (c *chain) tell(from identity.DeskID, to []identity.DeskID, k *canaries) schakel.Sent {
	c.t.Helper()
	var body map[string]any
	if err := json.Unmarshal(must[protocol.Example](c.t)(protocol.V1().Example(canaryClass)).Body, &body); err != nil {
		c.t.Fatal(err)
	}
	body["feiten"] = k.text
	body["slachtoffers"].([]any)[0].(map[string]any)["achternaam"] = k.victim
	delete(body, "bijlagen") // Send describes what was attached
	file := must[schakel.Attached](c.t)(c.desks[from].client.Attach(c.t.Context(), k.file, "application/pdf", strings.NewReader("%PDF-1.4 "+k.text)))
	sent := must[schakel.Sent](c.t)(c.desks[from].client.Send(c.t.Context(), schakel.Draft{
		Class: canaryClass, Urgency: message.Acute, To: to, Body: must[[]byte](c.t)(json.Marshal(body)), Attachments: []string{file.ID},
	}))
	k.zaak = message.CaseRef(must[[16]byte](c.t)(identity.ParseUUID(sent.Case)))
	return sent
}

// awaitState waits until a desk that was addressed has come so far.
func (w *watched) awaitState(from identity.DeskID, sent schakel.Sent, at identity.DeskID, state schakel.State) {
	w.t.Helper()
	eventually(w.t, "the message is "+string(state)+" at "+string(at), patience, func() bool {
		s, err := w.desks[from].client.Trace(context.Background(), sent.Hash)
		return err == nil && slices.ContainsFunc(s.Recipients, func(r schakel.Recipient) bool { return r.Desk == at && r.State == state })
	})
}

func (w *watched) empty(found map[string][]string) {
	w.t.Helper()
	for place, what := range found {
		if len(what) > 0 {
			w.t.Errorf("in the %s: %q", place, what)
		}
	}
}

// sees shows that each place was really looked at: what the relay is allowed to
// know is found there.
func (w *watched) sees(t *testing.T) {
	known := []needle{{"a desk", []byte(police)}, {"a device", []byte("device logged in")}, {"the relay", []byte("schakel_relay_")}, {"TLS", []byte{0x17, 0x03, 0x03}}}
	found := w.search(known)
	want := map[string]string{"line": "TLS"}
	for _, r := range w.relays {
		for part, what := range map[string]string{"memory": "a desk", "folder": "a desk", "log": "a device", "metrics": "the relay"} {
			want[r.place(part)] = what
		}
	}
	wants(t, found, want)
}

// wants demands that something is found in each place.
func wants(t *testing.T, found map[string][]string, want map[string]string) {
	t.Helper()
	for place, what := range want {
		if !slices.Contains(found[place], what) {
			t.Errorf("%s is not found in the %s", what, place)
		}
	}
}

// seesUnsealed has a modified client put an envelope with plain text where the age
// file should be. The relay cannot tell; the search can.
func (w *watched) seesUnsealed(t *testing.T) {
	for _, id := range []identity.DeskID{doctor, safe} {
		if err := w.desks[id].daemon.stop(); err != nil {
			t.Fatal(err)
		}
	}
	secret := "kanarie-" + rand.Text()
	modified := w.rogue(doctor)
	e := must[envelope.Envelope](t)(envelope.Parse(modified.seal(police, w.target(police))))
	plain := bytes.Repeat([]byte(secret), 1+len(e.Sealed)/len(secret))[:len(e.Sealed)]
	if _, ok := modified.put(slices.Concat(e.Prefix, plain)).(wire.Stored); !ok {
		t.Fatal("the relay did not take it")
	}
	found := w.search(needles("it", secret))
	for _, place := range w.mailboxes() {
		there := false
		for name, what := range found {
			there = there || strings.HasPrefix(name, place) && slices.Contains(what, "it")
		}
		if !there {
			t.Errorf("what a client put in plain text is not found in the %s", place)
		}
	}
	if len(found["line"]) > 0 {
		t.Error("the line is not encrypted")
	}
}

// leaks puts one canary in each place, as a careless program would.
func (w *watched) leaks(t *testing.T, k canaries) {
	want := map[string]string{"line": "the text"}
	for _, r := range w.relays {
		log := must[*os.File](t)(os.OpenFile(r.logged, os.O_APPEND|os.O_WRONLY, 0))
		defer log.Close()
		must[int](t)(log.WriteString(`{"msg":"stored","case":"` + k.zaak.String() + `"}` + "\n"))
		if err := os.WriteFile(filepath.Join(r.home, k.file), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		want[r.place("log")], want[r.place("folder")] = "the case", "the file's name"
	}
	line := must[net.Conn](t)(net.Dial("tcp", w.address))
	must[int](t)(line.Write([]byte(k.text)))
	_, _ = io.Copy(io.Discard, line) // until the relay hangs up on that
	_ = line.Close()
	wants(t, w.search(k.needles()), want)
	careless := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(rw, `schakel_relay_puts_total{person="`+officer+`"} 1`)
	}))
	defer careless.Close()
	if found, err := search(bytes.NewReader(fetch(t, careless.URL)), k.needles()); err != nil || len(found) == 0 {
		t.Errorf("a name in metrics is not found: %v", err)
	}
	holder := exec.Command("sleep", "60")
	holder.Env = []string{"HELD=" + k.victim}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = holder.Process.Kill(); _ = holder.Wait() }()
	eventually(t, "the name is found in the memory of a process that holds it", patience, func() bool {
		found, _, err := searchMemory(holder.Process.Pid, k.needles())
		return err == nil && slices.Contains(found, "the victim's name")
	})
}
