package desk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

func (s *Service) status(r *http.Request) (schakel.Status, error) { return s.node.Status(r.Context()) }

func (s *Service) alarms(r *http.Request) ([]schakel.Alarm, error) { return s.node.Alarms(r.Context()) }

func (s *Service) desks(r *http.Request) ([]schakel.Desk, error) {
	return s.node.Directory(r.Context())
}

func (s *Service) persons(r *http.Request) ([]schakel.Person, error) {
	return s.node.Persons(r.Context())
}

// comparison is what somebody heard by telephone of a desk's fingerprint, or with nothing
// heard, that it is not theirs.
type comparison struct {
	Desk  identity.DeskID `json:"desk"`
	Heard string          `json:"heard,omitempty"`
	By    schakel.By      `json:"by"`
}

func (s *Service) verifyDesk(r *http.Request) (struct{}, error) {
	in, err := decode[comparison](r)
	if err != nil {
		return struct{}{}, err
	}
	return struct{}{}, s.node.VerifyDesk(r.Context(), in.Desk, in.Heard, in.By)
}

func (s *Service) refuseDesk(r *http.Request) (struct{}, error) {
	in, err := decode[comparison](r)
	if err != nil {
		return struct{}{}, err
	}
	return struct{}{}, s.node.RefuseDesk(r.Context(), in.Desk, in.By)
}

// confirmation is that a person telephoned about a new device of a desk.
type confirmation struct {
	Desk   identity.DeskID   `json:"desk"`
	Device identity.DeviceID `json:"device"`
	Called string            `json:"called"`
	By     schakel.By        `json:"by"`
}

func (s *Service) confirmDevice(r *http.Request) (struct{}, error) {
	in, err := decode[confirmation](r)
	if err != nil {
		return struct{}{}, err
	}
	return struct{}{}, s.node.ConfirmDevice(r.Context(), in.Desk, in.Device, in.Called, in.By)
}

// newPerson is a person with the PIN that will unlock the key.
type newPerson struct {
	Person schakel.Person `json:"person"`
	PIN    string         `json:"pin"`
}

func (s *Service) addPerson(r *http.Request) (schakel.Person, error) {
	in, err := decode[newPerson](r)
	if err != nil {
		return schakel.Person{}, err
	}
	return s.node.AddPerson(r.Context(), in.Person, in.PIN)
}

func (s *Service) list(r *http.Request) ([]schakel.Summary, error) {
	q := r.URL.Query()
	f := schakel.Filter{Box: q.Get("box"), Case: q.Get("case"), ToAck: q.Get("to-ack") == "true", Unread: q.Get("unread") == "true", After: q.Get("after")}
	var err error
	if f.Limit, err = count(r, "limit"); err != nil {
		return nil, err
	}
	if f.Offset, err = count(r, "offset"); err != nil {
		return nil, err
	}
	return s.node.List(r.Context(), f)
}

// count is a number that a request gives; 0 where it does not.
func count(r *http.Request, name string) (int, error) {
	l := r.URL.Query().Get(name)
	if l == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(l)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%w: %s is not a number", ErrRequest, name)
	}
	return n, nil
}

func (s *Service) send(r *http.Request) (schakel.Sent, error) {
	d, err := decode[schakel.Draft](r)
	if err != nil {
		return schakel.Sent{}, err
	}
	return s.node.Send(r.Context(), d)
}

func (s *Service) read(r *http.Request) (schakel.Letter, error) {
	by, err := decode[schakel.By](r)
	if err != nil {
		return schakel.Letter{}, err
	}
	return s.node.ReadAs(r.Context(), r.PathValue("ref"), by)
}

func (s *Service) trace(r *http.Request) (schakel.Summary, error) {
	return s.node.Trace(r.Context(), r.PathValue("ref"))
}

func (s *Service) acknowledge(r *http.Request) (schakel.Sent, error) {
	a, err := decode[schakel.Acknowledgement](r)
	if err != nil {
		return schakel.Sent{}, err
	}
	return s.node.Acknowledge(r.Context(), r.PathValue("ref"), a)
}

// waited is the answer to one long poll: Reached is false when the poll's time
// was over first, and the caller asks again.
type waited struct {
	Reached bool            `json:"reached"`
	Summary schakel.Summary `json:"summary"`
}

// awaited are the states that somebody can wait for.
func awaited() []schakel.State {
	return []schakel.State{schakel.StatePrepared, schakel.StateAtRelay, schakel.StateDelivered, schakel.StateOpened, schakel.StateAcknowledged}
}

func (s *Service) wait(r *http.Request) (waited, error) {
	state := schakel.State(r.URL.Query().Get("state"))
	if !slices.Contains(awaited(), state) {
		return waited{}, fmt.Errorf("%w: state %q cannot be waited for", ErrRequest, state)
	}
	poll, cancel := context.WithTimeout(r.Context(), pollTime)
	defer cancel()
	sum, err := s.node.Wait(poll, r.PathValue("ref"), state)
	if errors.Is(err, context.DeadlineExceeded) && r.Context().Err() == nil {
		return waited{Summary: sum}, nil
	}
	return waited{Reached: err == nil, Summary: sum}, err
}

// sealed is the newest delivery to one desk as a bare age file.
type sealed struct {
	Age []byte `json:"age"`
}

func (s *Service) export(r *http.Request) (sealed, error) {
	to, err := identity.ParseDeskID(r.URL.Query().Get("desk"))
	if err != nil {
		return sealed{}, err
	}
	b, err := s.node.Export(r.Context(), r.PathValue("ref"), to)
	return sealed{Age: b}, err
}

// test names the desk that a test delivery goes to.
type test struct {
	To identity.DeskID `json:"to"`
}

func (s *Service) sendTest(r *http.Request) (struct{}, error) {
	in, err := decode[test](r)
	if err != nil {
		return struct{}{}, err
	}
	return struct{}{}, s.node.SendTest(r.Context(), in.To)
}

// clearance names the alarm that somebody has dealt with.
type clearance struct {
	Kind    schakel.AlarmKind `json:"kind"`
	Subject string            `json:"subject"`
}

func (s *Service) clearAlarm(r *http.Request) (struct{}, error) {
	in, err := decode[clearance](r)
	if err != nil {
		return struct{}{}, err
	}
	return struct{}{}, s.node.ClearAlarm(r.Context(), in.Kind, in.Subject)
}

// events streams events as server-sent events (WHATWG HTML, 9.2), with a comment
// line now and then so that a reader that went away is noticed.
func (s *Service) events(w http.ResponseWriter, r *http.Request) {
	events, cancel := s.node.Subscribe()
	defer cancel()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("API-Version", APIVersion)
	w.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	beat := time.NewTicker(pollTime)
	defer beat.Stop()
	line := ": schakel\n\n"
	for {
		_ = out.SetWriteDeadline(time.Now().Add(readTimeout))
		if _, err := w.Write([]byte(line)); err != nil || out.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-beat.C:
			line = ":\n\n"
		case e, open := <-events:
			b, err := json.Marshal(e)
			if !open || err != nil {
				return
			}
			line = "event: " + string(e.Kind) + "\ndata: " + string(b) + "\n\n"
		}
	}
}
