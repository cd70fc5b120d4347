//go:build linux && race

package system_test

// race builds the programs with the race detector when the tests are.
const race = "-race"
