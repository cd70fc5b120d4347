package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"schakel/clients/desk"
	"schakel/clients/desk/sheets"
	"schakel/clients/desk/signin"
	"schakel/clients/desk/web"
	"schakel/clients/schakel"
	"schakel/clients/store"
)

// webOff is the value of the setting web that opens no web desk.
const webOff = "off"

// webDesk is the web desk of a daemon.
type webDesk struct {
	site *web.Site
	door *signin.Door
	ln   net.Listener
	ends time.Time // of its certificate; zero: it has none
}

// openWeb opens the web desk, or returns nil where it is off.
func (a *app) openWeb(node *schakel.Node, st *store.Store, log *slog.Logger) (*webDesk, error) {
	address := a.settings.get("web")
	if address == webOff {
		return nil, nil
	}
	secure, err := a.webTLS()
	if err != nil {
		return nil, err
	}
	if secure == nil && !web.Loopback(address) {
		return nil, advise(fmt.Errorf("%w: %w: %s", errConfig, web.ErrOpen, address),
			"give `web-cert` and `web-key`, or an address on this machine such as 127.0.0.1:8477")
	}
	agreement, err := a.agreement()
	if err != nil {
		return nil, err
	}
	theme, err := a.theme()
	if err != nil {
		return nil, err
	}
	provider, err := a.provider()
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, advise(fmt.Errorf("failed to open the web desk: %w", err), "set `web` to another port, or to off")
	}
	w := &webDesk{ln: ln}
	if secure != nil {
		w.ends = secure.Certificates[0].Leaf.NotAfter
	}
	w.door = signin.New(signin.Config{Store: st, People: node, Base: a.webBase(ln, secure != nil), Signs: provider, Idle: a.settings.duration("auto-lock"), Now: a.Now, Log: log})
	w.site, err = web.New(web.Config{Node: node, Door: w.door, Sheets: sheets.New(st, a.Now), Names: a.webNames(), TLS: secure, Theme: theme, Catalogue: agreement, About: a.about, Now: a.Now, Log: log})
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return w, nil
}

// about is what the page of settings tells of this daemon.
func (a *app) about(context.Context) (out web.About, err error) {
	out.Version = version()
	for _, k := range keys() {
		s := a.settings[k.name]
		out.Settings = append(out.Settings, web.Setting{Key: s.Key, Value: s.Value, Origin: s.Origin})
	}
	err = filepath.WalkDir(a.storeFolder(), func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a journal comes and goes
		}
		if err == nil {
			out.Store += info.Size()
		}
		return err
	})
	return out, err
}

// close gives up a web desk that was not served yet; nil is none.
func (w *webDesk) close() error {
	if w == nil {
		return nil
	}
	return w.ln.Close()
}

// webNames are those that browsers may ask for. The names of this machine itself always
// are among them.
func (a *app) webNames() []string {
	names := strings.FieldsFunc(a.settings.get("web-names"), func(r rune) bool { return r == ',' || r == ' ' })
	return append(names, "localhost", "127.0.0.1", "::1")
}

// webBase is how links begin.
func (a *app) webBase(ln net.Listener, secure bool) string {
	_, port, _ := net.SplitHostPort(ln.Addr().String()) // of a listener: well formed
	scheme := "http"
	if secure {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(a.webNames()[0], port)
}

func (a *app) webTLS() (*tls.Config, error) {
	cert, key := a.settings.get("web-cert"), a.settings.get("web-key")
	if cert == "" && key == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, advise(fmt.Errorf("%w: web-cert and web-key: %w", errConfig, err), "give a certificate and its key, both in PEM")
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13}, nil
}

const maxTheme = 256 << 10

func (a *app) theme() ([]byte, error) {
	path := a.settings.get("web-theme")
	if path == "" {
		return nil, nil
	}
	theme, err := os.ReadFile(path)
	if err == nil && len(theme) > maxTheme {
		err = fmt.Errorf("a theme of %d bytes, at most %d", len(theme), maxTheme)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: web-theme: %w", errConfig, err)
	}
	return theme, nil
}

