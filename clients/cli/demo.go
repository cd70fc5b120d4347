package cli

import "github.com/spf13/cobra"

func (a *app) demoCommand() *cobra.Command {
	return &cobra.Command{Use: "demo", Short: "Walk a fictional case through a chain on this machine", Args: arguments(),
		RunE: func(*cobra.Command, []string) error { return nil }}
}
