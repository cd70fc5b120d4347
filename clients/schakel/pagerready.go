package schakel

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"schakel/clients/roster"
	"schakel/clients/store"
	"schakel/relay/page"
	"schakel/relay/rota"
)

// Readiness is one thing that a desk on call must have, and whether it has it.
type Readiness struct {
	Name     string   `json:"name"`
	Ready    bool     `json:"ready"`
	Evidence string   `json:"evidence"`
	Remedy   string   `json:"remedy,omitempty"`
	Lacking  []string `json:"lacking,omitempty"` // who does not have it, as colleagues know them
}

// Of readiness: how far ahead the rota is looked at, how old a drill may be, and how
// far the published keys must reach.
const (
	readyAhead = 14 * 24 * time.Hour
	drillEvery = 31 * 24 * time.Hour
	readyKeys  = 4 * 24 * time.Hour
	readySteps = time.Hour // at which the rota of the days ahead is looked at
)

// Readiness reports whether this desk would answer tonight. It judges what this device
// knows; that a telephone is charged only a drill shows.
func (n *Node) Readiness(ctx context.Context) (out []Readiness, err error) {
	r, err := n.rosterOrNone(ctx)
	if err != nil {
		return nil, err
	}
	persons, err := n.Persons(ctx)
	if err != nil {
		return nil, err
	}
	drills, err := n.Drills(ctx)
	if err != nil {
		return nil, err
	}
	now := n.now()
	ahead := contactsAhead(r, now)
	out = []Readiness{readyRota(r, now), n.readyReach(r, ahead), n.readyWays(r, ahead), readyRelay(r, ahead), readyPersons(r, ahead, persons),
		n.readyPager(), n.readyDevices(now), n.readyKeys(now), readyDrill(drills, now)}
	err = n.store.View(ctx, func(tx *store.Tx) error {
		hands, err := n.readyHands(tx, r, ahead, now)
		out = append(out, hands)
		if err != nil || !n.drillMonthly {
			return err
		}
		given, err := n.readyGiven(tx, now)
		out = append(out, given)
		return err
	})
	return out, err
}

func ready(name string, is bool, evidence, remedy string) Readiness {
	if is {
		remedy = ""
	}
	return Readiness{Name: name, Ready: is, Evidence: evidence, Remedy: remedy}
}

// contactsAhead are who is on call in the days ahead, at any level, and the fallback.
func contactsAhead(r roster.Roster, now time.Time) (out []rota.Contact) {
	if r.IsZero() {
		return nil
	}
	out = slices.Clone(r.Fallback)
	for at := now; at.Before(now.Add(readyAhead)); at = at.Add(readySteps) {
		for _, level := range r.OnCall(at) {
			for _, c := range level {
				if !slices.Contains(out, c) {
					out = append(out, c)
				}
			}
		}
	}
	return out
}

// lacking names the contacts of which something is missing, as colleagues know them, in the
// order of their names: who is on call first depends on the hour at which somebody looks.
func lacking(r roster.Roster, of []rota.Contact, has func(rota.Contact) bool) (names []string) {
	for _, c := range of {
		if !has(c) {
			names = append(names, r.Name(c))
		}
	}
	slices.Sort(names)
	return names
}

// without says who lacks something.
func (r Readiness) without(names []string) Readiness {
	r.Lacking = names
	return r
}

func readyRota(r roster.Roster, now time.Time) Readiness {
	if r.IsZero() {
		return ready("rota", false, "this desk has no rota", "make one: see `schakel oncall rota`")
	}
	gaps := r.GapsAhead(now)
	return ready("rota", len(gaps) == 0, fmt.Sprintf("%d gaps in the next 14 days", len(gaps)), "fill them: in a gap the fallback is called; see `schakel oncall rota`")
}

func (n *Node) readyReach(r roster.Roster, ahead []rota.Contact) Readiness {
	without := lacking(r, ahead, func(c rota.Contact) bool { return len(r.Points(c)) > 0 })
	if len(ahead) == 0 {
		return ready("contacts", false, "nobody is on call", "make a rota: see `schakel oncall rota`")
	}
	if len(without) > 0 {
		return ready("contacts", false, orNone("no way to reach ", without), "add a contact point for each to the rota").without(without)
	}
	return ready("contacts", true, fmt.Sprintf("all %d that may be called can be reached", len(ahead)), "")
}

// readyWays asks for two channels that fail separately: for what is acute, one is none.
func (n *Node) readyWays(r roster.Roster, ahead []rota.Contact) Readiness {
	without := lacking(r, ahead, func(c rota.Contact) bool {
		var points []page.Point
		for _, pt := range r.Points(c) {
			points = append(points, page.Point{Channel: pt.Channel, Target: pt.Target})
		}
		if n.channels != nil && n.channels.HasHook() {
			points = append(points, page.Point{Channel: page.Exec, Target: string(c)})
		}
		return page.Independent(points)
	})
	return ready("two channels", len(without) == 0 && len(ahead) > 0, orNone("fewer than two independent channels: ", without),
		"give each a second way of another kind at another host, such as mail beside ntfy").without(without)
}

func orNone(what string, names []string) string {
	if len(names) == 0 {
		return what + "nobody"
	}
	return what + strings.Join(names, ", ")
}