// greet says where the web desk is. Who starts it for the first time at a terminal gets
// a link at once; a log gets none, because whoever reads logs could use it.
func (a *app) greet(ctx context.Context, w *webDesk, log *slog.Logger) error {
	log.Info("web desk open", "address", w.ln.Addr())
	users, err := w.door.Users(ctx)
	if err != nil || len(users) > 0 || !isTerminal(a.Err) {
		return err
	}
	link, err := w.door.Link(ctx, desk.LinkRequest{})
	if err != nil {
		return err
	}
	a.sayf("open this link in a browser on this machine within ten minutes; it works once:\n  %s", link.URL)
	return nil
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func (a *app) webCommand() *cobra.Command {
	return noun("web", "Who may open the web desk of this device", a.webLinkCommand(), a.webUsersCommand(), a.webTieCommand(), a.webRemoveCommand())
}

type linkDocument struct {
	Schema string `json:"schema"`
	desk.Link
}

func (a *app) webLinkCommand() *cobra.Command {
	var r desk.LinkRequest
	var roles []string
	c := &cobra.Command{
		Use: "link", Short: "Make a link that lets one user in, once",
		Long: "Makes a link to the web desk that works once, within ten minutes. A user who is not known yet is\n" +
			"made: say as whom that user signs with --person, and as what with --role. The first user gets all\n" +
			"roles. The daemon must run, with the setting `web`.",
		Example: "  schakel web link --person \"P. Iket\" --role piket\n  schakel web link --name \"Beheer\" --role beheerder",
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			for _, role := range roles {
				r.Roles = append(r.Roles, desk.Role(role))
			}
			return a.webLink(c.Context(), r)
		},
	}
	c.Flags().StringVar(&r.Person, "person", "", "person of this device that the user signs as")
	c.Flags().StringVar(&r.Name, "name", "", "name of the user; default that of the person")
	c.Flags().StringSliceVar(&roles, "role", nil, "behandelaar, piket, beheerder or functionaris; may be repeated")
	suggest(c, map[string]completer{"person": a.personNames(), "role": words(roleWords())})
	return c
}

func roleWords() (out []string) {
	for _, r := range desk.Roles() {
		out = append(out, string(r))
	}
	return out
}

// entrance is the daemon's: only it knows who is in.
func (a *app) entrance(ctx context.Context, f func(desk.Entrance) error) error {
	c, err := desk.Dial(ctx, a.settings.get("socket"))
	if err != nil {
		return err
	}
	defer c.Close()
	return f(c)
}

func (a *app) webLink(ctx context.Context, r desk.LinkRequest) error {
	for _, role := range r.Roles {
		if !slices.Contains(desk.Roles(), role) {
			return usage(fmt.Errorf("--role %q is not one of %s%s", role, strings.Join(roleWords(), ", "), didYouMean(string(role), roleWords())))
		}
	}
	return a.entrance(ctx, func(e desk.Entrance) error {
		link, err := e.Link(ctx, r)
		if err != nil {
			return err
		}
		if a.json {
			return a.writeJSON(linkDocument{"schakel.web-link/1", link})
		}
		a.printf("%s\n", link.URL)
		a.sayf("for %s, once, before %s", inertLine(link.User.Name), a.when(link.Until))
		return nil
	})
}

type usersDocument struct {
	Schema string      `json:"schema"`
	Users  []desk.User `json:"users"`
}

func (a *app) webUsersCommand() *cobra.Command {
	return &cobra.Command{
		Use: "users", Short: "List who may open the web desk, and as what",
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.entrance(c.Context(), func(e desk.Entrance) error {
				users, err := e.Users(c.Context())
				if err != nil {
					return err
				}
				if a.json {
					return a.writeJSON(usersDocument{"schakel.web-users/1", list(users)})
				}
				rows := [][]cell{heads("NAME", "ROLES", "SIGNS AS", "ACCOUNT")}
				for _, u := range users {
					var roles []string
					for _, r := range u.Roles {
						roles = append(roles, inertLine(string(r)))
					}
					rows = append(rows, []cell{{inertLine(u.Name), bold}, {strings.Join(roles, ", "), plain}, {orDash(inertLine(u.Person)), dim}, {orDash(inertLine(u.Account)), dim}})
				}
				a.table(rows)
				return nil
			})
		},
	}
}

func (a *app) webRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "remove USER", Short: "End a user's sessions, and revoke the person's key",
		Long: "Ends all sessions of a user at once, forgets the user, and revokes the key of the person that this\n" +
			"user signed as. The organisation's key must be on this device for the last.",
		Example: "  schakel web remove \"P. Iket\"",
		Args:    arguments("USER"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.entrance(c.Context(), func(e desk.Entrance) error { return e.RemoveUser(c.Context(), args[0]) })
		},
	}
}
