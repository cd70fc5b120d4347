// Package seal breaks rule 2: it reaches the network.
package seal

import (
	_ "filippo.io/age"
	_ "net/http"
)
