package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"schakel/clients/demo"
	"schakel/clients/schakel"
	"schakel/configs"
	"schakel/crypto/envelope"
)

type demoFlags struct {
	auto, headless, jsonLines bool
	web                       bool
	relay, store              string
}

func (a *app) demoCommand() *cobra.Command {
	var f demoFlags
	c := &cobra.Command{
		Use: "demo", Short: "Walk a fictional case through a chain on this machine",
		Long: "Starts one relay and eight desks, each a process of its own with its own keys in a temporary\n" +
			"folder, and walks a fictional case through them: one step per Enter. Every step is checked, and\n" +
			"a step that goes another way ends the demonstration with exit code 1. Afterwards nothing runs\n" +
			"and nothing is left behind, also after Ctrl-C.",
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error { return a.demo(c.Context(), f) },
	}
	c.Flags().BoolVar(&f.auto, "auto", false, "do not wait for Enter")
	c.Flags().BoolVar(&f.headless, "headless", false, "no terminal: no Enter, no colours")
	c.Flags().BoolVar(&f.jsonLines, "json-lines", false, "one JSON document per line, for machines")
	c.Flags().BoolVar(&f.web, "desks", false, "desks open their web desk too; prints a link to each")
	c.Flags().StringVar(&f.store, "store", storeBolt, storeHelp)
	c.Flags().StringVar(&f.relay, "relay-program", "", "path of schakel-relay (default beside this program)")
	c.AddCommand(a.demoPeekCommand())
	return c
}

func (a *app) demo(ctx context.Context, f demoFlags) (err error) {
	s, err := demo.Parse(configs.Scenario)
	if err != nil {
		return err
	}
	if err := knownStore(f.store); err != nil {
		return err
	}
	cfg := demo.LocalConfig{Scenario: s, Redis: f.store == storeRedis, Web: f.web}
	if cfg.Program, cfg.Relay, err = programs(f.relay); err != nil {
		return err
	}
	t := a.newTeller(f)
	defer t.close()
	t.begin(s)
	world, err := demo.Start(ctx, cfg)
	if world != nil {
		defer func() { err = errors.Join(err, a.clear(world, t)) }()
	}
	if err != nil {
		return adviseOnRedis(err)
	}
	t.ready(world, s)
	if err := t.links(ctx, world, s, f.web); err != nil {
		return err
	}
	if err := (&demo.Player{Scenario: s, World: world, Teller: t}).Play(ctx); err != nil {
		return err
	}
	seen, err := world.Seen()
	if err != nil {
		return err
	}
	return t.end(ctx, world, s, seen)
}

// clear ends the world, whether or not the story was told to its end.
func (a *app) clear(world *demo.Local, t *teller) error {
	err := world.Close()
	if _, gone := os.Lstat(world.Dir()); err == nil && !errors.Is(gone, os.ErrNotExist) {
		err = fmt.Errorf("%s is still there", world.Dir())
	}
	if err == nil {
		t.cleared()
	}
	return err
}

// programs finds this program and the relay's, which lies beside it.
func programs(relay string) (own, found string, err error) {
	own, err = os.Executable()
	if err != nil {
		return "", "", fmt.Errorf("failed to find this program: %w", err)
	}
	if relay == "" {
		relay = filepath.Join(filepath.Dir(own), "schakel-relay")
		if _, err := os.Stat(relay); err != nil {
			relay = "schakel-relay"
		}
	}
	if found, err = exec.LookPath(relay); err != nil {
		return "", "", advise(fmt.Errorf("failed to find the relay's program: %w", err), "build it beside this one (`make build`), or name it with --relay-program")
	}
	found, err = filepath.Abs(found)
	return own, found, err
}

func (a *app) demoPeekCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use: "peek", Short: "Show what the relay of the running demonstration saw",
		Long: "Shows all that the relay saw of each envelope: for which desk, how urgent, how large. It cannot\n" +
			"see more, because it holds no key and does not contain the code to use one.",
		Args: arguments(),
		RunE: func(*cobra.Command, []string) error { return a.peek(dir) },
	}
	c.Flags().StringVar(&dir, "dir", "", "folder of the demonstration (default the newest that runs)")
	return c
}

type peekDocument struct {
	Schema    string         `json:"schema"`
	Envelopes []schakel.Seen `json:"envelopes"`
}

func (a *app) peek(dir string) (err error) {
	if dir == "" {
		if dir, err = demo.Newest(); err != nil {
			return advise(err, "start one with `schakel demo` in another terminal")
		}
	}
	seen, err := demo.ReadSeen(dir)
	if err != nil {
		return err
	}
	if a.json {
		return a.writeJSON(peekDocument{"schakel.peek/1", list(seen)})
	}
	a.showSeen(seen)
	return nil
}

// showSeen shows the envelopes with a tier one by one, and counts the others:
// statements, receipts and acknowledgements, for which nothing pages.
func (a *app) showSeen(seen []schakel.Seen) {
	rows := [][]cell{heads("ENVELOPE", "FOR DESK", "ATTENTION", "BYTES", "CONTENT")}
	silent := 0
	for _, s := range seen {
		if s.Tier == envelope.TierNone {
			silent++
			continue
		}
		rows = append(rows, []cell{{s.Envelope.String(), dim}, {inertLine(string(s.Desk)), plain}, {tierName(s.Tier), plain},
			{strconv.Itoa(s.Size), plain}, {"sealed", dim}})
	}
	a.table(rows)
	a.printf("and %d envelopes that ask for no attention (acknowledgements, receipts), as sealed as these\n", silent)
}

func tierName(t envelope.Tier) string {
	names := []string{"none", "routine", "urgent", "acute"}
	if int(t) >= len(names) {
		return strconv.Itoa(int(t))
	}
	return names[t]
}

// classesTold counts the classes that a scenario sends.
func classesTold(s demo.Scenario) int {
	var classes []string
	for _, st := range s.Steps {
		if st.Do == demo.ActSend || st.Do == demo.ActAck {
			classes = append(classes, st.Class)
		}
	}
	slices.Sort(classes)
	return len(slices.Compact(classes))
}
