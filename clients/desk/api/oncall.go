package api

import (
	"fmt"
	"strconv"
	"time"

	"schakel/clients/desk"
	"schakel/clients/roster"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

// maxPages is how many pages of the pager's log can be leafed through.
const maxPages = 1000

func onCallActs() map[string]act {
	pageName := func(p schakel.Page) string { return itself(p) }
	return map[string]act{
		"getOnCall":       ask(onCall),
		"getRota":         getRota,
		"setRota":         setRota,
		"changeRota":      changeRota,
		"importCalendar":  take(importCalendar),
		"getRotaCalendar": rotaCalendar,
		"getReadiness":    whole(of(desk.Node.Readiness)),
		"listPages":       listed(func(c *call) ([]schakel.Page, error) { return c.node.PageLog(c.Context(), maxPages) }, pageName),
		"listRelayPages":  listed(of(desk.Node.RelayPages), pageName),
		"testPages":       testPages,
		"listDrills":      listed(of(desk.Node.Drills), itself[schakel.Drill]),
		"startDrill":      take(func(c *call, in newDrill) (schakel.Sent, error) { return c.node.StartDrill(c.Context(), in.To, in.By) }),
	}
}

func onCall(c *call) (schakel.OnCall, error) {
	at := time.Time{}
	if text := c.URL.Query().Get("at"); text != "" {
		var err error
		if at, err = time.Parse(time.RFC3339, text); err != nil {
			return schakel.OnCall{}, fmt.Errorf("%w: at is no time", desk.ErrRequest)
		}
	}
	return c.node.OnCall(c.Context(), at)
}

func rotaAnswer(r schakel.Rota) answer {
	return answer{value: r, header: map[string]string{"ETag": etag(r.Revision)}}
}

func getRota(_ *Site, c *call) (answer, error) {
	r, err := c.node.Rota(c.Context())
	return rotaAnswer(r), err
}

// newRota is a roster to put in the place of another.
type newRota struct {
	Roster roster.Roster `json:"roster"`
	By     schakel.By    `json:"by"`
}

func setRota(_ *Site, c *call) (answer, error) {
	in, err := decode[newRota](c)
	if err != nil {
		return answer{}, err
	}
	revision := ""
	if c.Header.Get("If-None-Match") == "" {
		if revision, err = ifMatch(c); err != nil {
			return answer{}, err
		}
	}
	r, err := c.node.SetRota(c.Context(), roster.Sheet{Revision: revision, Roster: in.Roster}, in.By)
	return rotaAnswer(r), err
}

// newRotaChange is one decision about the rota, and who takes it.
type newRotaChange struct {
	Change schakel.RotaChange `json:"change"`
	By     schakel.By         `json:"by"`
}

func changeRota(_ *Site, c *call) (answer, error) {
	in, err := decode[newRotaChange](c)
	if err != nil {
		return answer{}, err
	}
	r, err := c.node.ChangeRota(c.Context(), in.Change, in.By)
	return rotaAnswer(r), err
}

// newCalendar is an iCalendar file and who signs what is taken of it.
type newCalendar struct {
	File []byte     `json:"file"`
	By   schakel.By `json:"by"`
}

// imported is what became of a calendar.
type imported struct {
	Rota   schakel.Rota  `json:"rota"`
	Report roster.Import `json:"report"`
}

func importCalendar(c *call, in newCalendar) (out imported, err error) {
	out.Rota, out.Report, err = c.node.ImportCalendar(c.Context(), in.File, in.By)
	return out, err
}

func rotaCalendar(_ *Site, c *call) (answer, error) {
	q := c.URL.Query()
	names, _ := strconv.ParseBool(q.Get("names")) // the contract lets true and false through
	file, err := c.node.Calendar(c.Context(), schakel.CalendarWish{Who: q.Get("who"), Names: names})
	return answer{file: file, media: "text/calendar"}, err
}

func testPages(_ *Site, c *call) (answer, error) {
	in, err := decode[schakel.TestPage](c)
	if err != nil {
		return answer{}, err
	}
	tested, err := c.node.TestPages(c.Context(), in)
	return answer{value: pageOf[schakel.Tested]{Items: append([]schakel.Tested{}, tested...)}}, err
}

// newDrill is the desk that is tried, and who signs where the message needs it.
type newDrill struct {
	To identity.DeskID `json:"to"`
	By schakel.By      `json:"by"`
}
