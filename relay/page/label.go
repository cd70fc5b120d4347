package page

import "schakel/crypto/envelope"

// TierLabel is a tier as metrics name it.
func TierLabel(t envelope.Tier) string {
	names := [...]string{envelope.TierNone: "test", envelope.TierRoutine: "routine", envelope.TierUrgent: "urgent", envelope.TierAcute: "acute"}
	return names[min(t, envelope.TierAcute)]
}

// ChannelLabel is a channel as metrics name it. Channels are the words of partners: only
// the known ones become labels.
func ChannelLabel(channel string) string {
	switch channel {
	case NTFY, SMTP, Webhook, Shoutrrr, Exec:
		return channel
	case "":
		return "none"
	}
	return "other"
}
