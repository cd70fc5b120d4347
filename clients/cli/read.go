package cli

import (
	"cmp"
	"context"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/crypto/identity"
)

func (a *app) readCommand() *cobra.Command {
	var bodyOnly bool
	var by looker
	c := &cobra.Command{
		Use: "read MESSAGE", Short: "Show one message; the sender sees that it was opened",
		Long: "Shows a message whose signatures were verified when it arrived. Whom not to inform stands\n" +
			"first, before any telephone number. Opening is not acknowledging: see `schakel ack`.\n\n" +
			"Every opening is in the access log (`schakel log`); with --person, and the PIN that proves it,\n" +
			"under that person's name. A message of a restricted case opens for the persons named for it\n" +
			"only: see `schakel case restrict`.",
		Args: arguments("MESSAGE"),
		RunE: func(c *cobra.Command, args []string) error { return a.readMessage(c.Context(), args[0], by, bodyOnly) },
	}
	c.ValidArgsFunction = a.messageNames(schakel.Filter{})
	a.lookedAt(c, &by)
	c.Flags().BoolVar(&bodyOnly, "body", false, "write only the body, exactly the bytes that were signed")
	return c
}

type letterDocument struct {
	Schema  string         `json:"schema"`
	Message schakel.Letter `json:"message"`
}

func (a *app) readMessage(ctx context.Context, ref string, as looker, bodyOnly bool) error {
	by, err := a.looks(as)
	if err != nil {
		return err
	}
	return a.with(ctx, false, func(s *session) error {
		l, err := s.ReadAs(ctx, ref, by)
		switch {
		case err != nil:
			return err
		case bodyOnly:
			return a.writeBody(l.Body)
		case a.json:
			return a.writeJSON(letterDocument{"schakel.message/1", l})
		}
		return a.showLetter(l, a.replacedIn(ctx, s, l, by))
	})
}

// replacedIn says what took the place of a message, where its case tells: who reads a
// message that was withdrawn must see that before the message.
func (a *app) replacedIn(ctx context.Context, s *session, l schakel.Letter, by schakel.By) (out []string) {
	by.Glass = "" // broken once is enough
	o, err := s.Overview(ctx, l.Hash, by)
	if err != nil {
		return nil // the message was read; its case is a second look
	}
	inEN := screen{a, spoken(true)}
	for _, r := range o.Replaced {
		if r.Message.Hash.String() == l.Hash {
			out = append(out, strings.ToUpper(inEN.replacedHow(r))+" by "+inEN.named(o, r.By))
		}
	}
	return out
}

// writeBody gives the exact bytes to a file or a pipe. A terminal would act on
// them, so there they come inert.
func (a *app) writeBody(b []byte) error {
	if f, ok := a.Out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		b = []byte(inert(string(b)) + "\n")
	}
	_, err := a.Out.Write(b)
	return err
}

func (a *app) showLetter(l schakel.Letter, replaced []string) error {
	a.exercise(l.Summary)
	for _, r := range replaced {
		a.printf("%s\n", a.in(red, r))
	}
	a.printf("%s  %s\n", a.in(bold, inertLine(l.Class)), a.in(urgencyColour(l.Urgency), inertLine(string(l.Urgency))))
	a.table([][]cell{
		{{"from", dim}, {inertLine(string(l.From)), plain}},
		{{"to", dim}, {inertLine(deskNames(l.To)), plain}},
		{{"created", dim}, {a.when(l.Created), plain}},
		{{"case", dim}, {inertLine(l.Case), plain}},
		{{"message", dim}, {l.ID, plain}},
		{{"hash", dim}, {l.Hash, plain}},
		{{"answers", dim}, {orDash(inertLine(l.Answers)), plain}},
		{{"signed by", dim}, {signers(l), plain}},
		{{"state", dim}, a.state(l.Summary)},
		{{"has the case", dim}, {orDash(inertLine(l.Holder)), plain}},
	})
	if len(l.Restricted) > 0 {
		a.printf("%s\n", a.in(yellow, restrictedTo(l.Restricted)))
	}
	if l.Refused != "" {
		a.printf("%s\n", a.in(red, "refused under rule "+inertLine(l.Refused)+" when it was opened: it counts for nothing in the case"))
	}
	if l.Late {
		a.printf("%s\n", a.in(yellow, "arrived late: a later message of this desk came first"))
	}
	if d := l.UnderWay(); d > 0 {
		a.printf("%s\n", a.in(yellow, "it was "+underWay(d)+" under way: what it says is that old"))
	}
	for _, f := range l.Flags {
		a.printf("%s\n", a.in(red, screen{a, spoken(true)}.flagLine(f)))
	}
	if len(l.Attachments) > 0 {
		a.printf("\n")
		a.showAttachments(l.Attachments)
	}
	a.printf("\n")
	return a.showBody(l.Body, a.fieldsOf(l.Class))
}

// underWay is how long a message took, as people say it.
func underWay(d time.Duration) string {
	if d >= 48*time.Hour {
		return strconv.Itoa(int(d.Hours()/24)) + " days"
	}
	return strconv.Itoa(int(d.Hours())) + " h " + strconv.Itoa(int(d.Minutes())%60) + " min"
}

// fieldsOf are the fields of a class. A class that this device's agreement lacks has none:
// its message is shown all the same, as it was written.
func (a *app) fieldsOf(class string) []protocol.Field {
	agreed, err := a.agreement()
	if err != nil {
		return nil
	}
	form, err := cmp.Or(agreed, protocol.V1()).Form(class)
	if err != nil {
		return nil
	}
	return form.Fields
}

func signers(l schakel.Letter) string {
	s := "device " + inertLine(l.Device)
	if l.Person != "" {
		s += " and person " + inertLine(l.Person)
	}
	return s
}

func deskNames(ids []identity.DeskID) string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = string(id)
	}
	return strings.Join(names, ", ")
}
