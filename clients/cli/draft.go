package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"schakel/clients/schakel"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

func (a *app) draftCommand() *cobra.Command {
	return noun("draft", "Messages that are still being written, on all devices of this desk",
		a.draftListCommand(), a.draftSaveCommand(), a.draftShowCommand(), a.draftDropCommand())
}

func (a *app) draftListCommand() *cobra.Command {
	var ref string
	var l looker
	c := &cobra.Command{
		Use: "list", Short: "List the drafts of this desk, newest first",
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error { return a.drafts(c.Context(), ref, l) },
	}
	c.Flags().StringVar(&ref, "case", "", "only of this case")
	a.lookedAt(c, &l)
	return c
}

type draftsDocument struct {
	Schema string               `json:"schema"`
	Drafts []schakel.SavedDraft `json:"drafts"`
}

func (a *app) drafts(ctx context.Context, ref string, l looker) error {
	by, err := a.looks(l)
	if err != nil {
		return err
	}
	return a.with(ctx, false, func(s *session) error {
		drafts, err := s.Drafts(ctx, ref, by)
		switch {
		case err != nil:
			return err
		case a.json:
			return a.writeJSON(draftsDocument{"schakel.drafts/1", list(drafts)})
		case len(drafts) == 0:
			a.printf("no drafts\n")
			return nil
		}
		a.showDrafts(drafts)
		return nil
	})
}

func (a *app) showDrafts(drafts []schakel.SavedDraft) {
	rows := [][]cell{heads("DRAFT", "VERSION", "BY", "SAVED", "CLASS", "CASE")}
	for _, d := range drafts {
		rows = append(rows, []cell{{d.ID, plain}, {short(d.Version), dim}, {inertLine(d.By), bold}, {a.when(d.At), plain},
			{orDash(inertLine(d.Draft.Class)), plain}, {orDash(inertLine(d.Draft.Case)), plain}})
	}
	a.table(rows)
}

type draftFlags struct {
	send        sendFlags
	id, version string
}

func (a *app) draftSaveCommand() *cobra.Command {
	var f draftFlags
	c := &cobra.Command{
		Use: "save", Short: "Save a draft, or a new version of one",
		Long: "Keeps a message that is not finished on all devices of this desk; it need not be complete. When\n" +
			"a colleague saved another version meanwhile, both stay: name yours with --version.\n" +
			"`schakel send --draft` sends it.",
		Example: `  schakel draft save --class advies --case 019ab2c0-5f10-7a31-9c42-1d0e5a7b3c01 --body advies.json --person "P. Iket" --pin-file pin`,
		Args:    arguments(),
		RunE:    func(c *cobra.Command, _ []string) error { return a.saveDraft(c.Context(), f) },
	}
	flags := c.Flags()
	flags.StringVar(&f.id, "id", "", "draft that this is a new version of; a new draft when left out")
	flags.StringVar(&f.version, "version", "", "version that was edited; needed where there are several")
	flags.StringVar(&f.send.class, "class", "", "class of the message")
	flags.StringVar(&f.send.urgency, "urgency", "", "acuut, spoed, regulier or ter-kennisname")
	flags.StringVar(&f.send.zaak, "case", "", "case (zaak) it belongs to")
	flags.StringArrayVar(&f.send.to, "to", nil, "desk it is meant for (repeat for several)")
	flags.StringVar(&f.send.answers, "answers", "", "message that it answers")
	flags.StringArrayVar(&f.send.restsOn, "rests-on", nil, "message that it rests on (repeat for several)")
	flags.StringVar(&f.send.outcome, "outcome", "", "outcome of a besluit")
	flags.BoolVar(&f.send.exercise, "exercise", false, "it begins an exercise")
	flags.StringVar(&f.send.body, "body", "", "file with the body as far as it is, or - for standard input")
	f.send.signer.flags(c)
	suggest(c, map[string]completer{"class": words(classNames()), "urgency": words(urgencyNames()), "to": a.deskNames(), "person": a.personNames(), "id": a.draftNames()})
	return c
}

type draftDocument struct {
	Schema string             `json:"schema"`
	Draft  schakel.SavedDraft `json:"draft"`
}

