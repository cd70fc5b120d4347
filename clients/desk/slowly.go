package desk

import (
	"io"
	"net/http"
	"time"
)

// Slowly gives every piece of a long answer its own time: what is large may take as long as
// it moves, and who stops reading is cut off.
type Slowly struct {
	w     http.ResponseWriter
	out   *http.ResponseController
	piece time.Duration
	begin func(http.Header) // sets what an answer begins with; nil: nothing
	begun bool
}

// NewSlowly returns a writer of the body of w, of which each piece has that long. Before
// the first byte it lets begin set the headers: until then the answer can still be a refusal.
func NewSlowly(w http.ResponseWriter, piece time.Duration, begin func(http.Header)) *Slowly {
	s := &Slowly{w: w, out: http.NewResponseController(w), piece: piece, begin: begin}
	s.more()
	return s
}

// more puts the deadline off; where the writer has none, the answer has no end to miss.
func (s *Slowly) more() { _ = s.out.SetWriteDeadline(time.Now().Add(s.piece)) }

// Write implements io.Writer.
func (s *Slowly) Write(b []byte) (int, error) {
	if !s.begun && s.begin != nil {
		s.begin(s.w.Header())
	}
	s.begun = true
	s.more()
	n, err := s.w.Write(b)
	s.more()
	return n, err
}

// Begun reports whether the answer has begun, so that nothing else can be said any more.
func (s *Slowly) Begun() bool { return s.begun }

// CutOff ends an answer that has begun and cannot be finished, so that the other side sees
// that it is not whole. It does not return.
func (s *Slowly) CutOff() { panic(http.ErrAbortHandler) }

// slowBody is a request's body that may take as long as it moves.
type slowBody struct {
	io.ReadCloser
	out   *http.ResponseController
	piece time.Duration
}

// SlowBody lets every piece of the body of r have that long.
func SlowBody(w http.ResponseWriter, r *http.Request, piece time.Duration) io.ReadCloser {
	return &slowBody{r.Body, http.NewResponseController(w), piece}
}

func (s *slowBody) Read(b []byte) (int, error) {
	_ = s.out.SetReadDeadline(time.Now().Add(s.piece))
	_ = s.out.SetWriteDeadline(time.Now().Add(2 * s.piece)) // the answer comes after the last piece
	return s.ReadCloser.Read(b)
}
