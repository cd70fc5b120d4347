package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

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
		values, err = jsonValues(raw)
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

func jsonValues(raw []byte) (protocol.Values, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	out, _ := plainValue(v).(protocol.Values)
	return out, nil
}

func tomlValues(raw []byte) (protocol.Values, error) {
	var v map[string]any
	if err := toml.Unmarshal(raw, &v); err != nil {
		return nil, err
	}
	out, _ := plainValue(v).(protocol.Values)
	return out, nil
}

// plainValue turns what a decoder gives into what a form takes: text, lists and groups.
func plainValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := protocol.Values{}
		for name, x := range v {
			out[name] = plainValue(x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = plainValue(x)
		}
		return out
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case json.Number:
		return v.String()
	case time.Time:
		return v.Format(time.RFC3339)
	case toml.LocalDate:
		return v.String()
	case nil:
		return ""
	case string, bool:
		return v
	}
	return fmt.Sprint(v)
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
