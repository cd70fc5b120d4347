package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"schakel/clients/schakel"
	"schakel/crypto/evidence"
	"schakel/crypto/trust"
)

func (a *app) registerEvidenceCommand() *cobra.Command {
	return noun("evidence", "What alarms about the register and about forgery rest on", a.evidenceListCommand(), a.evidenceShowCommand(),
		a.evidenceExportCommand(), a.evidenceVerifyCommand())
}

func (a *app) evidenceListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the evidence that this device keeps, oldest first",
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return a.evidenceList(c.Context()) },
	}
}

type evidenceDocument struct {
	Schema   string             `json:"schema"`
	Evidence []schakel.Evidence `json:"evidence"`
}

func (a *app) evidenceList(ctx context.Context) error {
	return a.with(ctx, false, func(s *session) error {
		all, err := s.Evidence(ctx)
		if err != nil {
			return err
		}
		if a.json {
			return a.writeJSON(evidenceDocument{"schakel.evidence/1", list(all)})
		}
		if len(all) == 0 {
			a.printf("no evidence\n")
		}
		for _, e := range all {
			a.printf("%s  %s  %s  %s\n", inertLine(e.ID[:min(16, len(e.ID))]), a.when(e.Raised), inertLine(e.Kind), inertLine(e.About))
		}
		return nil
	})
}

func (a *app) evidenceShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Say in plain words what one piece of evidence proves, and against whom",
		Args: arguments("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.with(c.Context(), false, func(s *session) error {
				raw, err := s.EvidenceFile(c.Context(), args[0])
				if err != nil {
					return err
				}
				entries, err := s.RegisterEntries(c.Context())
				if err != nil || len(entries) == 0 {
					return err
				}
				return a.showFinding(raw, trust.GenesisFingerprint(entries[0]))
			})
		},
	}
}

func (a *app) evidenceExportCommand() *cobra.Command {
	out := ""
	c := &cobra.Command{
		Use: "export ID", Short: "Write one piece of evidence to a file that anybody can verify",
		Long: "Writes a file with what was signed, and the entries of the register that say whose the keys are.\n" +
			"`schakel register evidence verify` takes it on any machine. The file of deliveries or messages holds\n" +
			"what was said in a case: handle it like one.",
		Example: `  schakel register evidence export 0300a1b2c3d4e5f6 --out bewijs.bin`,
		Args:    arguments("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			if out == "" {
				return usage(errors.New("--out is missing"))
			}
			return a.with(c.Context(), false, func(s *session) error {
				raw, err := s.EvidenceFile(c.Context(), args[0])
				if err != nil {
					return err
				}
				if err := writeNew(out, raw, 0o600); err != nil {
					return err
				}
				a.sayf("written: %d bytes", len(raw))
				return nil
			})
		},
	}
	c.Flags().StringVar(&out, "out", "", "where the file goes")
	return c
}

func (a *app) evidenceVerifyCommand() *cobra.Command {
	genesis := ""
	c := &cobra.Command{
		Use: "verify FILE", Short: "Verify a file of evidence, without network and without a store",
		Long: "Says what a file of evidence proves, and against whom. It needs nothing but the fingerprint of the\n" +
			"register, which the root holders tell by telephone: do not take it from whoever gave you the file.\n\n" +
			"Exit code 0: the signatures are what the file says. 8: they are not.",
		Example: "  schakel register evidence verify bewijs.bin --genesis \"12345 67890 12345 67890 12345 67890 12345 67890\"",
		Args:    arguments("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			if genesis == "" {
				return advise(usage(errors.New("--genesis is missing")), "ask the root holders for the fingerprint of the register, by telephone")
			}
			raw, err := readFile(args[0], evidence.MaxFile)
			if err != nil {
				return err
			}
			return a.showFinding(raw, genesis)
		},
	}
	c.Flags().StringVar(&genesis, "genesis", "", "fingerprint of the register, as it was told by telephone")
	return c
}

