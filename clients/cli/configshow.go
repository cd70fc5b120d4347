package cli

import "github.com/spf13/cobra"

func (a *app) configCommand() *cobra.Command {
	return noun("config", "The settings of this program", a.configShowCommand())
}

type configDocument struct {
	Schema   string    `json:"schema"`
	Settings []setting `json:"settings"`
}

func (a *app) configShowCommand() *cobra.Command {
	var origin bool
	c := &cobra.Command{
		Use: "show", Short: "Show every setting that is in force",
		Long: "Settings come from, in this order: a flag, an environment variable SCHAKEL_..., the\n" +
			"configuration file, the default. An unknown key is an error.",
		Args: arguments(),
		RunE: func(*cobra.Command, []string) error { return a.showConfig(origin) },
	}
	c.Flags().BoolVar(&origin, "origin", false, "show where each value came from")
	return c
}

func (a *app) showConfig(origin bool) error {
	document := configDocument{Schema: "schakel.config/1"}
	var rows [][]cell
	for _, k := range keys() {
		s := a.settings[k.name]
		document.Settings = append(document.Settings, s)
		row := []cell{{s.Key, bold}, {orDash(inertLine(s.Value)), plain}}
		if origin {
			row = append(row, cell{"from " + inertLine(s.Origin), dim})
		}
		rows = append(rows, row)
	}
	if a.json {
		return a.writeJSON(document)
	}
	a.table(rows)
	return nil
}
