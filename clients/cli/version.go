package cli

import (
	"runtime"

	"github.com/spf13/cobra"

	"schakel/crypto/message"
)

type versionDocument struct {
	Schema   string `json:"schema"`
	Version  string `json:"version"`
	Protocol string `json:"protocol"`
	Go       string `json:"go"`
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show the version of this program and of the protocol",
		Args: arguments(),
		RunE: func(*cobra.Command, []string) error {
			d := versionDocument{"schakel.version/1", version(), message.Protocol, runtime.Version()}
			if a.json {
				return a.writeJSON(d)
			}
			a.printf("schakel %s\nprotocol %s\n%s\n", d.Version, d.Protocol, d.Go)
			return nil
		},
	}
}
