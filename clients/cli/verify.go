package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"schakel/clients/casefile"
	"schakel/crypto/identity"
)

func (a *app) verifyCommand() *cobra.Command {
	var o casefile.Options
	register := ""
	c := &cobra.Command{
		Use: "verify FILE", Short: "Verify what left Schakel as a file, without network and without a store",
		Long: "Says of the file of a case whether it is what was signed, by whom, under which rules, what proves\n" +
			"delivery, and which messages are missing. It needs no device, no network and no account.\n\n" +
			"It also takes what is one signed file by itself: a message or a statement out of the file of a\n" +
			"case, and the statements of `schakel case deletions --out`. Those carry no register: give one with\n" +
			"--register, the file of any case or the entries that root holders keep.\n\n" +
			"Compare the register's fingerprint with the root holders by telephone, and give it with\n" +
			"--genesis. Without it nothing shows that the register itself was not made up.\n\n" +
			"Exit code 0: genuine and complete. 3: genuine, and messages are missing, or the pages are of another\n" +
			"version and were not compared. 8: not genuine.",
		Example: "  schakel verify dossier.zip --genesis \"12345 67890 12345 67890 12345 67890 12345 67890\"\n" +
			"  schakel verify vernietigd.txt --register dossier.zip",
		Args: arguments("FILE"),
		RunE: func(_ *cobra.Command, args []string) error { return a.verify(args[0], register, o) },
	}
	c.Flags().StringVar(&o.Genesis, "genesis", "", "fingerprint of the register, as it was told by telephone")
	c.Flags().StringVar(&register, "register", "", "the file of a case, or register entries, to verify a single signed file by")
	return c
}

func (a *app) verify(path, register string, o casefile.Options) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("failed to open: %w", err)
	}
	defer f.Close()
	if casefile.IsArchive(f) {
		report, err := verifyFile(f, o)
		if err != nil {
			return err
		}
		return a.showReport(report, true)
	}
	raw, err := readFile(path, casefile.MaxArchive)
	if err != nil {
		return err
	}
	deletions, single := casefile.IsDeletions(raw), casefile.IsSingle(raw)
	if strings.HasPrefix(string(raw), "age-encryption.org/") {
		return advise(usage(errors.New("this file is sealed")), "only a device of the desk that it is for can open it; verify what came out of it")
	}
	if !deletions && !single {
		return a.showReport(casefile.Verify(raw, o), true)
	}
	if register == "" {
		return advise(usage(errors.New("--register is missing: this file carries no register to verify it by")),
			"give the file of a case, or the entries that root holders keep")
	}
	source, err := a.readSource(register, o)
	if err != nil {
		return err
	}
	if deletions {
		return a.verifyDeletions(raw, source)
	}
	s, err := casefile.VerifySingle(raw, source)
	if err != nil {
		return unverified(err)
	}
	return a.showSingle(s, source)
}

// verifyFile verifies the file of a case where it lies: it need not fit into memory.
func verifyFile(f *os.File, o casefile.Options) (casefile.Report, error) {
	size, err := sizeOf(f)
	if err != nil {
		return casefile.Report{}, err
	}
	return casefile.VerifyFrom(f, size, o), nil
}

func sizeOf(f *os.File) (int64, error) {
	is, err := f.Stat()
	if err != nil {
		return 0, fmt.Errorf("failed to read: %w", err)
	}
	return is.Size(), nil
}

func (a *app) readSource(path string, o casefile.Options) (casefile.Source, error) {
	f, err := os.Open(path)
	if err != nil {
		return casefile.Source{}, fmt.Errorf("failed to open: %w", err)
	}
	defer f.Close()
	size, err := sizeOf(f)
	if err != nil {
		return casefile.Source{}, err
	}
	s, err := casefile.ReadSourceFrom(f, size, o)
	if err != nil {
		return s, fmt.Errorf("%w: %w", errUnverified, err)
	}
	return s, nil
}

func unverified(err error) error {
	return advise(fmt.Errorf("%w: %w", errUnverified, err), "do not rest on it; a newer register may hold who signed it")
}

// sourceRows say by which register something was verified.
func (a *app) sourceRows(s casefile.Source) [][]cell {
	logged := cell{"not shown: this register comes without the signature of its log", yellow}
	if s.Logged {
		logged = cell{"signed over exactly these entries", plain}
	}
	rows := [][]cell{{{"register", dim}, {fmt.Sprintf("%d entries", s.Register.Size()), plain}}, {{"log", dim}, logged},
		{{"fingerprint", dim}, {orDash(s.Fingerprint), plain}}}
	return append(rows, compared(casefile.Report{Compared: s.Compared}))
}

type singleDocument struct {
	Schema   string          `json:"schema"`
	Register registerUsed    `json:"register"`
	Single   casefile.Single `json:"single"`
}

type registerUsed struct {
	Size        uint64 `json:"size"`
	Fingerprint string `json:"fingerprint"`
	Compared    bool   `json:"compared"`
	Logged      bool   `json:"logged"`
}

func used(s casefile.Source) registerUsed {
	return registerUsed{s.Register.Size(), s.Fingerprint, s.Compared, s.Logged}
}