func (a *app) saveDraft(ctx context.Context, f draftFlags) error {
	d := schakel.Draft{Class: f.send.class, Urgency: message.Urgency(f.send.urgency), Case: f.send.zaak, Answers: f.send.answers,
		RestsOn: f.send.restsOn, Outcome: f.send.outcome, Exercise: f.send.exercise}
	for _, to := range f.send.to {
		id, err := identity.ParseDeskID(to)
		if err != nil {
			return usage(err)
		}
		d.To = append(d.To, id)
	}
	var err error
	if f.send.body != "" {
		if d.Body, err = a.content(f.send.body); err != nil {
			return err
		}
	}
	by, err := a.by(f.send.signer)
	if err != nil {
		return err
	}
	return a.with(ctx, true, func(s *session) error {
		saved, err := s.SaveDraft(ctx, f.id, f.version, d, by)
		if err != nil {
			return suggestPerson(ctx, s, by.Person, err)
		}
		if a.json {
			return a.writeJSON(draftDocument{"schakel.draft/1", saved})
		}
		a.printf("%s\n", saved.ID)
		return nil
	})
}

func (a *app) draftShowCommand() *cobra.Command {
	var l looker
	c := &cobra.Command{
		Use: "show DRAFT", Short: "Show a draft with all its versions",
		Args:              arguments("DRAFT"),
		ValidArgsFunction: a.draftNames(),
		RunE:              func(c *cobra.Command, args []string) error { return a.showDraft(c.Context(), args[0], l) },
	}
	a.lookedAt(c, &l)
	return c
}

func (a *app) showDraft(ctx context.Context, id string, l looker) error {
	by, err := a.looks(l)
	if err != nil {
		return err
	}
	return a.with(ctx, false, func(s *session) error {
		versions, err := draftVersions(ctx, s, id, by)
		switch {
		case err != nil:
			return err
		case a.json:
			return a.writeJSON(draftsDocument{"schakel.drafts/1", versions})
		}
		for _, d := range versions {
			a.showDrafts([]schakel.SavedDraft{d})
			a.printf("version %s, to %s\n%s\n", d.Version, orDash(inertLine(deskNames(d.Draft.To))), inert(string(d.Draft.Body)))
		}
		return nil
	})
}

// draftVersions are the newest versions of the draft whose identifier begins like that.
func draftVersions(ctx context.Context, s *session, id string, by schakel.By) ([]schakel.SavedDraft, error) {
	all, err := s.Drafts(ctx, "", by)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(d schakel.SavedDraft) bool { return !strings.HasPrefix(d.ID, strings.ToLower(id)) })
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: draft %.80q", schakel.ErrNotFound, id)
	}
	return all, nil
}

// savedDraft is one version of one draft: two drafts that begin alike, or two versions of
// one, are for a person to tell apart.
func savedDraft(ctx context.Context, s *session, id, version string, by schakel.By) (schakel.SavedDraft, error) {
	all, err := draftVersions(ctx, s, id, by)
	if err != nil {
		return schakel.SavedDraft{}, err
	}
	all = slices.DeleteFunc(all, func(d schakel.SavedDraft) bool { return !strings.HasPrefix(d.Version, strings.ToLower(version)) })
	switch {
	case len(all) == 0:
		return schakel.SavedDraft{}, fmt.Errorf("%w: version %.80q of draft %.8s", schakel.ErrNotFound, version, id)
	case slices.ContainsFunc(all, func(d schakel.SavedDraft) bool { return d.ID != all[0].ID }):
		return schakel.SavedDraft{}, usage(fmt.Errorf("more than one draft begins like %.80q: give more characters", id))
	case len(all) > 1:
		return schakel.SavedDraft{}, advise(fmt.Errorf("%w: %d of draft %.8s", schakel.ErrDraftVersions, len(all), id), "look with `schakel draft show`, and name one with --draft-version")
	}
	return all[0], nil
}

// draftNames completes with the drafts of this desk.
func (a *app) draftNames() completer {
	return a.asked(func(ctx context.Context, s *session) (names []string, err error) {
		drafts, err := s.Drafts(ctx, "")
		for _, d := range drafts {
			names = append(names, d.ID+"\t"+inertLine(d.Draft.Class+" "+d.By))
		}
		return names, err
	})
}

func (a *app) draftDropCommand() *cobra.Command {
	var f signer
	var version string
	c := &cobra.Command{
		Use: "drop DRAFT", Short: "Take a draft off the lists",
		Long: "Takes a draft, or with --version one version of it, off the lists of all devices. A version that\n" +
			"a colleague saved meanwhile stays. The texts stay in the stores until the case is destroyed.",
		Args: arguments("DRAFT"),
		RunE: func(c *cobra.Command, args []string) error {
			by, err := a.by(f)
			if err != nil {
				return err
			}
			return a.with(c.Context(), true, func(s *session) error { return s.DropDraft(c.Context(), args[0], version, by) })
		},
	}
	f.flags(c)
	c.ValidArgsFunction = a.draftNames()
	suggest(c, map[string]completer{"person": a.personNames()})
	c.Flags().StringVar(&version, "version", "", "version to drop; needed where there are several")
	return c
}
