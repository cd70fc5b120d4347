package cli

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"schakel/clients/protocol"
)

// fromFile reads the values of a form, in TOML or JSON. A JSON file that is a finished
// body already is that body, byte for byte.
func (a *app) fromFile(c *protocol.Catalogue, class, path string) (values protocol.Values, body []byte, err error) {
	raw, err := a.content(path)
	if err != nil {
		return nil, nil, err
	}
	if isJSON(path, raw) {
		if c.Fits(class, raw) == nil {
			return nil, raw, nil
		}
		values, err = protocol.ParseValues(raw)
	} else {
		values, err = tomlValues(raw)
	}
	if err != nil {
		return nil, nil, usage(fmt.Errorf("%s holds no values of a form: %w", path, err))
	}
	return values, nil, nil
}

func isJSON(path string, raw []byte) bool {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".json":
		return true
	case ".toml":
		return false
	}
	return bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{"))
}

func tomlValues(raw []byte) (protocol.Values, error) {
	var v map[string]any
	if err := toml.Unmarshal(raw, &v); err != nil {
		return nil, err
	}
	return protocol.PlainValues(v), nil
}

// bodyOf is the body of the values of a form, where nobody can be asked for more.
func bodyOf(c *protocol.Catalogue, f protocol.Form, v protocol.Values) ([]byte, error) {
	missing := f.Missing(v)
	if len(missing) == 0 {
		return c.Compose(f.Class, v)
	}
	var labels []string
	for _, field := range f.Fields {
		for _, name := range missing {
			if field.Name == name {
				labels = append(labels, name+" ("+field.Label.EN+")")
			}
		}
	}
	return nil, advise(usage(fmt.Errorf("%s needs %s", f.Class, strings.Join(labels, ", "))),
		"give them in a file with --from-file, the whole body with --body, or answer the questions on a terminal")
}
