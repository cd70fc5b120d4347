package auth

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"strings"

	"schakel/crypto/identity"
	"schakel/relay/wire"
)

// kind is the JSON type that a value must have.
type kind uint8

const (
	isText    kind = iota
	isSeconds      // an integer of at most maxDigits digits
	isNames        // an array of one string, or a string: RFC 7519, 4.1.3
)

const maxDigits = 12

// form is what one sort of token must look like: its type, and its claims beside those
// that every token has. nbf is optional in all.
type form struct {
	kind   string
	claims map[string]kind
}

var (
	loginForm = form{wire.TokenType, map[string]kind{"nonce": isText}}
	blobForm  = form{wire.BlobTokenType, map[string]kind{"htm": isText, "blob": isText}}
)

// required are the claims of a form, all of them.
func (f form) required() map[string]kind {
	all := map[string]kind{
		"iss": isText, "sub": isText, "aud": isNames, "exp": isSeconds, "iat": isSeconds, "jti": isText, "cb": isText,
	}
	maps.Copy(all, f.claims)
	return all
}

// checkShape accepts one spelling of a token and returns the device it names. It
// runs before anything is decoded at length or verified: a token with a newline at
// its end, padding, a second "nonce", or "exp" as a string verifies in golang-jwt.
func checkShape(token []byte, f form) (identity.DeviceID, error) {
	var none identity.DeviceID
	if len(token) == 0 || len(token) > wire.MaxToken {
		return none, refuse(ReasonForm, "%d bytes", len(token))
	}
	for _, c := range token {
		if !isTokenByte(c) {
			return none, refuse(ReasonForm, "a byte outside base64url")
		}
	}
	parts := bytes.Split(token, []byte("."))
	if len(parts) != 3 {
		return none, refuse(ReasonForm, "%d parts", len(parts))
	}
	header, err := decodeObject(parts[0], map[string]kind{"alg": isText, "typ": isText, "kid": isText}, nil)
	if err != nil {
		return none, refuse(ReasonHeader, "%v", err)
	}
	if header["alg"] != wire.TokenAlg || header["typ"] != f.kind {
		return none, refuse(ReasonHeader, "another algorithm or type")
	}
	id, err := identity.ParseDeviceID(header["kid"])
	if err != nil {
		return none, refuse(ReasonHeader, "kid is not a device id")
	}
	if _, err = decodeObject(parts[1], f.required(), map[string]kind{"nbf": isSeconds}); err != nil {
		return none, refuse(ReasonClaims, "%v", err)
	}
	return id, nil
}

func isTokenByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.'
}

var (
	errJSON    = errors.New("not a JSON object")
	errName    = errors.New("unknown or repeated name")
	errType    = errors.New("value of another type")
	errMissing = errors.New("name missing")
)

// decodeObject reads a base64url JSON object with exactly the names in required
// and any of those in optional, each once and of its kind. It returns the texts.
// Names are compared exactly: encoding/json alone would take "EXP" for "exp".
func decodeObject(part []byte, required, optional map[string]kind) (map[string]string, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(string(part))
	if err != nil {
		return nil, errJSON
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errJSON
	}
	texts := make(map[string]string, len(required))
	for d.More() {
		name, k, err := decodeName(d, required, optional)
		if err != nil {
			return nil, err
		}
		if _, twice := texts[name]; twice {
			return nil, errName
		}
		if texts[name], err = decodeValue(d, k); err != nil {
			return nil, err
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, errJSON
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errJSON
	}
	for name := range required {
		if _, ok := texts[name]; !ok {
			return nil, errMissing
		}
	}
	return texts, nil
}

func decodeName(d *json.Decoder, required, optional map[string]kind) (string, kind, error) {
	t, err := d.Token()
	name, ok := t.(string)
	if err != nil || !ok {
		return "", 0, errJSON
	}
	if k, ok := required[name]; ok {
		return name, k, nil
	}
	if k, ok := optional[name]; ok {
		return name, k, nil
	}
	return "", 0, errName
}

func decodeValue(d *json.Decoder, k kind) (string, error) {
	t, err := d.Token()
	if err != nil {
		return "", errJSON
	}
	switch v := t.(type) {
	case string:
		if k == isText || k == isNames {
			return v, nil
		}
	case json.Number:
		s := v.String()
		if k == isSeconds && len(s) <= maxDigits && strings.Trim(s, "0123456789") == "" {
			return s, nil
		}
	case json.Delim:
		if k == isNames && v == '[' {
			return "", decodeNames(d)
		}
	}
	return "", errType
}

// decodeNames reads strings up to the end of an array. That there is one is
// checked later, where the audience is known.
func decodeNames(d *json.Decoder) error {
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return errJSON
		}
		if _, ok := t.(string); !ok {
			return errType
		}
	}
	if _, err := d.Token(); err != nil {
		return errJSON
	}
	return nil
}
