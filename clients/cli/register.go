package cli

import "github.com/spf13/cobra"

func (a *app) registerCommand() *cobra.Command {
	return noun("register", "The ceremony of the root holders")
}
