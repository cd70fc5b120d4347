// Package toxiproxy names the program that the tests of bad lines put between desks and
// relay: Toxiproxy, which delays, slices, slows and cuts what passes and is not ours.
//
// It is a module of its own, so that nothing of that program enters ours. The tests build
// it from its published module.
package toxiproxy
