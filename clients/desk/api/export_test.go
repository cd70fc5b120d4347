package api

import "golang.org/x/crypto/chacha20poly1305"

// RoundCursor reads a cursor and writes it again; at is what it says.
func RoundCursor(key [32]byte, cursor, scope string) (at string, count uint64, again string, err error) {
	aead, err := chacha20poly1305.NewX(key[:])
	if err != nil {
		return "", 0, "", err
	}
	p, err := unseal(aead, cursor, scope)
	if err != nil {
		return "", 0, "", err
	}
	again, err = seal(aead, p, scope)
	return p.After, p.Count, again, err
}

// NewCursor writes a cursor.
func NewCursor(key [32]byte, at string, count uint64, scope string) string {
	aead, err := chacha20poly1305.NewX(key[:])
	if err != nil {
		panic(err)
	}
	cursor, err := seal(aead, place{After: at, Count: count}, scope)
	if err != nil {
		panic(err)
	}
	return cursor
}

// EventCursor reads the cursor of an event.
var EventCursor = number
