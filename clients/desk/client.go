package desk

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"schakel/clients/schakel"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
)

// Client speaks to the daemon of a device. It is a [Node].
type Client struct {
	http *http.Client
}

// Dial returns a client of the daemon behind the socket at path, or ErrNoDaemon.
func Dial(ctx context.Context, path string) (*Client, error) {
	c, err := dial(ctx, path)
	if err != nil {
		return nil, err
	}
	_ = c.Close() // only to learn whether somebody answers
	transport := &http.Transport{
		DialContext:           func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, path) },
		ResponseHeaderTimeout: writeTimeout, MaxIdleConns: 2, IdleConnTimeout: readTimeout,
		WriteBufferSize: fileBuffer, ReadBufferSize: fileBuffer,
	}
	return &Client{http: &http.Client{Transport: transport}}, nil
}

// fileBuffer is for the files that go over the socket: with the usual 4 KiB each piece of
// one costs the kernel several calls.
const fileBuffer = 256 << 10

// Close gives up idle connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// Status implements Watch.
func (c *Client) Status(ctx context.Context) (schakel.Status, error) {
	return ask[schakel.Status](ctx, c, "GET", "/v1/status", nil)
}

// Alarms implements Watch.
func (c *Client) Alarms(ctx context.Context) ([]schakel.Alarm, error) {
	return ask[[]schakel.Alarm](ctx, c, "GET", "/v1/alarms", nil)
}

// Directory implements People.
func (c *Client) Directory(ctx context.Context) ([]schakel.Desk, error) {
	return ask[[]schakel.Desk](ctx, c, "GET", "/v1/desks", nil)
}

// Persons implements People.
func (c *Client) Persons(ctx context.Context) ([]schakel.Person, error) {
	return ask[[]schakel.Person](ctx, c, "GET", "/v1/persons", nil)
}

// AddPerson implements People.
func (c *Client) AddPerson(ctx context.Context, p schakel.Person, pin string) (schakel.Person, error) {
	return ask[schakel.Person](ctx, c, "POST", "/v1/persons", newPerson{Person: p, PIN: pin})
}

// VerifyDesk implements People.
func (c *Client) VerifyDesk(ctx context.Context, desk identity.DeskID, heard string, by schakel.By) error {
	_, err := ask[struct{}](ctx, c, "POST", "/v1/desks/verification", comparison{Desk: desk, Heard: heard, By: by})
	return err
}

// RefuseDesk implements People.
func (c *Client) RefuseDesk(ctx context.Context, desk identity.DeskID, by schakel.By) error {
	_, err := ask[struct{}](ctx, c, "POST", "/v1/desks/refusal", comparison{Desk: desk, By: by})
	return err
}

// ConfirmDevice implements People.
func (c *Client) ConfirmDevice(ctx context.Context, desk identity.DeskID, device identity.DeviceID, called string, by schakel.By) error {
	_, err := ask[struct{}](ctx, c, "POST", "/v1/desks/confirmation", confirmation{Desk: desk, Device: device, Called: called, By: by})
	return err
}

// Devices implements Authority.
func (c *Client) Devices(ctx context.Context) ([]schakel.Device, error) {
	return ask[[]schakel.Device](ctx, c, "GET", "/v1/devices", nil)
}

// Revoke implements Authority.
func (c *Client) Revoke(ctx context.Context, subject trust.Subject, reason trust.Reason) error {
	_, err := ask[struct{}](ctx, c, "POST", "/v1/revocations", revocation{Subject: subject, Reason: reason})
	return err
}

// RegisterEntries implements Authority.
func (c *Client) RegisterEntries(ctx context.Context) ([][]byte, error) {
	return ask[[][]byte](ctx, c, "GET", "/v1/register", nil)
}

// RenewOrganisationKey implements Authority.
func (c *Client) RenewOrganisationKey(ctx context.Context) ([]byte, error) {
	out, err := ask[newDevice](ctx, c, "POST", "/v1/organisation/key", nil)
	return out.Request, err
}

// Evidence implements Authority.
func (c *Client) Evidence(ctx context.Context) ([]schakel.Evidence, error) {
	return ask[[]schakel.Evidence](ctx, c, "GET", "/v1/evidence", nil)
}

// EvidenceFile implements Authority.
func (c *Client) EvidenceFile(ctx context.Context, id string) ([]byte, error) {
	return ask[[]byte](ctx, c, "GET", "/v1/evidence/file?id="+url.QueryEscape(id), nil)
}

// Vouch implements Authority.
func (c *Client) Vouch(ctx context.Context, request []byte) error {
	_, err := ask[struct{}](ctx, c, "POST", "/v1/devices", newDevice{Request: request})
	return err
}

