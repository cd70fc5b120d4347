package wire

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"schakel/crypto/identity"
)

// Refusals of a request for a blob, one for each decision a device can take.
var (
	ErrBlobNone = errors.New("no such blob, not for this desk, or not complete")
	// ErrBlobDone is an ErrBlobNone to the device that uploaded it: it was not lost.
	ErrBlobDone    = fmt.Errorf("%w: every desk has it, or its time is over", ErrBlobNone)
	ErrBlobToken   = errors.New("the relay refuses this device's token")
	ErrBlobOffset  = errors.New("the relay is at another offset")
	ErrBlobLane    = errors.New("a desk that does not exist, or no lane to it")
	ErrBlobHash    = errors.New("what was uploaded is not what the name says; it was deleted")
	ErrBlobTooBig  = errors.New("larger than the relay takes")
	ErrBlobRequest = errors.New("the relay does not understand the request")
	ErrBlobFull    = errors.New("the organisation's share, or the relay's disk, is full")
	ErrBlobRate    = errors.New("too many requests, or too many unfinished uploads of this device")
	ErrBlobAnswer  = errors.New("the relay's answer is none")
)

// BlobDevice is who asks for blobs.
type BlobDevice struct {
	Relay  string // its id
	Device identity.DeviceID
	Key    crypto.Signer // the login key
}

// Blobs is the device's side of BlobPath: one connection to one relay, made when it
// is needed, for one request at a time. Nothing is tried twice: after an error that
// is none of the above, ask for the State and go on from there.
type Blobs struct {
	url  string
	tls  *tls.Config
	as   BlobDevice
	now  func() time.Time
	mu   sync.Mutex // guards conn: Close may come from elsewhere
	conn *blobConn
}

// NewBlobs makes a client for the relay at url ("wss://host:port", as in the
// register). tlsConfig nil means no TLS at all, which only tests of the relay use.
func NewBlobs(url string, tlsConfig *tls.Config, as BlobDevice, now func() time.Time) *Blobs {
	return &Blobs{url: "http" + strings.TrimPrefix(url, "ws"), tls: tlsConfig, as: as, now: now}
}

// BlobState is how far an upload is.
type BlobState struct {
	Offset   int64 // bytes that the relay has, on its disk
	Length   int64 // 0 where the relay did not say
	Complete bool  // all there, verified, and to be had by the desks
}

// BlobPart is one piece of an upload.
type BlobPart struct {
	Offset, Length int64             // where it begins, and how long the whole blob is
	Desks          []identity.DeskID // who may fetch it; those named before stay
	Body           io.Reader
	Size           int64 // taken of Body; 0 names further desks for a blob that is complete
}

// State asks how far this device's upload is. The desks of a complete blob hear that
// it is complete, and everybody else ErrBlobNone: this device too where the relay lost what
// it had uploaded, and ErrBlobDone where that is needed no more.
func (b *Blobs) State(ctx context.Context, id BlobID) (BlobState, error) {
	resp, err := b.do(ctx, http.MethodHead, id, nil, nil, 0)
	if errors.Is(err, ErrBlobNone) && resp.Header.Get(HeaderDone) == "?1" {
		err = ErrBlobDone
	}
	if err != nil {
		return BlobState{}, err
	}
	return blobState(resp)
}

// Doubt is State where what came is not what the name says: the relay reads the blob back, and
// answers ErrBlobNone if it was changed there; its sender uploads it again. A relay from before
// this answers as to State.
func (b *Blobs) Doubt(ctx context.Context, id BlobID) (BlobState, error) {
	header := http.Header{}
	header.Set(HeaderDoubt, "?1")
	resp, err := b.do(ctx, http.MethodHead, id, header, nil, 0)
	if err != nil {
		return BlobState{}, err
	}
	return blobState(resp)
}

// Append uploads one part. It is on the relay's disk when Append returns nil. With
// ErrBlobOffset comes the state from which to go on.
func (b *Blobs) Append(ctx context.Context, id BlobID, p BlobPart) (BlobState, error) {
	header := http.Header{}
	header.Set(HeaderOffset, strconv.FormatInt(p.Offset, 10))
	header.Set(HeaderLength, strconv.FormatInt(p.Length, 10))
	header.Set(HeaderDesks, FormatDesks(p.Desks))
	resp, err := b.do(ctx, http.MethodPatch, id, header, p.Body, p.Size)
	if err != nil && !errors.Is(err, ErrBlobOffset) {
		return BlobState{}, err
	}
	state, e := blobState(resp)
	return state, errors.Join(err, e)
}

// Read fetches size bytes from an offset on; the caller closes the body, which ends
// with io.ErrUnexpectedEOF where the relay sends less. Nothing says that they are the
// right ones until the whole blob has its SHA-256.
func (b *Blobs) Read(ctx context.Context, id BlobID, offset, size int64) (io.ReadCloser, error) {
	header := http.Header{}
	header.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, offset+size-1))
	resp, err := b.do(ctx, http.MethodGet, id, header, nil, 0)
	if err != nil {
		return nil, err
	}
	want := fmt.Sprintf("bytes %d-%d/", offset, offset+size-1)
	if resp.StatusCode != http.StatusPartialContent || !strings.HasPrefix(resp.Header.Get("Content-Range"), want) || resp.ContentLength != size {
		_ = resp.Body.Close()
		b.Close()
		return nil, fmt.Errorf("%w: another range than asked", ErrBlobAnswer)
	}
	return resp.Body, nil
}

// Drop says that this device's desk has it, or gives up an upload that is not complete.
func (b *Blobs) Drop(ctx context.Context, id BlobID) error {
	_, err := b.do(ctx, http.MethodDelete, id, nil, nil, 0)
	return err
}

