// Package shout pages through the services that shoutrrr speaks to.
//
// It is for the points of a desk's own roster, on the desk's own device: shoutrrr
// dials for itself, so nothing keeps a point from leading into the network where this
// runs. A relay, whose points are the word of partners, does not contain it.
package shout

import (
	"context"
	"fmt"
	"io"
	"log"
	"slices"
	"strings"

	"github.com/nicholas-fedor/shoutrrr"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"

	"schakel/relay/page"
)

// unwanted: smtp greets with the name of this machine, logger writes into a log; ntfy
// and generic exist here with checks of their own.
var unwanted = []string{"smtp", "logger", "ntfy", "generic"}

// Channel makes a Notifier of a URL of shoutrrr; it goes into page.Config.Others as
// page.Shoutrrr. It dials nothing yet.
func Channel(target string) (page.Notifier, error) {
	scheme, _, ok := strings.Cut(target, "://")
	name, _, _ := strings.Cut(strings.ToLower(scheme), "+")
	if !ok || slices.Contains(unwanted, name) {
		return nil, fmt.Errorf("%w: shoutrrr takes service://..., and not %s: those are channels of their own", page.ErrPoint, strings.Join(unwanted, ", "))
	}
	return service(target), nil
}

// service is a URL of shoutrrr.
type service string

var _ page.Notifier = service("")

// Notify sends the page. The library takes no context: at the deadline it is left to
// its own time limits, and what comes of it is not waited for.
func (s service) Notify(ctx context.Context, p page.Page) error {
	title, text := p.Words()
	failed := make(chan error, 1)
	go func() { failed <- s.send(title, text) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return page.ErrDeadline
	}
}

// send keeps what the library says to itself: it quotes URLs, which are secrets.
func (s service) send(title, text string) error {
	sender, err := shoutrrr.NewSenderWithOptions(log.New(io.Discard, "", 0), types.SenderOptions{}, string(s))
	if err != nil {
		return fmt.Errorf("%w: not a URL of shoutrrr", page.ErrPoint)
	}
	for _, err := range sender.Send(text, &types.Params{types.TitleKey: title}) {
		if err != nil {
			return page.ErrRefused
		}
	}
	return nil
}
