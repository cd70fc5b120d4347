package webhook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"schakel/clients/desk"
	"schakel/relay/page"
)

const (
	postTime  = 10 * time.Second
	maxAnswer = 16 << 10 // of which only the status counts
)

// What a try met, as the owner reads it. None quotes the other side.
const (
	failTarget   = "address not allowed"
	failReach    = "not reached"
	failTLS      = "certificate not trusted"
	failTime     = "took too long"
	failGone     = "gone: it wants to hear no more"
	failRedirect = "redirected elsewhere"
	failStatus   = "answered with status "
)

// allowed reports whether a parcel may go to an address: this machine, or a network that
// the owner listed. Everything else is refused, the public internet too: an allow list
// need not know every way to write an address that is dangerous.
func allowed(ip netip.Addr, allow []netip.Prefix) bool {
	ip = ip.WithZone("").Unmap()
	return ip.IsLoopback() || slices.ContainsFunc(allow, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// newClient posts to what is allowed only. Control sees each address after its name was
// resolved and before it is connected to: a name that answers differently the second time
// changes nothing.
func newClient(allow []netip.Prefix, roots *x509.CertPool) *http.Client {
	dialer := net.Dialer{Timeout: postTime, Control: func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil || !allowed(to.Addr(), allow) {
			return desk.ErrTarget
		}
		return nil
	}}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			// A connection that is kept would outlive a change of the list. No proxy: it would
			// dial for us.
			DisableKeepAlives: true, DisableCompression: true, TLSHandshakeTimeout: postTime, ResponseHeaderTimeout: postTime, MaxResponseHeaderBytes: maxAnswer,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       postTime,
	}
}

// message is the body, in the form that Standard Webhooks recommends: thin, so that who
// gets hold of a parcel learns an identifier and no more.
type message struct {
	Type      string   `json:"type"`
	Timestamp string   `json:"timestamp"`
	Data      contents `json:"data"`
}

type contents struct {
	Message string `json:"message,omitempty"`
	Desk    string `json:"desk,omitempty"`
}

// post tries one parcel, and says what the try met; "" where it was taken.
func (o *Office) post(ctx context.Context, h hook, p parcel) (failure string) {
	body, err := json.Marshal(message{Type: "schakel." + p.Kind, Timestamp: time.UnixMilli(p.At).UTC().Format(time.RFC3339Nano), Data: contents{p.Message, p.Desk}})
	if err != nil {
		return failTarget
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, strings.NewReader(string(body)))
	if err != nil {
		return failTarget
	}
	at := strconv.FormatInt(o.Now().Unix(), 10)
	var signatures []string
	for _, key := range h.Secrets {
		signatures = append(signatures, "v1,"+page.Sign(key, p.Name, at, string(body)))
	}
	r.Header.Set("User-Agent", "schakel") // net/http would name the Go version
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("webhook-id", p.Name)
	r.Header.Set("webhook-timestamp", at)
	r.Header.Set("webhook-signature", strings.Join(signatures, " "))
	client := o.secure
	if r.URL.Scheme != "https" {
		client = o.plain
	}
	resp, err := client.Do(r)
	if err != nil {
		return reason(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer)) // only the status counts
	switch {
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
		return ""
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return failRedirect
	case resp.StatusCode == http.StatusGone:
		return failGone
	}
	return failStatus + strconv.Itoa(resp.StatusCode)
}

func reason(err error) string {
	var refused *url.Error
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.Is(err, desk.ErrTarget):
		return failTarget
	case errors.As(err, &untrusted):
		return failTLS
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &refused) && refused.Timeout():
		return failTime
	}
	return failReach
}
