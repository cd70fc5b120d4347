package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"schakel/crypto/identity"
	"schakel/relay/blob"
	"schakel/relay/wire"
)

// ticket is one request whose token was good.
type ticket struct {
	blobs *blobs
	by    blob.Owner
	id    wire.BlobID
	verb  string
}

// answer answers, or returns why not; then nothing was written.
func (t *ticket) answer(w http.ResponseWriter, req *http.Request) error {
	switch req.Method {
	case http.MethodHead:
		return t.state(w, req)
	case http.MethodPatch:
		return t.upload(w, req)
	case http.MethodGet:
		return t.download(w, req)
	case http.MethodDelete:
		return t.drop(w, req)
	}
	return errRequest
}

// refuse is the one place where errors become statuses.
func (t *ticket) refuse(w http.ResponseWriter, err error) {
	status := statusOf(err)
	log := t.blobs.relay.log.With("device", t.by.Device.String(), "verb", t.verb, "status", status)
	if status == http.StatusServiceUnavailable {
		log.Warn("blob not served", "error", err.Error())
		w.Header().Set("Retry-After", "5")
	} else {
		log.Debug("blob not served", "blob", t.id.String(), "error", err.Error())
	}
	t.blobs.finish(w, t.verb, status)
}

func statusOf(err error) int {
	for _, row := range [...]struct {
		err    error
		status int
	}{
		{blob.ErrOffset, http.StatusConflict},
		{blob.ErrNone, http.StatusNotFound},
		{blob.ErrDone, http.StatusNotFound},
		{blob.ErrMismatch, http.StatusUnprocessableEntity},
		{blob.ErrTooBig, http.StatusRequestEntityTooLarge},
		{blob.ErrQuota, http.StatusInsufficientStorage},
		{blob.ErrFull, http.StatusInsufficientStorage},
		{blob.ErrUploads, http.StatusTooManyRequests},
		{ErrRate, http.StatusTooManyRequests},
		{ErrLane, http.StatusForbidden},
		{ErrDesk, http.StatusForbidden},
		{errRange, http.StatusRequestedRangeNotSatisfiable},
		{errNotActive, http.StatusUnauthorized},
		{blob.ErrRequest, http.StatusBadRequest},
		{errRequest, http.StatusBadRequest},
		{errArrival, http.StatusRequestTimeout},
	} {
		if errors.Is(err, row.err) {
			return row.status
		}
	}
	return http.StatusServiceUnavailable
}

func (t *ticket) state(w http.ResponseWriter, req *http.Request) error {
	ask := t.blobs.relay.config.Blobs.State
	switch given := req.Header.Values(wire.HeaderDoubt); {
	case len(given) == 1 && given[0] == "?1":
		ask = t.blobs.relay.config.Blobs.Doubt
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(wire.DoubtTime + wire.BlobGrace))
	case len(given) > 0:
		return errRequest
	}
	ctx, cancel := context.WithTimeout(req.Context(), wire.DoubtTime)
	defer cancel()
	state, err := ask(ctx, t.by, t.id)
	if errors.Is(err, blob.ErrDone) {
		w.Header().Set(wire.HeaderDone, "?1")
	}
	if err != nil {
		return err
	}
	stateHeaders(w, state)
	t.blobs.finish(w, t.verb, http.StatusOK)
	return nil
}

func stateHeaders(w http.ResponseWriter, s wire.BlobState) {
	complete := "?0"
	if s.Complete {
		complete = "?1"
	}
	w.Header().Set(wire.HeaderOffset, strconv.FormatInt(s.Offset, 10))
	w.Header().Set(wire.HeaderLength, strconv.FormatInt(s.Length, 10))
	w.Header().Set(wire.HeaderComplete, complete)
}

// verifySlowest is how fast a store must at least be to read back what was uploaded.
const verifySlowest = 4 << 20 // bytes a second

// upload takes one part. Once it is read, it is kept and verified also when the device
// has gone: it will ask how far it is.
func (t *ticket) upload(w http.ResponseWriter, req *http.Request) error {
	part, err := t.part(req)
	if err != nil {
		return err
	}
	control := http.NewResponseController(w)
	spare := wire.BlobGrace + time.Duration(part.Length/verifySlowest)*time.Second
	limit := patience(part.Size) + spare
	_ = control.SetWriteDeadline(time.Now().Add(limit + wire.BlobGrace))
	body := &paced{body: req.Body, left: part.Size, control: control, stall: t.blobs.relay.config.Limits.BlobStall, last: time.Now().Add(patience(part.Size))}
	part.Body = body
	ctx, cancel := context.WithTimeout(context.WithoutCancel(req.Context()), limit)
	defer cancel()
	defer context.AfterFunc(t.blobs.ended, cancel)()
	release, err := t.blobs.take(ctx, turnKey{t.by.Device, t.id}, body.cut)
	if err != nil {
		return err
	}
	defer release()
	state, err := t.blobs.relay.config.Blobs.Append(ctx, t.by, t.id, part)
	if err != nil && !errors.Is(err, blob.ErrOffset) {
		return err
	}
	stateHeaders(w, state)
	if err != nil {
		return err
	}
	t.blobs.finish(w, t.verb, http.StatusNoContent)
	return nil
}