// ClearAlarm implements Watch.
func (c *Client) ClearAlarm(ctx context.Context, kind schakel.AlarmKind, subject string) error {
	_, err := ask[struct{}](ctx, c, "POST", "/v1/alarms/clearance", clearance{Kind: kind, Subject: subject})
	return err
}

// List implements Reader.
func (c *Client) List(ctx context.Context, f schakel.Filter) ([]schakel.Summary, error) {
	q := url.Values{}
	set := func(key, value string, given bool) {
		if given {
			q.Set(key, value)
		}
	}
	set("box", f.Box, f.Box != "")
	set("case", f.Case, f.Case != "")
	set("to-ack", "true", f.ToAck)
	set("unread", "true", f.Unread)
	set("after", f.After, f.After != "")
	set("offset", strconv.Itoa(f.Offset), f.Offset > 0)
	set("limit", strconv.Itoa(f.Limit), f.Limit != 0)
	return ask[[]schakel.Summary](ctx, c, "GET", "/v1/messages?"+q.Encode(), nil)
}

// Read implements Reader.
func (c *Client) Read(ctx context.Context, ref string) (schakel.Letter, error) {
	return c.ReadAs(ctx, ref, schakel.By{})
}

// ReadAs implements Reader.
func (c *Client) ReadAs(ctx context.Context, ref string, by schakel.By) (schakel.Letter, error) {
	return ask[schakel.Letter](ctx, c, "POST", messagePath(ref, "open"), by)
}

// Export implements Reader.
func (c *Client) Export(ctx context.Context, ref string, to identity.DeskID) ([]byte, error) {
	s, err := ask[sealed](ctx, c, "GET", messagePath(ref, "delivery")+"?desk="+url.QueryEscape(string(to)), nil)
	return s.Age, err
}

// Send implements Sender.
func (c *Client) Send(ctx context.Context, d schakel.Draft) (schakel.Sent, error) {
	return ask[schakel.Sent](ctx, c, "POST", "/v1/messages", d)
}

// SendTest implements Sender.
func (c *Client) SendTest(ctx context.Context, to identity.DeskID) error {
	_, err := ask[struct{}](ctx, c, "POST", "/v1/tests", test{To: to})
	return err
}

// Acknowledge implements Sender.
func (c *Client) Acknowledge(ctx context.Context, ref string, a schakel.Acknowledgement) (schakel.Sent, error) {
	return ask[schakel.Sent](ctx, c, "POST", messagePath(ref, "acknowledgement"), a)
}

// Trace implements Follower.
func (c *Client) Trace(ctx context.Context, ref string) (schakel.Summary, error) {
	return ask[schakel.Summary](ctx, c, "GET", messagePath(ref, "trace"), nil)
}

// Wait implements Follower: it polls until the state is reached or ctx ends.
func (c *Client) Wait(ctx context.Context, ref string, state schakel.State) (schakel.Summary, error) {
	var last schakel.Summary
	for {
		w, err := ask[waited](ctx, c, "GET", messagePath(ref, "wait")+"?state="+url.QueryEscape(string(state)), nil)
		switch {
		case ctx.Err() != nil:
			return last, ctx.Err()
		case err != nil:
			return last, err
		case w.Reached:
			return w.Summary, nil
		}
		last = w.Summary
	}
}

func messagePath(ref, part string) string {
	return "/v1/messages/" + url.PathEscape(ref) + "/" + part
}

// ask sends one request and decodes its answer; a problem becomes an error that
// wraps the SDK's sentinel.
func ask[T any](ctx context.Context, c *Client, method, path string, body any) (T, error) {
	var v T
	resp, err := c.request(ctx, method, path, body)
	if err != nil {
		return v, err
	}
	defer resp.Body.Close()
	limited := io.LimitReader(resp.Body, maxAnswer)
	if resp.StatusCode != http.StatusOK {
		p := Problem{Status: resp.StatusCode, Code: "internal", Title: resp.Status}
		_ = json.NewDecoder(limited).Decode(&p) // whatever came, the status stands
		return v, &p
	}
	if err := json.NewDecoder(limited).Decode(&v); err != nil {
		return v, fmt.Errorf("failed to read the daemon's answer: %w", err)
	}
	return v, nil
}

// asIs is the body of a request that is no JSON.
type asIs []byte

func (c *Client) request(ctx context.Context, method, path string, body any) (*http.Response, error) {
	content, streams := body.(io.Reader) // sent as it is read
	if file, isFile := body.(asIs); isFile {
		content = bytes.NewReader(file)
	} else if !streams && body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("failed to write the request: %w", err)
		}
		content = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://schakel"+path, content)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("failed to ask the daemon: %w", err)
	}
	return resp, nil
}
