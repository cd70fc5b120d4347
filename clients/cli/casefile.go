package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"schakel/clients/casefile"
	"schakel/clients/schakel"
)

func (a *app) caseExportCommand() *cobra.Command {
	var by looker
	var out string
	c := &cobra.Command{
		Use: "export CASE", Short: "Write the file of a case: readable, with all that proves it",
		Long: "Writes one archive with all signed messages of a case that this desk has, what was attached to\n" +
			"them, a page to read and to print in Dutch and English, and all that is needed to verify it\n" +
			"without us: see `schakel verify`.\n" +
			"CASE is its identifier, or that of a message of it. This device signs the archive; with --person\n" +
			"that person does too; a restricted case only leaves by a person named for it.\n\n" +
			"The file is not encrypted. Whoever has it can read it.",
		Example: `  schakel case export 019ab2c0-5f10-7a31-9c42-1d0e5a7b3c01 --out dossier.zip --person "V. Thuis" --pin-file pin`,
		Args:    arguments("CASE"),
		RunE:    func(c *cobra.Command, args []string) error { return a.caseExport(c.Context(), args[0], out, by) },
	}
	c.Flags().StringVar(&out, "out", "", "where the archive goes; a file that is not there yet")
	a.lookedAt(c, &by)
	return c
}

func (a *app) caseExport(ctx context.Context, ref, out string, by looker) error {
	if out == "" {
		return usage(errors.New("--out is missing"))
	}
	as, err := a.looks(by)
	if err != nil {
		return err
	}
	return a.with(ctx, false, func(s *session) error {
		f, err := os.OpenFile(out, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, os.ErrExist) {
			return fmt.Errorf("%w: %s", errExists, out)
		}
		if err != nil {
			return fmt.Errorf("failed to write: %w", err)
		}
		if err := s.ExportCase(ctx, ref, as, f); err != nil {
			return suggestPerson(ctx, s, by.person, errors.Join(err, f.Close(), os.Remove(out))) // half of it proves nothing
		}
		report, err := verifyFile(f, casefile.Options{})
		if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
			return err
		}
		return a.showReport(report, false)
	})
}

func (a *app) caseDeletionsCommand() *cobra.Command {
	out := ""
	c := &cobra.Command{
		Use: "deletions", Short: "List the cases whose keys were destroyed here, and the signed statements of it",
		Long: "Lists what was destroyed on this device when its date had come. --out writes the signed\n" +
			"statements, one behind the other, to a file for whoever asks what became of a case.",
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error { return a.deletions(c.Context(), out) },
	}
	c.Flags().StringVar(&out, "out", "", "write the signed statements to this file")
	return c
}

type deletionsDocument struct {
	Schema    string             `json:"schema"`
	Deletions []schakel.Deletion `json:"deletions"`
}

func (a *app) deletions(ctx context.Context, out string) error {
	return a.with(ctx, false, func(s *session) error {
		all, err := s.Deletions(ctx)
		if err != nil {
			return err
		}
		if out != "" {
			var file []byte
			for _, d := range all {
				file = append(file, d.Statement...)
			}
			if err := writeNew(out, file, 0o600); err != nil {
				return err
			}
		}
		if a.json {
			return a.writeJSON(deletionsDocument{"schakel.deletions/1", list(all)})
		}
		if len(all) == 0 {
			a.printf("nothing was destroyed here\n")
			return nil
		}
		rows := [][]cell{heads("CASE", "DESTROYED", "DUE", "MESSAGES", "CLOSED BY", "CLOSING")}
		for _, d := range all {
			rows = append(rows, []cell{{inertLine(d.Case), bold}, {a.when(d.At), plain}, {a.when(d.Due), plain}, {fmt.Sprint(d.Messages), plain},
				{inertLine(string(d.ClosedBy)), plain}, {short(d.Closing), plain}})
		}
		a.table(rows)
		return nil
	})
}

type reportDocument struct {
	Schema string          `json:"schema"`
	Report casefile.Report `json:"report"`
}