// patience is how long a transfer of so many bytes may take.
func patience(size int64) time.Duration {
	return wire.BlobGrace + time.Duration(size/wire.SlowestBlob)*time.Second
}

// part reads what a PATCH says of itself, and checks the lanes as for an envelope.
func (t *ticket) part(req *http.Request) (p wire.BlobPart, err error) {
	p.Size = req.ContentLength
	if p.Size < 0 || len(req.TransferEncoding) > 0 {
		return p, fmt.Errorf("%w: no length", errRequest)
	}
	if p.Offset, err = lengthIn(req, wire.HeaderOffset); err != nil {
		return p, err
	}
	if p.Length, err = lengthIn(req, wire.HeaderLength); err != nil {
		return p, err
	}
	given := req.Header.Values(wire.HeaderDesks)
	if len(given) != 1 {
		return p, fmt.Errorf("%w: desks", errRequest)
	}
	if p.Desks, err = wire.ParseDesks(given[0]); err != nil {
		return p, fmt.Errorf("%w: %w", errRequest, err)
	}
	return p, t.mayWrite(p.Desks)
}

func lengthIn(req *http.Request, name string) (int64, error) {
	given := req.Header.Values(name)
	if len(given) != 1 {
		return 0, fmt.Errorf("%w: %s", errRequest, name)
	}
	n, err := wire.ParseLength(given[0])
	if err != nil {
		return 0, fmt.Errorf("%w: %s: %w", errRequest, name, err)
	}
	return n, nil
}

func (t *ticket) mayWrite(desks []identity.DeskID) error {
	reg := t.blobs.relay.config.Register.Register()
	for _, d := range desks {
		if _, err := ceiling(reg, t.by.Desk, d); err != nil {
			return err
		}
	}
	return nil
}

var errRange = errors.New("more than one range")

// download sends a blob or a range of it. net/http reads the range; several at once it
// would take too.
func (t *ticket) download(w http.ResponseWriter, req *http.Request) error {
	if given := req.Header.Values("Range"); len(given) > 1 || len(given) == 1 && strings.Contains(given[0], ",") {
		return errRange
	}
	r, err := t.blobs.relay.config.Blobs.Open(req.Context(), t.by, t.id)
	if err != nil {
		return err
	}
	defer r.Close()
	r.Allowed = func() error {
		if !t.blobs.relay.active(t.by.Device) {
			return errNotActive
		}
		return nil
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // a device that goes away is noticed by writing
	out := &pacedWriter{ResponseWriter: w, control: control, stall: t.blobs.relay.config.Limits.BlobStall, last: time.Now().Add(patience(r.Size()))}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("ETag", `"`+t.id.String()+`"`)
	http.ServeContent(out, req, "", time.Time{}, r)
	t.blobs.relay.metrics.blobRequests.WithLabelValues(t.verb, strconv.Itoa(out.status)).Inc()
	return nil
}

func (t *ticket) drop(w http.ResponseWriter, req *http.Request) error {
	release, err := t.blobs.take(req.Context(), turnKey{t.by.Device, t.id}, func() {})
	if err != nil {
		return err
	}
	defer release()
	if err := t.blobs.relay.config.Blobs.Drop(req.Context(), t.by, t.id); err != nil {
		return err
	}
	t.blobs.finish(w, t.verb, http.StatusNoContent)
	return nil
}

// paced reads a part, as long as bytes keep coming.
type paced struct {
	body    io.Reader
	left    int64
	control *http.ResponseController
	stall   time.Duration
	last    time.Time // beyond this nothing is read
	stopped atomic.Bool
}

// errArrival is a part that did not come, or did not come in time.
var errArrival = errors.New("the part did not arrive")

// Read reads under a deadline.
func (p *paced) Read(b []byte) (int, error) {
	_ = p.control.SetReadDeadline(earlier(time.Now().Add(p.stall), p.last))
	if p.stopped.Load() { // after the deadline, which cut may have set before
		return 0, fmt.Errorf("%w: the device began again", errArrival)
	}
	n, err := p.body.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: %w", errArrival, err)
	}
	if p.left -= int64(n); p.left <= 0 {
		_ = p.control.SetReadDeadline(time.Time{}) // what follows is the store's time
	}
	return n, err
}

// cut makes a Read that waits for the device end.
func (p *paced) cut() {
	p.stopped.Store(true)
	_ = p.control.SetReadDeadline(time.Unix(1, 0))
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// pacedWriter writes a blob, as long as the device keeps taking it.
type pacedWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	stall   time.Duration
	last    time.Time
	status  int
}

// WriteHeader notes the status.
func (p *pacedWriter) WriteHeader(status int) {
	p.status = status
	p.ResponseWriter.WriteHeader(status)
}

// Write writes under a deadline.
func (p *pacedWriter) Write(b []byte) (int, error) {
	if p.status == 0 {
		p.status = http.StatusOK
	}
	_ = p.control.SetWriteDeadline(earlier(time.Now().Add(p.stall), p.last))
	return p.ResponseWriter.Write(b)
}
