//go:build !seeded_careless

package schakel

import "schakel/crypto/message"

// careless: this client does not ask the protocol before it signs. A build with the
// tag seeded_careless does not: it is the modified client that the scenarios of the
// hard cases set against honest recipients.
const careless = false

func deceive(*message.Message) {}
