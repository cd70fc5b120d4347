package desk

import (
	"context"
	"net/http"

	"schakel/clients/schakel"
)

// Searcher finds messages, notes and drafts by words in them.
type Searcher interface {
	Search(ctx context.Context, q schakel.Search) (schakel.Hits, error)
}

// search is a POST because words are often names, and addresses end up in logs.
func (s *Service) search(r *http.Request) (schakel.Hits, error) {
	q, err := decode[schakel.Search](r)
	if err != nil {
		return schakel.Hits{}, err
	}
	return s.node.Search(r.Context(), q)
}

// Search implements Searcher.
func (c *Client) Search(ctx context.Context, q schakel.Search) (schakel.Hits, error) {
	return ask[schakel.Hits](ctx, c, "POST", "/v1/searches", q)
}
