package page

import (
	"encoding/base64"
)

// Title and Text are what a person is told.
func (p Page) Title() string { return p.title() }
func (p Page) Text() string  { return p.text() }

// SplitWebhook reads the target of a webhook; JoinWebhook writes it.
func SplitWebhook(target string) (string, []byte, error) { return splitWebhook(target) }
func JoinWebhook(address string, secret []byte) string {
	return address + "#" + secretPrefix + base64.StdEncoding.EncodeToString(secret)
}

// Dialled reports whether the guard lets an address be dialled.
func Dialled(c Config, address string) error { return newGuard(public(c.Allow)).check(address) }