type findingDocument struct {
	Schema  string          `json:"schema"`
	Kind    string          `json:"kind"`
	Proven  bool            `json:"proven"`
	Against []trust.Subject `json:"against"`
	Facts   []factDocument  `json:"facts"`
	Says    string          `json:"says"`
}

type factDocument struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func (a *app) showFinding(raw []byte, genesis string) error {
	f, err := evidence.Parse(raw)
	if err != nil {
		return advise(fmt.Errorf("%w: %w", errUnverified, err), "ask for the file again")
	}
	found, err := f.Verify(genesis)
	if err != nil {
		return advise(fmt.Errorf("%w: %w", errUnverified, err), "do not rest on it; compare the fingerprint of the register with the root holders")
	}
	doc := findingDocument{"schakel.finding/1", found.Kind.String(), found.Proven, found.Against, []factDocument{}, says(found)}
	for _, x := range found.Facts {
		doc.Facts = append(doc.Facts, factDocument(x))
	}
	if a.json {
		return a.writeJSON(doc)
	}
	rows := [][]cell{{{"kind", dim}, {doc.Kind, bold}}, {{"raised", dim}, {a.when(time.Unix(int64(f.Raised), 0)) + ", by the clock of who made the file", plain}}}
	for _, x := range found.Facts {
		rows = append(rows, []cell{{x.Name, dim}, {inertLine(x.Value), plain}})
	}
	for _, s := range found.Against {
		rows = append(rows, []cell{{"signed by", dim}, {inertLine(string(s)), plain}})
	}
	a.table(rows)
	verdict := a.in(green, "proven")
	if !found.Proven {
		verdict = a.in(yellow, "not proven by this file")
	}
	a.printf("\n%s: %s\n", verdict, inertLine(doc.Says))
	return nil
}

// says is what a finding means, and what is left to find out.
func says(f evidence.Finding) string {
	fact := func(name string) string {
		for _, x := range f.Facts {
			if x.Name == name {
				return x.Value
			}
		}
		return "?"
	}
	whom := make([]string, len(f.Against))
	for i, s := range f.Against {
		whom[i] = string(s)
	}
	signers := strings.Join(whom, " and ")
	switch {
	case f.Kind == evidence.KindFork && f.Proven:
		return fmt.Sprintf("the log of %s signed two registers that differ at size %s. Only who holds the log's key can do that.", signers, fact("differ-at"))
	case f.Kind == evidence.KindFork:
		return fmt.Sprintf("the log of %s signed registers of %s and of %s entries. Nothing here shows whether the one continues the other: ask the operator of the relay for the proof.",
			signers, fact("size"), fact("other-size"))
	case f.Kind == evidence.KindView && f.Proven:
		return fmt.Sprintf("a device of %s signed that the register was another at size %s than the log signed. Either the relay showed it another register, or it lies; "+
			"the checkpoint that this desk holds tells which.", fact("desk"), fact("differ-at"))
	case f.Kind == evidence.KindView:
		return fmt.Sprintf("a device of %s signed that the register has %s entries, where the log had shown %s. Compare with a checkpoint of that size from somebody else.",
			fact("desk"), fact("other-size"), fact("size"))
	case f.Kind == evidence.KindCounter:
		return fmt.Sprintf("a device of %s signed two deliveries to %s under counter %s. An honest device never does: it was put back to an older state, or somebody else has its key.",
			fact("desk"), fact("to"), fact("counter"))
	case f.Kind == evidence.KindIdentifier:
		return fmt.Sprintf("%s signed two different messages under one identifier.", fact("desk"))
	case f.Proven:
		return fmt.Sprintf("the log of %s took in entry %s, which nobody was entitled to make. Who operates the relay let it in; who made it this does not show.", signers, fact("entry"))
	}
	return fmt.Sprintf("entry %s of the log is of a kind that this program does not know. A newer one may.", fact("entry"))
}
