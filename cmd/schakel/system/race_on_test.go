//go:build linux && race

package system_test

// race builds the programs with the race detector when the tests are, and slower is
// how much less is then asked of them.
const (
	race   = "-race"
	slower = 5
)
