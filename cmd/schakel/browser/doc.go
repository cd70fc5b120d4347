// Package browser holds the tests of the web desk in a real browser: Debian's Chromium,
// driven by walk.mjs, looked over by axe, against a real relay and desks.
package browser