// Close ends the connection. The next request makes another.
func (b *Blobs) Close() { b.swap(nil) }

func (b *Blobs) swap(c *blobConn) {
	b.mu.Lock()
	old := b.conn
	b.conn = c
	b.mu.Unlock()
	if old != nil {
		old.close()
	}
}

// connected returns a connection that the relay has not closed for being idle.
func (b *Blobs) connected(ctx context.Context) (*blobConn, error) {
	b.mu.Lock()
	c := b.conn
	b.mu.Unlock()
	if c != nil && time.Since(c.used) < BlobIdle/2 {
		return c, nil
	}
	c, err := dialBlobs(ctx, strings.TrimPrefix(strings.TrimPrefix(b.url, "https://"), "http://"), b.tls)
	if err != nil {
		return nil, err
	}
	b.swap(c)
	return c, nil
}

// do makes one request. Only an answer to GET has a body to close.
func (b *Blobs) do(ctx context.Context, method string, id BlobID, header http.Header, body io.Reader, size int64) (*http.Response, error) {
	conn, err := b.connected(ctx)
	if err != nil {
		return nil, fmt.Errorf("failed to reach the relay: %w", err)
	}
	if size == 0 {
		body = nil
	} else {
		body = io.LimitReader(body, size)
	}
	req, err := http.NewRequestWithContext(ctx, method, b.url+BlobPath+id.String(), body)
	if err != nil {
		return nil, fmt.Errorf("failed to ask for a blob: %w", err)
	}
	token, err := SignBlob(b.as.Key, b.as.Device, BlobRequest{Relay: b.as.Relay, Method: method, Blob: id, Binding: conn.binding}, b.now(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if header != nil {
		req.Header = header
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.ContentLength = size
	if size > 0 {
		req.Header.Set("Expect", "100-continue") // a refusal costs no part
	}
	resp, err := conn.transport.RoundTrip(req)
	if err != nil {
		b.Close()
		return nil, fmt.Errorf("failed to ask for a blob: %w", err)
	}
	conn.used = time.Now()
	if err := blobError(resp.StatusCode); err != nil || method != http.MethodGet {
		_, _ = io.CopyN(io.Discard, resp.Body, 512)
		_ = resp.Body.Close()
		if resp.Close {
			b.Close()
		}
		return resp, err
	}
	return resp, nil
}

// blobError is the one place where statuses become errors.
func blobError(status int) error {
	switch status {
	case http.StatusOK, http.StatusPartialContent, http.StatusNoContent:
		return nil
	case http.StatusUnauthorized:
		return ErrBlobToken
	case http.StatusForbidden:
		return ErrBlobLane
	case http.StatusNotFound:
		return ErrBlobNone
	case http.StatusConflict:
		return ErrBlobOffset
	case http.StatusRequestEntityTooLarge:
		return ErrBlobTooBig
	case http.StatusUnprocessableEntity:
		return ErrBlobHash
	case http.StatusTooManyRequests:
		return ErrBlobRate
	case http.StatusServiceUnavailable, http.StatusRequestTimeout:
		return ErrBusy
	case http.StatusInsufficientStorage:
		return ErrBlobFull
	}
	return fmt.Errorf("%w: status %d", ErrBlobRequest, status)
}

func blobState(resp *http.Response) (s BlobState, err error) {
	if s.Offset, err = ParseLength(resp.Header.Get(HeaderOffset)); err != nil {
		return s, fmt.Errorf("%w: its offset", ErrBlobAnswer)
	}
	if text := resp.Header.Get(HeaderLength); text != "" {
		if s.Length, err = ParseLength(text); err != nil || s.Length < s.Offset {
			return s, fmt.Errorf("%w: its length", ErrBlobAnswer)
		}
	}
	switch resp.Header.Get(HeaderComplete) {
	case "?1":
		s.Complete = true
	case "?0":
	default:
		return s, fmt.Errorf("%w: whether it is complete", ErrBlobAnswer)
	}
	return s, nil
}

// ErrLength means that a text is no length of a blob.
var ErrLength = errors.New("not a number of bytes")

// ParseLength reads a number of bytes in decimal, in its one spelling, of at most MaxBlob.
func ParseLength(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > MaxBlob || strconv.FormatInt(n, 10) != s {
		return 0, ErrLength
	}
	return n, nil
}

// blobConn is a transport of one connection, so that a token can name it.
type blobConn struct {
	transport *http.Transport
	binding   []byte
	raw       net.Conn
	used      time.Time
}

func dialBlobs(ctx context.Context, addr string, c *tls.Config) (*blobConn, error) {
	b := &blobConn{used: time.Now()}
	var err error
	if c == nil {
		b.raw, err = (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	} else {
		b.raw, b.binding, err = dialTLS(ctx, "tcp", addr, c, dialGathered)
	}
	if err != nil {
		return nil, err
	}
	once := make(chan net.Conn, 1)
	once <- b.raw
	dial := func(context.Context, string, string) (net.Conn, error) {
		select {
		case c := <-once:
			return c, nil
		default: // another connection is another binding
			return nil, net.ErrClosed
		}
	}
	b.transport = &http.Transport{
		DialContext: dial, DialTLSContext: dial, MaxConnsPerHost: 1, DisableCompression: true,
		MaxResponseHeaderBytes: 8 << 10, ExpectContinueTimeout: BlobStall,
	}
	return b, nil
}

func (b *blobConn) close() {
	b.transport.CloseIdleConnections()
	_ = b.raw.Close()
}
