package cli

import (
	"bytes"
	"io"
	"time"

	"github.com/spf13/cobra"

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

// HidingFlags names the flags of commands that have the name of a setting, and what they
// are given would be read as that.
func HidingFlags() (out []string) {
	a := &app{}
	var look func(c *cobra.Command)
	look = func(c *cobra.Command) {
		own := c.LocalNonPersistentFlags()
		for _, k := range keys() {
			if f := own.Lookup(k.name); f != nil && f.Usage != k.help {
				out = append(out, c.CommandPath()+" --"+k.name)
			}
		}
		for _, sub := range c.Commands() {
			look(sub)
		}
	}
	look(a.rootCommand())
	return out
}
