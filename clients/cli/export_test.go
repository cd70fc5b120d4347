package cli

import (
	"bytes"
	"io"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/protocol/calendar"
)

// Outline is what `schakel read` shows of a body with these fields.
func Outline(body []byte, known ...protocol.Field) string {
	var out bytes.Buffer
	a := &app{Stdio: Stdio{Out: &out, Zone: calendar.Zone()}}
	_ = a.showBody(body, known)
	return out.String()
}

// InertJSON is inertJSON.
var InertJSON = inertJSON

// FormValues reads the values of a form as --from-file does.
func FormValues(path string, raw []byte) (protocol.Values, error) {
	if isJSON(path, raw) {
		return protocol.ParseValues(raw)
	}
	return tomlValues(raw)
}

// Reads is what becomes of an answer that somebody typed.
func Reads(f protocol.Field, typed string) (string, bool) {
	q := asker{&app{Stdio: Stdio{Err: io.Discard, Zone: time.UTC}}, spoken(false)}
	if f.Kind == protocol.KindMunicipality {
		return "", false // it may ask which one
	}
	v, wrong, err := q.reads(f, typed)
	return v, err == nil && wrong == (protocol.Text{})
}
