package api

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"

	"schakel/crypto/canon"
)

const (
	defaultPage = 100
	maxCursor   = 700
)

// place is where a page of a list ended.
type place struct {
	_     struct{} `cbor:",toarray"`
	After string   // what names the last item
	Count uint64   // how many were before it, itself counted
}

// seal writes a place as a cursor. It opens for the list, the filter and the token that it
// was made for: a program learns nothing from it, and cannot make one.
func seal(a cipher.AEAD, p place, scope string) (string, error) {
	plain, err := canon.Marshal(p)
	if err != nil {
		return "", err
	}
	nonce := make([]byte, a.NonceSize(), maxCursor)
	_, _ = rand.Read(nonce) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(a.Seal(nonce, nonce, plain, []byte(scope))), nil
}

// unseal reads a cursor.
func unseal(a cipher.AEAD, cursor, scope string) (p place, err error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(b) < a.NonceSize() {
		return p, errCursor
	}
	plain, err := a.Open(nil, b[:a.NonceSize()], b[a.NonceSize():], []byte(scope))
	if err != nil || canon.Unmarshal(plain, maxCursor, &p) != nil || p.Count > 1<<40 {
		return place{}, errCursor
	}
	return p, nil
}

// scopeOf is what a cursor of this request fits: the token, the list and its filter.
func (c *call) scopeOf() string {
	q := c.URL.Query()
	q.Del("cursor")
	q.Del("limit")
	return c.token.ID + "\n" + c.op.id + "\n" + q.Encode()
}

// from is where a request wants its page to begin, and how long it may be.
func (s *Site) from(c *call) (p place, limit int, err error) {
	limit = defaultPage
	if n, err := strconv.Atoi(c.URL.Query().Get("limit")); err == nil {
		limit = n // the contract bounds it
	}
	if cursor := c.URL.Query().Get("cursor"); cursor != "" {
		p, err = unseal(s.cursors, cursor, c.scopeOf())
	}
	return p, limit, err
}

// pageOf is one page of a list.
type pageOf[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

// page cuts a page out of what follows a place: items holds one more than fits where there
// is more.
func page[T any](s *Site, c *call, items []T, p place, limit int, name func(T) string) (answer, error) {
	out := pageOf[T]{Items: items}
	if out.Items == nil {
		out.Items = []T{}
	}
	if len(items) <= limit {
		return answer{value: out}, nil
	}
	out.Items = items[:limit]
	next, err := seal(s.cursors, place{After: name(items[limit-1]), Count: p.Count + uint64(limit)}, c.scopeOf())
	if err != nil {
		return answer{}, err
	}
	out.Next = next
	q := c.URL.Query()
	q.Set("cursor", next)
	link := url.URL{Path: c.URL.Path, RawQuery: q.Encode()}
	return answer{value: out, header: map[string]string{"Link": "<" + link.RequestURI() + `>; rel="next"`}}, nil
}

// pageAll is a page of a list that is at hand whole. It goes on after the last item of the
// page before, or where that one is gone, after as many as there were.
func pageAll[T any](s *Site, c *call, all []T, name func(T) string) (answer, error) {
	p, limit, err := s.from(c)
	if err != nil {
		return answer{}, err
	}
	from := min(p.Count, uint64(len(all)))
	if i := slices.IndexFunc(all, func(x T) bool { return p.After != "" && name(x) == p.After }); i >= 0 {
		from = uint64(i) + 1
	}
	return page(s, c, all[from:], place{Count: from}, limit, name)
}

// listed is an act that pages a whole list.
func listed[T any](list func(c *call) ([]T, error), name func(T) string) act {
	return func(s *Site, c *call) (answer, error) {
		all, err := list(c)
		if err != nil {
			return answer{}, err
		}
		return pageAll(s, c, all, name)
	}
}

// whole is an act that answers with a short list, all of it.
func whole[T any](list func(c *call) ([]T, error)) act {
	return func(_ *Site, c *call) (answer, error) {
		all, err := list(c)
		if all == nil {
			all = []T{}
		}
		return answer{value: pageOf[T]{Items: all}}, err
	}
}

// itself names an item by all that it is.
func itself[T any](x T) string {
	b, _ := json.Marshal(x)
	return short(b)
}