// showReport shows what a case file proves. Only whoever verifies is told by the exit
// code that something is missing: who exports cannot help it.
func (a *app) showReport(r casefile.Report, strict bool) error {
	if a.json {
		if err := a.writeJSON(reportDocument{"schakel.case-report/1", r}); err != nil {
			return err
		}
	} else {
		a.printReport(r)
	}
	switch {
	case !r.Sound:
		return advise(fmt.Errorf("%w: %d faults in this case file", errUnverified, len(r.Faults)), "do not rest on it; ask for the file again, from the desk that made it")
	case !r.Complete && strict:
		return fmt.Errorf("%w: the case file is genuine, and %s", errPartly, missing(len(r.Missing)+len(r.Unreadable), len(r.Absent)))
	case !r.PagesCompared && strict:
		return fmt.Errorf("%w: the case file is genuine, and its readable pages were not compared with it", errPartly)
	}
	return nil
}

// missing says how many messages and attachments a case file lacks.
func missing(messages, attachments int) string {
	var all []string
	for _, x := range []struct {
		n    int
		what string
	}{{messages, "message"}, {attachments, "attachment"}} {
		switch {
		case x.n == 1:
			all = append(all, "1 "+x.what)
		case x.n > 1:
			all = append(all, fmt.Sprintf("%d %ss", x.n, x.what))
		}
	}
	if messages+attachments == 1 {
		return all[0] + " is missing"
	}
	return strings.Join(all, " and ") + " are missing"
}

func (a *app) printReport(r casefile.Report) {
	for _, f := range r.Faults {
		a.printf("%s  %s: %s  %s\n", a.in(red, "FAULT"), inertLine(orDash(f.File)), inertLine(f.Text.EN), a.in(dim, inertLine(f.Detail)))
	}
	if r.Case == "" {
		return
	}
	a.table(append([][]cell{
		{{"case", dim}, {inertLine(r.Case), plain}},
		{{"made by", dim}, {inertLine(string(r.Desk) + " (" + r.Org + "), " + a.when(r.Made)), plain}},
		{{"signed by", dim}, {inertLine(signedBy(r.Device, r.Person)), plain}},
		{{"protocol", dim}, {inertLine(r.Protocol + ", agreement " + r.Agreement), plain}},
		{{"register", dim}, {fmt.Sprintf("%d entries, root %s", r.RegisterSize, r.RegisterRoot), plain}},
		{{"fingerprint", dim}, {orDash(r.Fingerprint), plain}},
	}, compared(r)))
	a.printf("\n")
	a.printMessages(r.Messages)
	a.printAttached(r.Messages)
	a.printDeliveries(r)
	for _, m := range r.Missing {
		a.printf("%s  message %s, hash %s\n", a.in(yellow, "MISSING"), m.Message.ID, m.Message.Hash)
	}
	for _, h := range r.Unreadable {
		a.printf("%s  hash %s: damaged where the file was made\n", a.in(yellow, "MISSING"), h)
	}
	for _, x := range r.Absent {
		a.printf("%s  attachment %s, %d bytes, SHA-256 %s\n", a.in(yellow, "MISSING"), inertLine(x.Name), x.Bytes, orDash(x.SHA256))
	}
	if r.LeftOut > 0 {
		a.printf("%s  %d proofs of delivery were too large for the file, or damaged where it was made\n", a.in(yellow, "LEFT OUT"), r.LeftOut)
	}
	if r.Sound && !r.PagesCompared {
		a.printf("%s  the readable pages were made by another version of this program: read what stands here, not them\n", a.in(yellow, "NOT COMPARED"))
	}
	switch {
	case r.Sound && r.Complete:
		a.printf("\n%s\n", a.in(green, "genuine, and complete as far as its messages tell"))
	case r.Sound:
		a.printf("\n%s\n", a.in(yellow, "genuine, and not complete"))
	default:
		a.printf("\n%s\n", a.in(red, "NOT GENUINE"))
	}
}

func (a *app) printMessages(all []casefile.Original) {
	rows := [][]cell{heads("MESSAGE", "CLASS", "CREATED", "AT THE LATEST", "DESK", "SIGNED BY", "RULES")}
	for _, m := range all {
		rows = append(rows, []cell{{short(m.Hash), bold}, {inertLine(m.Class), plain}, {a.when(m.Created), plain}, {a.latest(m.Fixed), plain}, {inertLine(string(m.Desk)), plain},
			{inertLine(signedBy(m.Device, m.Person)), plain}, rules(m)})
	}
	a.table(rows)
	a.printf("\n")
}

