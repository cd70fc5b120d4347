package page

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// webhook posts the page as JSON, signed after Standard Webhooks: with the secret
// that the desk itself put behind its address, so that it believes nobody else, and
// no other desk's secret lets anybody speak for this pager.
type webhook struct {
	poster
	address string
	secret  []byte
	now     func() time.Time
}

var _ Notifier = webhook{}

// Of a secret in Standard Webhooks: the prefix, and how many bytes.
const (
	secretPrefix = "whsec_"
	minSecret    = 24
	maxSecret    = 64
)

// splitWebhook takes the secret from the fragment of an address, which never
// travels to the server.
func splitWebhook(target string) (address string, secret []byte, err error) {
	address, fragment, _ := strings.Cut(target, "#")
	if _, err := secureURL(address); err != nil {
		return "", nil, err
	}
	coded, ok := strings.CutPrefix(fragment, secretPrefix)
	secret, err = base64.StdEncoding.DecodeString(coded)
	if !ok || err != nil || len(secret) < minSecret || len(secret) > maxSecret {
		return "", nil, fmt.Errorf("%w: a webhook ends in #whsec_ and %d to %d bytes in base64, with which it checks who calls", ErrPoint, minSecret, maxSecret)
	}
	return address, secret, nil
}

func newWebhook(p poster, target string, now func() time.Time) (Notifier, error) {
	address, secret, err := splitWebhook(target)
	if err != nil {
		return nil, err
	}
	return webhook{p, address, secret, now}, nil
}

// event is the body, in the form that Standard Webhooks recommends.
type event struct {
	Type      string   `json:"type"`
	Timestamp string   `json:"timestamp"`
	Data      document `json:"data"`
}

// Notify posts the page.
func (w webhook) Notify(ctx context.Context, p Page) error {
	now := w.now().UTC()
	body, err := json.Marshal(event{Type: "schakel.page", Timestamp: now.Format(time.RFC3339), Data: p.document()})
	if err != nil {
		return ErrPage
	}
	var id [12]byte
	rand.Read(id[:])
	name, at := "msg_"+hex.EncodeToString(id[:]), strconv.FormatInt(now.Unix(), 10)
	return w.post(ctx, w.address, string(body), map[string]string{
		"Content-Type": "application/json", "webhook-id": name, "webhook-timestamp": at,
		"webhook-signature": "v1," + Sign(w.secret, name, at, string(body)),
	})
}

// Sign is the symmetric signature of Standard Webhooks over id.timestamp.body.
func Sign(secret []byte, id, at, body string) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(id + "." + at + "." + body))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
