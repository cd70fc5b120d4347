// Package lanes breaks rule 2: it reads the disk.
package lanes

import _ "os"
