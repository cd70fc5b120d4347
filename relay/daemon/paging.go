package daemon

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"schakel/relay"
	"schakel/relay/oncall"
	"schakel/relay/oncall/boltjournal"
	"schakel/relay/page"
	"schakel/relay/queue"
	"schakel/relay/queue/redisqueue"
)

// openPaging opens the timers and the ways to people. The function closes what was opened.
func (a *app) openPaging(store queue.Store) (*relay.Paging, func() error, error) {
	channels, err := a.channels()
	if err != nil {
		return nil, nil, err
	}
	p := &relay.Paging{Points: channels, Operator: pointsOf(a.settings["oncall-operator"])}
	var closed func() error
	p.Journal, closed, err = a.openTimers(store)
	return p, closed, err
}

// openTimers opens the timers where the mailboxes are: in a file beside theirs, or in the
// same Redis.
func (a *app) openTimers(store queue.Store) (oncall.Journal, func() error, error) {
	if shared, ok := store.(*redisqueue.Store); ok {
		return shared.Journal(), func() error { return nil }, nil
	}
	journal, err := boltjournal.Open(a.settings.path(fileTimers))
	if err != nil {
		return nil, nil, fmt.Errorf("%w%s", err, timersRemedy(err))
	}
	return journal, journal.Close, nil
}

func timersRemedy(err error) string {
	if errors.Is(err, queue.ErrDamaged) {
		return ": move " + fileTimers + " aside and start again; all that waits is paged for anew, and desks publish their plans again within a day"
	}
	return remedy(err)
}

// channels are the ways by which this relay calls people.
func (a *app) channels() (*page.Channels, error) {
	s := a.settings
	c, err := page.Read(func(name string) string { return s[name] })
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errConfig, err)
	}
	c.Now = a.Now
	channels, err := page.New(c)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errConfig, err)
	}
	for _, p := range pointsOf(s["oncall-operator"]) {
		if _, err := channels.For(p); err != nil {
			return nil, fmt.Errorf("%w: oncall-operator: %w", errConfig, err)
		}
	}
	return channels, nil
}

// checkPaging says whether somebody is called when a desk's own people cannot be.
func (a *app) checkPaging() finding {
	_, err := a.channels()
	good := "the operator is called where a desk cannot be, by one channel only: name a second in oncall-operator"
	switch points := pointsOf(a.settings["oncall-operator"]); {
	case len(points) == 0:
		good = "NOBODY is called for a desk without a plan, or when paging fails: set oncall-operator"
	case page.Independent(points):
		good = "the operator is called where a desk cannot be, by channels that fail separately"
	}
	return result("paging", err, good, "see docs/operations.md, Calling people")
}

// The lists below are separated by spaces.

func points(v string) error {
	for _, field := range strings.Fields(v) {
		if _, err := page.ParsePoint(field); err != nil {
			return err
		}
	}
	return nil
}

func pointsOf(v string) (list []page.Point) {
	for _, field := range strings.Fields(v) {
		p, _ := page.ParsePoint(field) // its check let it through
		list = append(list, p)
	}
	return list
}

func networks(v string) error {
	for _, field := range strings.Fields(v) {
		if _, err := netip.ParsePrefix(field); err != nil {
			return fmt.Errorf("%q is not a network such as 10.1.2.0/24", field)
		}
	}
	return nil
}