// printAttached lists what is in the archive of what was attached.
func (a *app) printAttached(all []casefile.Original) {
	rows := [][]cell{heads("MESSAGE", "ATTACHMENT", "TYPE", "BYTES", "FILE")}
	for _, m := range all {
		for _, x := range m.Attachments {
			rows = append(rows, []cell{{short(m.Hash), bold}, {inertLine(x.Name), plain}, {inertLine(x.MediaType), plain}, {fmt.Sprint(x.Bytes), plain}, {orDash(x.File), plain}})
		}
	}
	if len(rows) > 1 {
		a.table(rows)
		a.printf("\n")
	}
}

// latest says by when a message was there: a day where witnesses signed one, else a size
// of the register, whose growth others can date.
func (a *app) latest(f *casefile.Fixed) string {
	switch {
	case f == nil:
		return "not proved"
	case f.At.IsZero():
		return fmt.Sprintf("register of %d", f.Size)
	}
	return a.when(f.At)
}

// printDeliveries says of each message and desk what is proved, when, and by whose
// signature. Times are by the clock of who signed. The relay signed that it held an
// envelope; that this message was in it is the word of the desk that made the file.
func (a *app) printDeliveries(r casefile.Report) {
	rows := [][]cell{heads("MESSAGE", "TO DESK", "WAS", "WHEN", "SIGNED BY")}
	for _, m := range r.Messages {
		for _, d := range m.Deliveries {
			first := []cell{{short(m.Hash), bold}, {inertLine(string(d.Desk)), plain}}
			for _, step := range []struct {
				what, who string
				p         *casefile.Proof
			}{{"at the relay, says " + string(r.Desk), "relay", d.AtRelay}, {"delivered", "device", d.Delivered}, {"opened", "device", d.Opened},
				{"acknowledged", "person", d.Acknowledged}, {"rejected " + d.Rule, "device", d.Rejected}} {
				if step.p != nil {
					rows = append(rows, append(first, cell{inertLine(step.what), plain}, cell{a.when(step.p.At), plain}, cell{inertLine(oneSigner(step.who, step.p.By)), plain}))
					first = []cell{{"", plain}, {"", plain}}
				}
			}
			if !d.Proven() {
				rows = append(rows, append(first, cell{"delivery not proved by this file", yellow}, cell{"", plain}, cell{"", plain}))
			}
		}
	}
	a.table(rows)
}

func compared(r casefile.Report) []cell {
	if r.Compared {
		return []cell{{"", plain}, {"is the one that you gave", green}}
	}
	return []cell{{"", plain}, {"NOT COMPARED: ask the root holders by telephone, and give it with --genesis", yellow}}
}

func signedBy(device casefile.Signer, person *casefile.Signer) string {
	if person == nil {
		return oneSigner("device", device)
	}
	return oneSigner("device", device) + " and " + oneSigner("person", *person)
}

// oneSigner names one who signed, and how it stands in the register.
func oneSigner(what string, s casefile.Signer) string {
	said := what + " " + s.ID + " (" + string(s.Standing)
	if s.Revoked != 0 {
		said += fmt.Sprintf(", entry %d", s.Revoked)
	}
	return said + ")"
}

func rules(m casefile.Original) cell {
	switch {
	case m.Unsaid:
		return cell{"said to nobody: every desk rejected it, it counts nowhere", red}
	case m.ClaimedUnsaid:
		return cell{"rejected by every desk, says only the maker: it counts", yellow}
	}
	if !m.Judged {
		return cell{"not judged, written under " + inertLine(m.Protocol), yellow}
	}
	if len(m.Findings) == 0 {
		return cell{"kept", green}
	}
	var broken []string
	for _, f := range m.Findings {
		broken = append(broken, inertLine(f.Rule+" "+string(f.Certainty)))
	}
	return cell{strings.Join(broken, ", "), yellow}
}
