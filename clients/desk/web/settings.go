package web

import (
	"context"
	"runtime"

	"schakel/clients/harmless"
	"schakel/clients/schakel"
	"schakel/crypto/message"
)

func settingsRoutes() []Route {
	return []Route{{Method: "GET", Path: "/settings", Operation: "Status", Who: Users, serve: (*Site).settings}}
}

// Setting is one setting of the daemon, with where its value came from. No secret is one:
// those are files.
type Setting struct{ Key, Value, Origin string }

// About is what the daemon tells of itself.
type About struct {
	Version  string
	Settings []Setting
	Store    int64 // bytes on disk
}

// tuning is how this desk is set up, to look at. Its texts are harmless.
type tuning struct {
	About
	Go, Protocol string
	Status       schakel.Status
	Size         string
	Styles       []string        // names of the styles in use, the last one counts
	Keeper       bool            // sees the settings of the daemon
	Safety       *schakel.Safety // nil: for others
}

func (s *Site) settings(v *visit) (answer, error) {
	st, err := v.node.Status(v.Context())
	if err != nil {
		return answer{}, err
	}
	out := tuning{Go: runtime.Version(), Protocol: message.Protocol, Status: st, Keeper: v.may("SetRota"), Styles: s.styles()}
	if v.may("Safety") && !st.Light { // a light device keeps nothing that the office does not have
		safety, err := v.node.Safety(v.Context())
		if err != nil {
			return answer{}, err
		}
		out.Safety = &safety
	}
	if s.About != nil {
		if out.About, err = s.About(v.Context()); err != nil {
			return answer{}, err
		}
	}
	for i, x := range out.Settings {
		out.Settings[i] = Setting{harmless.Line(x.Key), harmless.Line(x.Value), harmless.Line(x.Origin)}
	}
	if !out.Keeper {
		out.Settings = nil // whoever looks after the machine; others have no use for paths
	}
	out.Size = v.lang.word("settings.megabytes", (out.Store+1<<20-1)>>20)
	return answer{page: "settings", title: "title.settings", shows: out}, nil
}

// AboutFunc tells what the daemon knows of itself at the moment.
type AboutFunc func(context.Context) (About, error)
