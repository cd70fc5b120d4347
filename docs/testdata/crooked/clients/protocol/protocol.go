// Package protocol breaks rule 2: it waits.
package protocol

import _ "context"
