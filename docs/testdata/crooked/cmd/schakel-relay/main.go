// Command schakel-relay breaks rule 1: it can decrypt.
package main

import (
	_ "schakel/clients/protocol"
	_ "schakel/crypto/seal"
)

func main() {}
