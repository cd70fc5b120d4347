package cli

import (
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"schakel/clients/protocol"
	"schakel/crypto/message"
	"schakel/crypto/trust"
)

// maxAgreementFile is one byte more than the largest agreement.
const maxAgreementFile = 4<<20 + 1

func (a *app) agreementCommand() *cobra.Command {
	return noun("agreement", "The agreement of the partners: catalogue, lanes, holidays, deadlines",
		a.agreementShowCommand(), a.agreementMakeCommand(), a.agreementCheckCommand())
}

// readAgreement reads an agreement file; without a path it is the protocol of this program.
func readAgreement(path string) (*protocol.Catalogue, error) {
	if path == "" {
		return protocol.V1(), nil
	}
	raw, err := readFile(path, maxAgreementFile)
	if err != nil {
		return nil, err
	}
	c, err := protocol.ParseAgreement(raw)
	return c, advise(err, "get the file anew from the root holders; `sha256sum` gives what the root entry names")
}

// agreement is what this device is configured to work by; nil is the protocol itself.
func (a *app) agreement() (*protocol.Catalogue, error) {
	path := a.settings.get("agreement")
	if path == "" {
		return nil, nil
	}
	return readAgreement(path)
}

// also is the next version of the protocol, where this device is configured to speak it.
func (a *app) also() ([]*protocol.Catalogue, error) {
	path := a.settings.get("agreement-next")
	if path == "" {
		return nil, nil
	}
	c, err := readAgreement(path)
	if err != nil {
		return nil, err
	}
	return []*protocol.Catalogue{c}, nil
}

func (a *app) agreementShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show [FILE]", Short: "Show an agreement and its SHA-256",
		Long: "Show the agreement in FILE, or that of the protocol of this program: its SHA-256, as a root\n" +
			"entry names it, its classes and its deadlines.",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return arguments("[FILE]")(c, args)
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			path := ""
			if len(args) == 1 {
				path = args[0]
			}
			return a.agreementShow(path)
		},
	}
}

type agreementDocument struct {
	Schema   string          `json:"schema"`
	Digest   string          `json:"sha256"`
	Protocol string          `json:"protocol"`
	Classes  []agreedClass   `json:"classes"`
	Terms    []agreedUrgency `json:"deadlines"`
}

type agreedClass struct {
	Name  string `json:"class"`
	Added bool   `json:"added"` // by the partners, beside the protocol
}

type agreedUrgency struct {
	Urgency      string `json:"urgency"`
	Delivered    string `json:"delivered"`
	Acknowledged string `json:"acknowledged"`
	Answered     string `json:"answered"`
}

func (a *app) agreementShow(path string) error {
	c, err := readAgreement(path)
	if err != nil {
		return err
	}
	digest := c.Digest()
	d := agreementDocument{Schema: "schakel.agreement/1", Digest: hex.EncodeToString(digest[:]), Protocol: c.Protocol()}
	for _, class := range c.Classes() {
		_, known := protocol.V1().Class(class.Name)
		d.Classes = append(d.Classes, agreedClass{class.Name, !known})
	}
	for _, name := range urgencyNames() {
		if t, ok := c.Terms(message.Urgency(name)); ok {
			d.Terms = append(d.Terms, agreedUrgency{name, t.Delivered.String(), t.Acknowledged.String(), t.Answered.String()})
		}
	}
	if a.json {
		return a.writeJSON(d)
	}
	a.printf("sha256:%s\n%s, %d classes\n\n", d.Digest, d.Protocol, len(d.Classes))
	rows := [][]cell{heads("URGENCY", "DELIVERED", "ACKNOWLEDGED", "ANSWERED")}
	for _, t := range d.Terms {
		rows = append(rows, []cell{{t.Urgency, bold}, {t.Delivered, plain}, {t.Acknowledged, plain}, {t.Answered, plain}})
	}
	a.table(rows)
	for _, class := range d.Classes {
		if class.Added {
			a.printf("\nadded by the partners: %s\n", inertLine(class.Name))
		}
	}
	return nil
}

func (a *app) agreementMakeCommand() *cobra.Command {
	var addition string
	c := &cobra.Command{
		Use: "make FILE", Short: "Write the agreement file of the chain",
		Long: "Write the protocol of this program, with what the partners added to it, as one file: give it to\n" +
			"every partner, and its SHA-256 to the root holders. An addition that weakens a rule is refused\n" +
			"with the place and the reason (exit code 5).",
		Example: "  schakel agreement make --addition agreement.toml agreement.txt",
		Args:    arguments("FILE"),
		RunE:    func(_ *cobra.Command, args []string) error { return a.agreementMake(addition, args[0]) },
	}
	c.Flags().StringVar(&addition, "addition", "", "what the partners agreed on beside the protocol, in TOML")
	return c
}

func (a *app) agreementMake(addition, out string) error {
	c := protocol.V1()
	if addition != "" {
		raw, err := readFile(addition, maxAgreementFile)
		if err != nil {
			return err
		}
		if c, err = c.Amend(raw); err != nil {
			if errors.Is(err, protocol.ErrWeakens) {
				err = advise(err, "an addition may add and shorten; take this line out, or make it stricter")
			}
			return err
		}
	}
	if err := writeNew(out, c.Agreement(), 0o644); err != nil {
		return err
	}
	digest := c.Digest()
	a.printf("sha256:%x\n", digest[:])
	return nil
}

func (a *app) agreementCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check FILE REGISTER", Short: "Check that the register names this agreement",
		Long: "Compare the SHA-256 of an agreement file with what the newest root entry of REGISTER names:\n" +
			"a genesis, a register or an invitation. Exit code 8 when it names another.",
		Args: arguments("FILE", "REGISTER"),
		RunE: func(_ *cobra.Command, args []string) error { return a.agreementCheck(args[0], args[1]) },
	}
}

func (a *app) agreementCheck(path, register string) error {
	c, err := readAgreement(path)
	if err != nil {
		return err
	}
	entries, _, err := entriesOf(register)
	if err != nil {
		return err
	}
	reg, err := trust.Replay(entries, trust.GenesisFingerprint(entries[0]))
	if err != nil {
		return fmt.Errorf("%w: %w", errUnverified, err)
	}
	named, have := reg.Authority().Agreement, c.Digest()
	if named != have {
		return advise(fmt.Errorf("%w: the file is sha256:%x and the register names sha256:%x", errUnverified, have[:], named[:]),
			"use the agreement that the root holders published; if it is new, they must sign a new root entry first")
	}
	a.printf("the register names this agreement: sha256:%x\n", have[:])
	return nil
}
