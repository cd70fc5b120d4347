package canon_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"schakel/crypto/canon"
)

type inner struct {
	_ struct{} `cbor:",toarray"`
	A [4]byte
	B uint64
}

type value struct {
	Number uint64  `cbor:"1,keyasint"`
	Text   string  `cbor:"2,keyasint"`
	Bytes  []byte  `cbor:"3,keyasint"`
	List   []inner `cbor:"4,keyasint"`
}

const good = "\xa4\x01\x0a\x02\x61x\x03\x42yz\x04\x81\x82\x44abcd\x18\x64"

func TestUnmarshal(t *testing.T) {
	var v value
	if err := canon.Unmarshal([]byte(good), 100, &v); err != nil {
		t.Fatal(err)
	}
	if v.Number != 10 || v.Text != "x" || string(v.Bytes) != "yz" || v.List[0].B != 100 || string(v.List[0].A[:]) != "abcd" {
		t.Errorf("got %+v", v)
	}
	again, err := canon.Marshal(v)
	if err != nil || string(again) != good {
		t.Errorf("comes back as %x, %v", again, err)
	}
}

// TestRefuses gives the same value, or nearly, in every other encoding.
func TestRefuses(t *testing.T) {
	for name, raw := range map[string]string{
		"empty":                  "",
		"cut":                    good[:len(good)-1],
		"bytes behind":           good + "\x00",
		"integer not shortest":   "\xa4\x01\x18\x0a" + good[3:],
		"integer in eight bytes": "\xa4\x01\x1b\x00\x00\x00\x00\x00\x00\x00\x0a" + good[3:],
		"negative":               "\xa4\x01\x20" + good[3:],
		"float":                  "\xa4\x01\xf9\x49\x00" + good[3:],
		"NaN":                    "\xa4\x01\xf9\x7e\x00" + good[3:],
		"true":                   "\xa4\x01\xf5" + good[3:],
		"null number":            "\xa4\x01\xf6" + good[3:],
		"undefined":              "\xa4\x01\xf7" + good[3:],
		"bignum tag":             "\xa4\x01\xc2\x41\x0a" + good[3:],
		"self-described tag":     "\xd9\xd9\xf7" + good,
		"keys not sorted":        "\xa4\x02\x61x\x01\x0a" + good[6:],
		"key twice":              "\xa5\x01\x0a" + good[1:],
		"key missing":            "\xa3" + good[3:],
		"unknown key":            "\xa5\x00\x0a" + good[1:],
		"text key":               "\xa5\x61a\x0a" + good[1:],
		"key not shortest":       "\xa4\x18\x01\x0a" + good[3:],
		"length not shortest":    strings.Replace(good, "\x42yz", "\x58\x02yz", 1),
		"null bytes":             strings.Replace(good, "\x42yz", "\xf6", 1),
		"text for bytes":         strings.Replace(good, "\x42yz", "\x62yz", 1),
		"array for bytes":        strings.Replace(good, "\x42yz", "\x82\x18y\x18z", 1),
		"bytes for text":         strings.Replace(good, "\x61x", "\x41x", 1),
		"text not UTF-8":         strings.Replace(good, "\x61x", "\x61\xff", 1),
		"indefinite map":         "\xbf" + good[1:] + "\xff",
		"indefinite bytes":       strings.Replace(good, "\x42yz", "\x5f\x42yz\xff", 1),
		"indefinite list":        strings.Replace(good, "\x81\x82", "\x9f\x82", 1) + "\xff",
		"fixed bytes too short":  strings.Replace(good, "\x44abcd", "\x43abc", 1),
		"fixed bytes too long":   strings.Replace(good, "\x44abcd", "\x45abcde", 1),
		"list element missing":   strings.Replace(good, "\x82\x44abcd\x18\x64", "\x81\x44abcd", 1),
		"list element too many":  strings.Replace(good, "\x82\x44abcd\x18\x64", "\x83\x44abcd\x18\x64\x00", 1),
		"map for list":           strings.Replace(good, "\x81\x82\x44abcd\x18\x64", "\xa0", 1),
		"nested too deep":        strings.Repeat("\x81", 1000) + "\x00",
		"4097 elements":          "\xa4\x01\x0a\x02\x61x\x03\x42yz\x04\x99\x10\x01" + strings.Repeat("\x82\x44abcd\x00", 4097),
		"4 billion elements":     "\x9a\xff\xff\xff\xff",
		"2^64-1 bytes":           "\x5b\xff\xff\xff\xff\xff\xff\xff\xff",
		"an array, no map":       "\x84\x0a\x61x\x42yz\x80",
	} {
		var v value
		if err := canon.Unmarshal([]byte(raw), 1<<20, &v); !errors.Is(err, canon.ErrNotCanonical) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var v value
	if err := canon.Unmarshal([]byte(good), len(good)-1, &v); !errors.Is(err, canon.ErrNotCanonical) {
		t.Errorf("over the limit: %v", err)
	}
}

func TestMarshalRefuses(t *testing.T) {
	if _, err := canon.Marshal(make(chan int)); err == nil {
		t.Error("encoded a channel")
	}
}

// FuzzUnmarshal: what is accepted is what Marshal gives, and decoded bytes do not
// point into the input.
func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("\xa4\x01\x00\x02\x60\x03\x40\x04\x80"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var v value
		if canon.Unmarshal(raw, 1<<16, &v) != nil {
			return
		}
		before := bytes.Clone(raw)
		clear(raw)
		if again, err := canon.Marshal(v); err != nil || !bytes.Equal(again, before) {
			t.Fatalf("%x comes back as %x, %v", before, again, err)
		}
	})
}
