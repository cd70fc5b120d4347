package api

import (
	"context"
	"errors"
	"strconv"
	"time"

	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

func messageActs() map[string]act {
	return map[string]act{
		"listMessages":   listMessages,
		"previewMessage": take(func(c *call, d schakel.Draft) (schakel.Prepared, error) { return c.node.Prepare(c.Context(), d) }),
		"sendMessage":    sendMessage,
		"openMessage": take(func(c *call, by schakel.By) (schakel.Letter, error) {
			return c.node.ReadAs(c.Context(), c.PathValue("message"), by)
		}),
		"acknowledgeMessage": take(func(c *call, a schakel.Acknowledgement) (schakel.Sent, error) {
			return c.node.Acknowledge(c.Context(), c.PathValue("message"), a)
		}),
		"forwardMessage": take(func(c *call, f schakel.Forwarding) (schakel.Sent, error) {
			return c.node.Forward(c.Context(), c.PathValue("message"), f)
		}),
		"getSealedDelivery": ask(sealedDelivery),
		"traceMessage":      ask(func(c *call) (schakel.Summary, error) { return c.node.Trace(c.Context(), c.PathValue("message")) }),
		"awaitMessage":      ask(await),
	}
}

// listMessages pages by the message that a page ended with, so that nothing is passed over
// when a message on an earlier page leaves the list in between.
func listMessages(s *Site, c *call) (answer, error) {
	p, limit, err := s.from(c)
	if err != nil {
		return answer{}, err
	}
	q := c.URL.Query()
	rows, err := c.node.List(c.Context(), schakel.Filter{Box: q.Get("box"), Case: q.Get("case"), ToAck: q.Get("toAcknowledge") == "true",
		Unread: q.Get("unread") == "true", Limit: limit + 1, After: p.After})
	if err != nil {
		return answer{}, err
	}
	return page(s, c, rows, p, limit, func(m schakel.Summary) string { return m.Hash })
}

func sendMessage(_ *Site, c *call) (answer, error) {
	d, err := decode[schakel.Draft](c)
	if err != nil {
		return answer{}, err
	}
	sent, err := c.node.Send(c.Context(), d)
	return answer{value: sent, header: map[string]string{"Location": base + "/messages/" + sent.Hash + "/deliveries"}}, err
}

// arrival is the answer to one wait: Reached is false where its time was over first.
type arrival struct {
	Reached bool            `json:"reached"`
	Message schakel.Summary `json:"message"`
}

const maxWait = 20 * time.Second

func await(c *call) (arrival, error) {
	wait := maxWait
	if n, err := strconv.Atoi(c.URL.Query().Get("wait")); err == nil {
		wait = time.Duration(n) * time.Second // the contract bounds it
	}
	ctx, cancel := context.WithTimeout(c.Context(), wait)
	defer cancel()
	m, err := c.node.Wait(ctx, c.PathValue("message"), schakel.State(c.URL.Query().Get("state")))
	if errors.Is(err, context.DeadlineExceeded) && c.Context().Err() == nil {
		m, err = c.node.Trace(c.Context(), c.PathValue("message"))
		return arrival{Message: m}, err
	}
	return arrival{err == nil, m}, err
}

// sealed is a bare age file.
type sealed struct {
	Age []byte `json:"age"`
}

func sealedDelivery(c *call) (sealed, error) {
	to, err := identity.ParseDeskID(c.URL.Query().Get("desk"))
	if err != nil {
		return sealed{}, err
	}
	b, err := c.node.Export(c.Context(), c.PathValue("message"), to)
	return sealed{b}, err
}
