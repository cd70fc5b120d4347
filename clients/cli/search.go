package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"schakel/clients/schakel"
)

func (a *app) searchCommand() *cobra.Command {
	var limit, skip int
	c := &cobra.Command{
		Use: "search WORDS...", Short: "Find messages, notes and drafts by words in them",
		Long: "Finds what has all of the words, each as a whole word or the beginning of one. Capitals and\n" +
			"accents do not matter: celik finds Çelik. It shows where the words stand, and not what is\n" +
			"said: read that with `schakel read`, which the access log notes as ever.\n\n" +
			"A case that is restricted to named persons is never found.",
		Example: "  schakel search celik utrecht",
		RunE: func(c *cobra.Command, args []string) error {
			return a.search(c.Context(), schakel.Search{Words: strings.Join(args, " "), Limit: limit, Skip: skip})
		},
	}
	c.Flags().IntVar(&limit, "limit", 0, "at most so many (default 50, at most 200)")
	c.Flags().IntVar(&skip, "skip", 0, "not the first so many")
	return c
}

type searchDocument struct {
	Schema string `json:"schema"`
	schakel.Hits
}

func (a *app) search(ctx context.Context, q schakel.Search) error {
	if q.Limit < 0 || q.Limit > 200 || q.Skip < 0 {
		return usage(fmt.Errorf("--limit %d, --skip %d: at most 200, and nothing below 0", q.Limit, q.Skip))
	}
	return a.with(ctx, false, func(s *session) error {
		hits, err := s.Search(ctx, q)
		if errors.Is(err, schakel.ErrNoWords) {
			return usage(err)
		}
		if err != nil {
			return err
		}
		if hits.Unreadable > 0 {
			a.sayf("%s", a.in(red, fmt.Sprintf("%d that do not open were not looked through: run `schakel doctor`, and tell the security officer", hits.Unreadable)))
		}
		if a.json {
			hits.Hits = list(hits.Hits)
			return a.writeJSON(searchDocument{"schakel.search/1", hits})
		}
		a.hits(hits)
		return nil
	})
}

func (a *app) hits(h schakel.Hits) {
	if len(h.Hits) == 0 {
		a.printf("nothing found\n")
		return
	}
	rows := [][]cell{heads("WHERE", "WHEN", "WHAT", "DESK OR PERSON", "CASE", "STATE")}
	for _, hit := range h.Hits {
		rows = append(rows, a.hit(hit))
	}
	a.table(rows)
	if h.Total > len(h.Hits) {
		a.sayf("%d of %d; give more words, or --skip %d", len(h.Hits), h.Total, len(h.Hits))
	}
}

func (a *app) hit(h schakel.Hit) []cell {
	at, kase := cell{a.when(h.At), plain}, cell{inertLine(short(h.Case)), plain}
	switch {
	case h.Message != nil:
		return []cell{{short(h.Hash), bold}, at, classOf(*h.Message), {inertLine(others(*h.Message)), plain}, kase, a.state(*h.Message)}
	case h.Kind == schakel.HitDraft:
		return []cell{{short(h.Draft), bold}, at, {"draft of " + inertLine(h.Class), plain}, {inertLine(h.By), plain}, kase, {"not sent", dim}}
	}
	return []cell{{short(h.Case), bold}, at, {"note", plain}, {inertLine(h.By), plain}, kase, {"internal", dim}}
}
