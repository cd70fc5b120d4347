package api

import (
	"io"
	"time"

	"schakel/clients/protocol/playbook"
	"schakel/clients/schakel"
)

// maxCases bounds a list of cases, of which the node makes each anew.
const maxCases = 1000

func caseActs() map[string]act {
	return map[string]act{
		"listCases": listed(func(c *call) ([]schakel.CaseSummary, error) {
			return c.node.Cases(c.Context(), schakel.Paging{Limit: maxCases})
		}, func(k schakel.CaseSummary) string { return k.Case }),
		"search": take(func(c *call, q schakel.Search) (schakel.Hits, error) { return c.node.Search(c.Context(), q) }),
		"openCase": take(func(c *call, by schakel.By) (schakel.Overview, error) {
			return c.node.Overview(c.Context(), c.PathValue("case"), by)
		}),
		"openWorksheet": take(func(c *call, by schakel.By) (schakel.Worksheet, error) {
			return c.node.Worksheet(c.Context(), c.PathValue("case"), by)
		}),
		"reportProgress": reportProgress,
		"assignCase": take(func(c *call, in newAssignment) (schakel.Assignment, error) {
			return c.node.Assign(c.Context(), c.PathValue("case"), in.To, in.By)
		}),
		"addNote": take(func(c *call, in newNote) (noted, error) {
			n, err := c.node.AddNote(c.Context(), c.PathValue("case"), in.Text, in.By)
			return noted{n.Hash, n.By, n.At}, err
		}),
		"restrictCase": take(func(c *call, in newRestriction) (schakel.Restriction, error) {
			return c.node.Restrict(c.Context(), c.PathValue("case"), in.Readers, in.By)
		}),
		"getRestriction": ask(func(c *call) (schakel.Restriction, error) {
			return c.node.Restriction(c.Context(), c.PathValue("case"))
		}),
		"exportCase": exportCase,
	}
}

// newAssignment gives a case to somebody, or to nobody.
type newAssignment struct {
	To string     `json:"to"`
	By schakel.By `json:"by"`
}

// newNote is a note before it is signed.
type newNote struct {
	Text string     `json:"text"`
	By   schakel.By `json:"by"`
}

// newRestriction is who may read a case from now on.
type newRestriction struct {
	Readers []string   `json:"readers"`
	By      schakel.By `json:"by"`
}

// newReport asks how far a case has come in a situation.
type newReport struct {
	Situation playbook.Situation `json:"situation"`
	By        schakel.By         `json:"by"`
}

func reportProgress(_ *Site, c *call) (answer, error) {
	in, err := decode[newReport](c)
	if err != nil {
		return answer{}, err
	}
	taken, err := c.node.Progress(c.Context(), c.PathValue("case"), in.Situation, in.By)
	return answer{value: pageOf[playbook.Taken]{Items: append([]playbook.Taken{}, taken...)}}, err
}

func exportCase(_ *Site, c *call) (answer, error) {
	by, err := decode[schakel.By](c)
	if err != nil {
		return answer{}, err
	}
	return streamed(c, "application/zip", "", func(to io.Writer) error { return c.node.ExportCase(c.Context(), c.PathValue("case"), by, to) })
}

// noted is a note without its text, which whoever wrote it has: an answer is kept for a
// day, and what was said of a case is not to lie there.
type noted struct {
	Hash string    `json:"hash"`
	By   string    `json:"by"`
	At   time.Time `json:"at"`
}
