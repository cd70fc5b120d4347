package api

import (
	"errors"
	"strings"

	"schakel/clients/schakel"
)

func draftActs() map[string]act {
	return map[string]act{
		"openDrafts":  openDrafts,
		"createDraft": saveDraft,
		"saveDraft":   saveDraft,
		"dropDraft":   dropDraft,
	}
}

// draftsWish asks for the drafts of a case, or of this desk.
type draftsWish struct {
	Case string     `json:"case"`
	By   schakel.By `json:"by"`
}

func openDrafts(_ *Site, c *call) (answer, error) {
	in, err := decode[draftsWish](c)
	if err != nil {
		return answer{}, err
	}
	all, err := c.node.Drafts(c.Context(), in.Case, in.By)
	return answer{value: pageOf[schakel.SavedDraft]{Items: append([]schakel.SavedDraft{}, all...)}}, err
}

// draftVersion is a draft to keep.
type draftVersion struct {
	Draft schakel.Draft `json:"draft"`
	By    schakel.By    `json:"by"`
}

// saveDraft keeps a new draft, or one in the place of the version that the program edited.
// What somebody else saved meanwhile stays beside it in any case; the version says whether
// the program had seen it.
func saveDraft(_ *Site, c *call) (answer, error) {
	in, err := decode[draftVersion](c)
	if err != nil {
		return answer{}, err
	}
	id, version := c.PathValue("draft"), ""
	if id != "" {
		if version, err = ifMatch(c); err != nil {
			return answer{}, err
		}
	}
	saved, err := c.node.SaveDraft(c.Context(), id, version, in.Draft, in.By)
	if err != nil {
		return answer{}, changed(c, in.By, err)
	}
	return answer{value: saved, header: map[string]string{"ETag": etag(saved.Version), "Location": base + "/drafts/" + saved.ID}}, nil
}

func dropDraft(_ *Site, c *call) (answer, error) {
	by, err := decode[schakel.By](c)
	if err != nil {
		return answer{}, err
	}
	version, err := ifMatch(c)
	if err != nil {
		return answer{}, err
	}
	return answer{}, changed(c, by, c.node.DropDraft(c.Context(), c.PathValue("draft"), version, by))
}

// changed tells a draft that is not there from one of which that version is not: somebody
// has seen it and saved another.
func changed(c *call, by schakel.By, err error) error {
	if !errors.Is(err, schakel.ErrNotFound) || c.PathValue("draft") == "" {
		return err
	}
	all, lookup := c.node.Drafts(c.Context(), "", by)
	for _, d := range all {
		if d.ID == c.PathValue("draft") {
			return errMatch
		}
	}
	return errors.Join(err, lookup)
}

// etag writes a version as a strong validator (RFC 9110, 8.8.3).
func etag(version string) string { return `"` + version + `"` }

// ifMatch reads the one version that a request was made of. A list, a weak one or "*" is
// no version that anybody has edited.
func ifMatch(c *call) (string, error) {
	text := strings.Join(c.Header.Values("If-Match"), ", ") // twice is a list, which is refused
	version, ok := strings.CutPrefix(text, `"`)
	version, closed := strings.CutSuffix(version, `"`)
	if !ok || !closed || version == "" || strings.ContainsAny(version, `", `) {
		return "", errNoMatch
	}
	return version, nil
}
