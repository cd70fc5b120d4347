package cli

import "bytes"

// Outline is what `schakel read` shows of a body.
func Outline(body []byte) string {
	var out bytes.Buffer
	a := &app{Stdio: Stdio{Out: &out}}
	_ = a.showBody(body)
	return out.String()
}

// InertJSON is inertJSON.
var InertJSON = inertJSON
