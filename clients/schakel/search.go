package schakel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"schakel/clients/store"
	"schakel/clients/store/index"
	"schakel/crypto/delivery"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// ErrNoWords is wrapped where a search names nothing to look for.
var ErrNoWords = errors.New("no words to look for")

// actionSearched is what the access log says of a search. Its subject is how much was
// found: what was looked for is often the name of a person.
const actionSearched = "searched"

// Bounds of a search.
const (
	maxQuery    = 512 // bytes
	defaultHits = 50
	maxHits     = 200
	maxDepth    = 64 // of a body: what lies deeper is no form of ours
)

// Search is what somebody looks for.
type Search struct {
	Words         string `json:"words"` // all of them, each as a whole word or the beginning of one; accents and capitals do not matter
	Skip          int    `json:"skip,omitempty"`
	Limit         int    `json:"limit,omitempty"` // default 50, at most 200
	WithoutDrafts bool   `json:"withoutDrafts,omitempty"`
}

// HitKind says what was found.
type HitKind string

// Kinds of hits.
const (
	HitMessage HitKind = "message"
	HitNote    HitKind = "note"
	HitDraft   HitKind = "draft"
)

// Hit is one thing that was found: where it is, and not what it says. Reading it is an
// opening like any other.
type Hit struct {
	Kind    HitKind   `json:"kind"`
	Hash    string    `json:"hash"`
	Case    string    `json:"case,omitempty"` // empty: a draft that opens one
	At      time.Time `json:"at"`
	By      string    `json:"by,omitempty"`      // who wrote the note or draft
	Draft   string    `json:"draft,omitempty"`   // its identifier
	Class   string    `json:"class,omitempty"`   // of the draft
	Message *Summary  `json:"message,omitempty"` // of the message
}

// Hits is what a search found, the newest first.
type Hits struct {
	Hits  []Hit `json:"hits"`
	Total int   `json:"total"`
	// Unreadable is how much could not be looked through, because it does not open:
	// the store is damaged, and `schakel doctor` says more.
	Unreadable int `json:"unreadable,omitempty"`
}

// Search looks through the messages, notes and drafts that are here and open to the whole
// desk. What is restricted to named persons is never found, not even by them, and what was
// destroyed is not. That somebody searched is in the access log; the words are not.
func (n *Node) Search(ctx context.Context, q Search) (out Hits, err error) {
	words := index.Words(q.Words)
	if len(q.Words) > maxQuery {
		return out, fmt.Errorf("%w: %d bytes is more than anybody looks for, at most %d", ErrNoWords, len(q.Words), maxQuery)
	}
	if len(words) == 0 {
		return out, ErrNoWords
	}
	wanted := store.Search{Words: words, Skip: q.Skip, Limit: defaultHits, Texts: textsOf}
	if q.Limit > 0 {
		wanted.Limit = min(q.Limit, maxHits)
	}
	if q.WithoutDrafts {
		wanted.Without = delivery.RecordDraft
	}
	err = n.store.Search(ctx, wanted, func(tx *store.Tx, f store.Found) error {
		out = Hits{Hits: make([]Hit, 0, len(f.Hashes)), Total: f.Total, Unreadable: f.Unreadable}
		for _, h := range f.Hashes {
			hit, err := n.hit(tx, h)
			if err != nil {
				return err
			}
			out.Hits = append(out.Hits, hit)
		}
		return nil
	})
	if err == nil {
		err = n.note(ctx, actionSearched, fmt.Sprintf("%d found", out.Total), identity.PersonID{})
	}
	if err != nil {
		return Hits{}, err
	}
	return out, nil
}

func (n *Node) hit(tx *store.Tx, h message.Hash) (Hit, error) {
	row, err := tx.Message(h)
	if errors.Is(err, store.ErrNotFound) {
		return n.recordHit(tx, h)
	}
	if err != nil {
		return Hit{}, err
	}
	s, err := n.summary(tx, row)
	return Hit{Kind: HitMessage, Hash: s.Hash, Case: s.Case, At: utc(row.Received), Message: &s}, err
}

func (n *Node) recordHit(tx *store.Tx, h message.Hash) (Hit, error) {
	row, err := tx.Record(h)
	if err != nil {
		return Hit{}, err
	}
	s, err := delivery.ParseRecord(row.Raw)
	if err != nil {
		return Hit{}, err
	}
	hit := Hit{Kind: HitNote, Hash: h.String(), At: time.Unix(int64(s.Record.Created), 0).UTC(), By: n.nameOf(tx, identity.PersonID(s.Record.Person))}
	if s.Record.Case != (message.CaseRef{}) {
		hit.Case = message.CaseRef(s.Record.Case).String()
	}
	if s.Record.Kind != delivery.RecordDraft {
		return hit, nil
	}
	d, _, err := n.draftOf(tx, s)
	hit.Kind, hit.Draft, hit.Class = HitDraft, d.ID, d.Draft.Class
	return hit, err
}

// textsOf is what of a content can be found: what people wrote and chose in a form, what
// files are called, and which desks it went between.
func textsOf(c store.Content) []string {
	switch c.Record {
	case 0:
		return textsOfMessage(c.Raw)
	case delivery.RecordNote:
		if s, err := delivery.ParseRecord(c.Raw); err == nil {
			return []string{string(s.Record.Content)}
		}
	case delivery.RecordDraft:
		var d draftContent
		if s, err := delivery.ParseRecord(c.Raw); err == nil && json.Unmarshal(s.Record.Content, &d) == nil && !d.Dropped {
			return append(textsOfBody(d.Draft.Body), d.Draft.Class)
		}
	}
	return nil
}

func textsOfMessage(raw []byte) []string {
	s, err := message.Parse(raw)
	if err != nil {
		return nil
	}
	out := append(textsOfBody(s.Message.Body), s.Message.Heading.Class, string(s.Message.Sender.Desk))
	for _, desk := range s.Message.Addressed {
		out = append(out, string(desk))
	}
	for _, file := range s.Message.Attachments {
		out = append(out, file.Name)
	}
	return out
}

// textsOfBody are the texts of a form, whatever its class is.
func textsOfBody(body []byte) (out []string) {
	var form any
	if json.Unmarshal(body, &form) != nil {
		return nil
	}
	return collect(out, form, maxDepth)
}

func collect(out []string, v any, depth int) []string {
	if depth == 0 {
		return out
	}
	switch v := v.(type) {
	case string:
		return append(out, v)
	case []any:
		for _, e := range v {
			out = collect(out, e, depth-1)
		}
	case map[string]any:
		for _, e := range v {
			out = collect(out, e, depth-1)
		}
	}
	return out
}