// showSingle shows who signed one file, and what can be said of when: no more than that
// the keys were there. The time is the word of the device that signed.
func (a *app) showSingle(s casefile.Single, source casefile.Source) error {
	if a.json {
		return a.writeJSON(singleDocument{"schakel.single/1", used(source), s})
	}
	rows := [][]cell{{{"is", dim}, {map[casefile.Kind]string{casefile.KindMessage: "a message", casefile.KindStatement: "a statement of delivery"}[s.Kind], bold}}}
	if s.Kind == casefile.KindMessage {
		rows = append(rows, []cell{{"message", dim}, {inertLine(s.Class + ", " + string(s.Urgency) + ", " + s.ID), plain}}, []cell{{"hash", dim}, {s.Hash, plain}},
			[]cell{{"case", dim}, {inertLine(s.Case), plain}})
	}
	rows = append(rows, []cell{{"said by", dim}, {inertLine(string(s.Desk) + " (" + s.Org + ")"), plain}}, []cell{{"to", dim}, {inertLine(deskNames(s.To)), plain}},
		[]cell{{"signed by", dim}, {inertLine(signedBy(s.Device, s.Person)), plain}},
		[]cell{{"when", dim}, {a.when(s.Claimed) + ", by the clock of that device", plain}},
		[]cell{{"earliest", dim}, {fmt.Sprintf("%s, when these keys became valid (register entry %d)", a.when(s.NotBefore), s.Entry), plain}},
		a.latestRow(s.Fixed))
	if s.Sealed != nil {
		seen := fmt.Sprintf("%s by %s, which had seen a register of %d entries", a.when(s.Sealed.At), oneSigner("device", s.Sealed.By), s.Sealed.Register)
		if !s.Sealed.Known {
			seen += ", NOT a beginning of this one"
		}
		rows = append(rows, []cell{{"sealed", dim}, {inertLine(seen), plain}})
	}
	a.table(append(rows, a.sourceRows(source)...))
	for _, x := range s.States {
		a.printf("message %s: received %s, opened %s, rejected %s\n", x.Message, a.when(x.Received), a.when(x.Opened), a.when(x.Rejected)+inertLine(" "+x.Rule))
	}
	a.printf("\n%s\n", a.in(green, "genuine"))
	return nil
}

// latestRow says by when a message was there, as far as an anchor beside the register shows.
func (a *app) latestRow(f *casefile.Fixed) []cell {
	if f == nil {
		return []cell{{"latest", dim}, {"nothing in this file shows it; the file of the case has what others signed later", yellow}}
	}
	at := fmt.Sprintf("before the register had more than %d entries (anchor in entry %d, by %s)", f.Size, f.Entry, oneSigner("device", f.By))
	if !f.At.IsZero() {
		at = a.when(f.At) + ", by the witnesses of the register; " + at
	}
	return []cell{{"latest", dim}, {inertLine(at), plain}}
}

type destroyedDocument struct {
	Schema    string       `json:"schema"`
	Register  registerUsed `json:"register"`
	Deletions []destroyed  `json:"deletions"`
}

type destroyed struct {
	Case     string          `json:"case"`
	Desk     identity.DeskID `json:"desk"`
	Device   casefile.Signer `json:"device"`
	At       time.Time       `json:"at"`
	Due      time.Time       `json:"due"`
	Closing  string          `json:"closing"`
	ClosedBy identity.DeskID `json:"closedBy"`
	Messages []string        `json:"messages"`
}

// verifyDeletions says who destroyed what, and when, of each statement in a file.
func (a *app) verifyDeletions(raw []byte, source casefile.Source) error {
	doc := destroyedDocument{"schakel.destroyed/1", used(source), []destroyed{}}
	for i, one := range casefile.Deletions(raw) {
		d, err := casefile.VerifyDeletion(one, source.Register)
		if err != nil {
			return unverified(fmt.Errorf("statement %d: %w", i+1, err))
		}
		x := destroyed{d.Case.String(), d.Desk, source.Device(d.Device, d.At), d.At, d.Due, d.Closing.String(), d.ClosedBy, []string{}}
		for _, h := range d.Messages {
			x.Messages = append(x.Messages, h.String())
		}
		doc.Deletions = append(doc.Deletions, x)
	}
	if a.json {
		return a.writeJSON(doc)
	}
	for _, d := range doc.Deletions {
		a.table([][]cell{{{"destroyed", dim}, {"case " + d.Case, bold}}, {{"by", dim}, {inertLine(string(d.Desk) + ", " + oneSigner("device", d.Device)), plain}},
			{{"when", dim}, {a.when(d.At) + ", by the clock of that device and of the relay", plain}}, {{"due", dim}, {a.when(d.Due), plain}},
			{{"closed by", dim}, {inertLine(string(d.ClosedBy)) + ", in message " + d.Closing, plain}}})
		for _, h := range d.Messages {
			a.printf("  message %s\n", h)
		}
		a.printf("\n")
	}
	a.table(a.sourceRows(source))
	a.printf("\n%s\n", a.in(green, fmt.Sprintf("genuine: %d statements", len(doc.Deletions))))
	return nil
}
