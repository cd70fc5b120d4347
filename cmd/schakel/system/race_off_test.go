//go:build linux && !race

package system_test

const (
	race   = ""
	slower = 1
)
