package cli

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"schakel/clients/desk"
)

func (a *app) webhookCommand() *cobra.Command {
	return noun("webhook", "Which programs of your own organisation are told of events", a.webhookAddCommand(), a.webhookListCommand(),
		a.webhookDo("remove", "Tell a webhook nothing more, and forget what waits for it", func(ctx context.Context, d *desk.Client, who string) error { return d.RemoveWebhook(ctx, who) }),
		a.webhookRotateCommand(),
		a.webhookDo("redeliver", "Try everything that waits for a webhook now", func(ctx context.Context, d *desk.Client, who string) error {
			_, err := d.Redeliver(ctx, who)
			return err
		}),
		a.webhookDo("test", "Post one parcel of type schakel.test now", func(ctx context.Context, d *desk.Client, who string) error { return d.TestWebhook(ctx, who) }))
}

type newWebhookDocument struct {
	Schema string `json:"schema"`
	desk.NewWebhook
}

func (a *app) webhookAddCommand() *cobra.Command {
	var r desk.WebhookRequest
	c := &cobra.Command{
		Use: "add URL", Short: "Tell an address of events; its key is shown this once",
		Long: "Posts each event to an address on this machine, or over https to a network in the setting\n" +
			"`webhook-targets`: signed after Standard Webhooks, with identifiers and no content. The key that\n" +
			"signs is printed once. What is not taken is tried again for three days and waits after that.",
		Example: "  schakel webhook add http://127.0.0.1:9000/schakel --kind received --kind alarm",
		Args:    arguments("URL"),
		RunE: func(c *cobra.Command, args []string) error {
			r.URL = args[0]
			return a.owned(c.Context(), func(d *desk.Client) error {
				added, err := d.AddWebhook(c.Context(), r)
				return a.showKey("schakel.webhook-add/1", added, err)
			})
		},
	}
	c.Flags().StringSliceVar(&r.Kinds, "kind", nil, "only events of this kind, such as received; may be repeated (default all)")
	return c
}

func (a *app) showKey(schema string, w desk.NewWebhook, err error) error {
	if err != nil {
		return err
	}
	if a.json {
		return a.writeJSON(newWebhookDocument{schema, w})
	}
	a.printf("%s\n", w.Secret)
	a.sayf("webhook %s signs with this key; it is not shown again", w.ID)
	return nil
}

func (a *app) webhookRotateCommand() *cobra.Command {
	return &cobra.Command{
		Use: "rotate WEBHOOK", Short: "Make a new key; the one before signs along until the next time",
		Args: arguments("WEBHOOK"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.owned(c.Context(), func(d *desk.Client) error {
				rotated, err := d.RotateWebhook(c.Context(), args[0])
				return a.showKey("schakel.webhook-rotate/1", rotated, err)
			})
		},
	}
}

// webhookDo is a command that does one thing to one webhook.
func (a *app) webhookDo(verb, short string, do func(context.Context, *desk.Client, string) error) *cobra.Command {
	return &cobra.Command{
		Use: verb + " WEBHOOK", Short: short,
		Args: arguments("WEBHOOK"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.owned(c.Context(), func(d *desk.Client) error { return do(c.Context(), d, args[0]) })
		},
	}
}

type webhooksDocument struct {
	Schema   string         `json:"schema"`
	Webhooks []desk.Webhook `json:"webhooks"`
}

func (a *app) webhookListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the webhooks, and how it goes",
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.owned(c.Context(), func(d *desk.Client) error {
				all, err := d.Webhooks(c.Context())
				if err != nil {
					return err
				}
				if a.json {
					return a.writeJSON(webhooksDocument{"schakel.webhooks/1", list(all)})
				}
				rows := [][]cell{heads("WEBHOOK", "ADDRESS", "WAITING", "STATE")}
				for _, w := range all {
					rows = append(rows, []cell{{w.ID, dim}, {inertLine(w.URL), plain}, {strconv.Itoa(w.Waiting), bold}, a.webhookState(w)})
				}
				a.table(rows)
				return nil
			})
		},
	}
}

func (a *app) webhookState(w desk.Webhook) cell {
	switch {
	case w.Disabled:
		return cell{"disabled: " + inertLine(w.Failure), red}
	case !w.Failing.IsZero():
		return cell{"failing since " + a.when(w.Failing) + ": " + inertLine(w.Failure), yellow}
	case w.LastGood.IsZero():
		return cell{"nothing sent yet", plain}
	}
	return cell{"taken " + a.when(w.LastGood), green}
}
