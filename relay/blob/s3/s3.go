// Package s3 is a blob.Store in a bucket of a server that speaks S3.
//
//	store, err := s3.Open(ctx, s3.Config{Endpoint: "https://s3.example", Bucket: "schakel", Key: "relay", Secret: secret})
//
// The bucket is for blobs alone, and several relays may use it. A part goes through to
// the server as it comes in; Put returns when the server has said that it keeps it,
// and what that survives is the server's promise. Who can write to the bucket can
// withhold what is in it; who can list it sees which desks exchange how many bytes.
package s3

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"schakel/relay/blob"
)

// Config says where the bucket is.
type Config struct {
	Endpoint string // https://host:port; http only on this machine
	Region   string // default us-east-1, which most servers take
	Bucket   string // is there already
	Key      string // the name of the access key
	Secret   func() (string, error)
	Roots    *x509.CertPool // nil: those of the system
}

// ErrConfig means that a server cannot be what the configuration says.
var ErrConfig = errors.New("invalid S3 configuration")

// Store is a bucket.
type Store struct {
	core      minio.Core
	bucket    string
	transport *http.Transport
}

var _ blob.Store = (*Store)(nil)

// headerTime is how long the server may take to answer, beside what is sent.
const headerTime = time.Minute

// Open returns the bucket, once the server has said that it is there.
func Open(ctx context.Context, c Config) (*Store, error) {
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Host == "" || u.Path != "" || u.User != nil || u.RawQuery != "" || u.Scheme != "https" && !(u.Scheme == "http" && local(u.Hostname())) {
		return nil, fmt.Errorf("%w: endpoint: want https://host or https://host:port, and http on this machine only", ErrConfig)
	}
	secret, err := c.Secret()
	if err != nil {
		return nil, err
	}
	if c.Region == "" {
		c.Region = "us-east-1"
	}
	s := &Store{bucket: c.Bucket}
	if s.transport, err = minio.DefaultTransport(u.Scheme == "https"); err != nil {
		return nil, fmt.Errorf("failed to reach the bucket: %w", err)
	}
	s.transport.ResponseHeaderTimeout = headerTime
	if u.Scheme == "https" {
		s.transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.Roots}
	}
	client, err := minio.New(u.Host, &minio.Options{
		Creds: credentials.NewStaticV4(c.Key, secret, ""), Secure: u.Scheme == "https", Region: c.Region, Transport: s.transport,
		BucketLookup: minio.BucketLookupPath,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	s.core = minio.Core{Client: client}
	there, err := client.BucketExists(ctx, c.Bucket)
	switch {
	case err != nil:
		s.transport.CloseIdleConnections()
		return nil, fmt.Errorf("failed to reach the bucket: %w", bare(err))
	case !there:
		s.transport.CloseIdleConnections()
		return nil, fmt.Errorf("%w: there is no bucket of that name", ErrConfig)
	}
	return s, nil
}

func local(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Close ends using the bucket. What was Put stays.
func (s *Store) Close() error {
	s.transport.CloseIdleConnections()
	return nil
}

// bare keeps of an error what a log may hold: addresses and messages may name objects,
// and so desks.
func bare(err error) error {
	answer := minio.ToErrorResponse(err)
	switch {
	case answer.StatusCode == http.StatusInsufficientStorage, strings.Contains(answer.Code, "StorageFull"), strings.Contains(answer.Code, "QuotaExceeded"):
		return fmt.Errorf("%w: the server says %s", blob.ErrFull, answer.Code)
	case answer.StatusCode == http.StatusNotFound && answer.Code != minio.NoSuchBucket:
		return blob.ErrNone
	case answer.StatusCode != 0:
		return fmt.Errorf("the server says %d %s", answer.StatusCode, answer.Code)
	}
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// Put implements blob.Store. The server keeps what came whole, and nothing else: it was
// told the length.
func (s *Store) Put(ctx context.Context, name string, r io.Reader, size int64) error {
	if size == 0 {
		r = bytes.NewReader(nil)
	}
	again, _ := r.(io.Seeker)
	for try := 1; ; try++ {
		source := &source{r: r}
		_, err := s.core.Client.PutObject(ctx, s.bucket, name, source, size, minio.PutObjectOptions{DisableMultipart: true, ContentType: "application/octet-stream"})
		switch {
		case err == nil:
			return nil
		case source.err != nil: // of the device, not of the server
			return fmt.Errorf("failed to write: %w", source.err)
		case again == nil, try == conflicts, minio.ToErrorResponse(err).StatusCode != http.StatusConflict:
			return fmt.Errorf("failed to write: %w", bare(err))
		}
		if _, err := again.Seek(-source.n, io.SeekCurrent); err != nil {
			return fmt.Errorf("failed to write: %w", err)
		}
	}
}

// conflicts is how often an object is put that the server says is in conflict with something
// else that happens just now: S3 says so of two writers of one name, and a gateway on a folder
// where what was deleted a moment ago took the folder along. A part that comes in from a device
// is put once: that device sends it again.
const conflicts = 10

// source remembers how much was read, and why reading ended.
type source struct {
	r   io.Reader
	n   int64
	err error
}

// Read reads on.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// Get implements blob.Store. It never says ErrUnreadable: what a server answers from 500 on, and
// where its answer breaks off, says that it fails, and nothing of the object. What it lost it answers 404.
func (s *Store) Get(ctx context.Context, name string, from int64) (io.ReadCloser, error) {
	var o minio.GetObjectOptions
	if from > 0 {
		if err := o.SetRange(from, 0); err != nil {
			return nil, fmt.Errorf("failed to read: %w", err)
		}
	}
	r, _, _, err := s.core.GetObject(ctx, s.bucket, name, o)
	if err != nil {
		return nil, fmt.Errorf("failed to read: %w", bare(err))
	}
	return r, nil
}

// List implements blob.Store.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[blob.Object, error] {
	return func(yield func(blob.Object, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		for o := range s.core.Client.ListObjectsIter(ctx, s.bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
			if o.Err != nil {
				yield(blob.Object{}, fmt.Errorf("failed to list: %w", bare(o.Err)))
				return
			}
			if !yield(blob.Object{Name: o.Key, Size: o.Size, Modified: o.LastModified}, nil) {
				return
			}
		}
	}
}

// Delete implements blob.Store.
func (s *Store) Delete(ctx context.Context, name string) error {
	err := s.core.Client.RemoveObject(ctx, s.bucket, name, minio.RemoveObjectOptions{})
	if err == nil {
		return nil
	}
	if err = bare(err); errors.Is(err, blob.ErrNone) {
		return nil
	}
	return fmt.Errorf("failed to delete: %w", err)
}

// Free implements blob.Store: a server does not say.
func (s *Store) Free(context.Context) (int64, error) { return blob.Unknown, nil }

// Tidy implements blob.Store: what was cut is the server's to remove.
func (s *Store) Tidy(context.Context) error { return nil }
