package desk

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"schakel/clients/schakel"
)

// reopen is how long Subscribe waits before it asks for the stream again.
const reopen = time.Second

// Subscribe implements Follower. The stream is opened again when the daemon
// restarts; events of the time between are lost, as events may be. cancel must
// be called; it closes the channel.
func (c *Client) Subscribe() (<-chan schakel.Event, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	out := make(chan schakel.Event, 64)
	go func() {
		defer close(out)
		for ctx.Err() == nil {
			c.stream(ctx, out)
			select {
			case <-ctx.Done():
			case <-time.After(reopen):
			}
		}
	}()
	return out, cancel
}

func (c *Client) stream(ctx context.Context, out chan schakel.Event) {
	resp, err := c.request(ctx, http.MethodGet, "/v1/events", nil)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return
	}
	readEvents(resp.Body, out)
}

// readEvents reads server-sent events until r ends. A line longer than the
// scanner's buffer ends the stream too: no event is that long.
func readEvents(r io.Reader, out chan schakel.Event) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		text, isData := strings.CutPrefix(lines.Text(), "data: ")
		var e schakel.Event
		if !isData || json.Unmarshal([]byte(text), &e) != nil {
			continue
		}
		offer(out, e)
	}
}

// offer drops the oldest event when the reader does not keep up.
func offer(out chan schakel.Event, e schakel.Event) {
	for {
		select {
		case out <- e:
			return
		default:
		}
		select {
		case <-out:
		default:
		}
	}
}