// readyRelay: when no device of this desk is on, only the relay pages.
func readyRelay(r roster.Roster, ahead []rota.Contact) Readiness {
	without := lacking(r, ahead, func(c rota.Contact) bool {
		p, ok := r.Person(c)
		return ok && slices.ContainsFunc(p.Points, func(pt roster.Point) bool { return pt.Relay })
	})
	return ready("at the relay", len(without) == 0 && len(ahead) > 0, orNone("cannot be paged by the relay: ", without),
		"mark a contact point of each for the relay, best one of the desk; or keep a device of this desk on day and night").without(without)
}

// readyPersons: who is on call acknowledges with a key of their own.
func readyPersons(r roster.Roster, ahead []rota.Contact, here []Person) Readiness {
	without := lacking(r, ahead, func(c rota.Contact) bool {
		p, _ := r.Person(c)
		return p.Person == "" || slices.ContainsFunc(here, func(h Person) bool { return h.ID.String() == p.Person })
	})
	return ready("keys of persons", len(without) == 0 && len(here) > 0, orNone(fmt.Sprintf("%d persons can acknowledge on this device; on call without a key here: ", len(here)), without),
		"add them with `schakel person add`, or wait until their keys reach this device").without(without)
}

func (n *Node) readyPager() Readiness {
	return ready("own pager", n.channels != nil, map[bool]string{true: "this device pages by itself", false: "this device pages nobody"}[n.channels != nil],
		"run the daemon with pager = \"on\": the relay alone is one pager of three")
}

// readyDevices: a desk with one device is blind when it breaks. Whether each officer has
// one at hand is asked of them singly.
func (n *Node) readyDevices(now time.Time) Readiness {
	usable := 0
	for _, d := range n.directory().DevicesOf(n.dev.Desk) {
		if d.UsableAt(now) {
			usable++
		}
	}
	return ready("devices", usable > 1, fmt.Sprintf("%d devices of this desk can open messages", usable), "enrol a second one: see `schakel device`")
}

func (n *Node) readyKeys(now time.Time) Readiness {
	last, ok := n.directory().LastEpoch(n.dev.ID)
	if !ok {
		return ready("keys of this device", false, "none are published", "let the daemon reach the relay")
	}
	return ready("keys of this device", last.Until.Sub(now) > readyKeys, "published until "+last.Until.UTC().Format(time.RFC3339), "let the daemon reach the relay")
}

func readyDrill(drills []Drill, now time.Time) Readiness {
	for _, d := range drills {
		if d.Inbound && !d.Acknowledged.IsZero() {
			return ready("drill", now.Sub(d.Acknowledged) < drillEvery, fmt.Sprintf("answered on %s, %s after it came", d.Acknowledged.UTC().Format(time.DateOnly), d.ToAcknowledged.Round(time.Second)),
				"ask another desk for a drill: `schakel oncall drill`")
		}
	}
	return ready("drill", false, "this desk has never answered one", "ask another desk for a drill: `schakel oncall drill`")
}

// Drill is an exercise that asked for a person, as this desk saw it.
type Drill struct {
	Message        string        `json:"message"`
	Inbound        bool          `json:"inbound"`
	Desk           string        `json:"desk"` // the other one
	Sent           time.Time     `json:"sent"`
	Came           time.Time     `json:"came,omitzero"`         // inbound: here; outbound: there, as it states
	Paged          time.Time     `json:"paged,omitzero"`        // inbound: when a channel first took a page
	Acknowledged   time.Time     `json:"acknowledged,omitzero"` // by a named person
	ToPaged        time.Duration `json:"toPaged,omitzero"`      // nanoseconds from Came, inbound
	ToAcknowledged time.Duration `json:"toAcknowledged,omitzero"`
}

// Drills returns the exercises of this desk that asked for a person, the newest first.
// They are on record as all messages are: what is measured is the real path.
func (n *Node) Drills(ctx context.Context) (out []Drill, err error) {
	err = n.store.View(ctx, func(tx *store.Tx) error {
		rows, err := tx.Messages(store.Query{Limit: maxList})
		for _, row := range rows {
			if err != nil || !row.Exercise || n.ackDeadline(headOf(row)).IsZero() {
				continue
			}
			var ds []Drill
			if ds, err = n.drillsOf(tx, row); err == nil {
				out = append(out, ds...)
			}
		}
		return err
	})
	slices.SortStableFunc(out, func(a, b Drill) int { return b.Sent.Compare(a.Sent) })
	return out, err
}

func (n *Node) drillsOf(tx *store.Tx, row store.Message) (out []Drill, err error) {
	d := Drill{Message: row.Hash.String(), Inbound: row.Direction == store.In, Desk: string(row.Peer), Sent: row.Created.UTC()}
	if d.Inbound {
		d.Came, d.Acknowledged = utc(row.Received), utc(row.Acknowledged)
		pages, err := tx.Pages(store.PagedQuery{Subject: d.Message, Limit: maxList})
		for _, p := range pages { // the newest first
			if p.Outcome == string(page.Sent) {
				d.Paged = p.At.UTC()
			}
		}
		return []Drill{d.measured(d.Came)}, err
	}
	rs, err := tx.Recipients(row.Hash)
	for _, r := range rs {
		if r.Desk != n.dev.Desk {
			d.Desk, d.Came, d.Acknowledged = string(r.Desk), utc(r.Delivered), utc(r.Acknowledged)
			out = append(out, d.measured(d.Sent))
		}
	}
	return out, err
}

func (d Drill) measured(from time.Time) Drill {
	if !d.Paged.IsZero() {
		d.ToPaged = d.Paged.Sub(from)
	}
	if !d.Acknowledged.IsZero() {
		d.ToAcknowledged = d.Acknowledged.Sub(from)
	}
	return d
}
