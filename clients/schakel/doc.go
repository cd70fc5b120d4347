// Package schakel is one device's end of the chain: it sends, receives, verifies
// and acknowledges case messages, and makes silence visible.
//
// A [Node] owns the device's store and its one connection to the relay. [Node.Run]
// blocks until its context ends; every other method may be called meanwhile, or
// without Run: what is sent is on disk before the call returns and travels as soon
// as a connection stands.
//
//	st, err := store.Open(ctx, dir, unlock)
//	...
//	n, err := schakel.New(schakel.Config{Store: st})
//	...
//	go n.Run(ctx)
//	sent, err := n.Send(ctx, schakel.Draft{Class: "melding", Urgency: message.Acute, ...})
//
// Nothing that the relay says is believed: "delivered" comes from a statement
// signed by a device of the recipient desk, "acknowledged" from a message signed
// by a person of it.
package schakel
