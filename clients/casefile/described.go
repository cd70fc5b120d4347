package casefile

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
)

// described is what a body says of one file that comes with it.
type described struct {
	Digest    [sha256.Size]byte
	MediaType string
}

// describedIn are the files that a body describes, in its order: each object with a name, a
// media type, a size and a SHA-256, wherever it stands.
func describedIn(body []byte) (out []described) {
	w := describing{d: json.NewDecoder(bytes.NewReader(body))}
	w.d.UseNumber()
	if w.value(0) != nil {
		return nil
	}
	return w.found
}

// describing is one walk over a body.
type describing struct {
	d     *json.Decoder
	found []described
}

func (w *describing) value(depth int) error {
	t, err := w.d.Token()
	switch {
	case err != nil:
		return err
	case depth > maxDepth:
		return errDeep
	case t == json.Delim('{'):
		return w.object(depth)
	case t == json.Delim('['):
		for err == nil && w.d.More() {
			err = w.value(depth + 1)
		}
		if err == nil {
			_, err = w.d.Token()
		}
	}
	return err
}

func (w *describing) object(depth int) error {
	says := map[string]string{}
	for w.d.More() {
		name, err := w.d.Token()
		if err != nil {
			return err
		}
		var raw json.RawMessage
		if err := w.d.Decode(&raw); err != nil {
			return err
		}
		if raw[0] != '{' && raw[0] != '[' {
			says[fmt.Sprint(name)] = strings.Trim(string(raw), `"`)
			continue
		}
		inner := describing{d: json.NewDecoder(bytes.NewReader(raw))}
		if err := inner.value(depth + 1); err != nil {
			return err
		}
		w.found = append(w.found, inner.found...)
	}
	digest, err := hex.DecodeString(strings.TrimPrefix(says["sha256"], "sha256:"))
	if err == nil && len(digest) == sha256.Size && says["naam"] != "" && says["bytes"] != "" && says["mediatype"] != "" {
		w.found = append(w.found, described{[sha256.Size]byte(digest), says["mediatype"]})
	}
	_, err = w.d.Token()
	return err
}
