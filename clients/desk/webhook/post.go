package webhook

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"schakel/relay/page"
)

const postTime = 10 * time.Second

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

// allowed says where parcels may go: this machine, and networks that the owner listed.
// Everything else is refused, the public internet too: an allow list need not know every way
// to write an address that is dangerous.
func allowed(allow []netip.Prefix) func(netip.Addr) bool {
	return func(ip netip.Addr) bool {
		return ip.IsLoopback() || slices.ContainsFunc(allow, func(p netip.Prefix) bool { return p.Contains(ip) })
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
	_ = resp.Body.Close() // only the status counts, and a body may have no end
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
	case errors.Is(err, page.ErrForbidden):
		return failTarget
	case errors.As(err, &untrusted):
		return failTLS
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &refused) && refused.Timeout():
		return failTime
	}
	return failReach
}
