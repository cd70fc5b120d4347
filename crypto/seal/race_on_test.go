//go:build race

package seal_test

// raceEnabled thins out tests that would take minutes under the race detector and
// have no goroutines to race.
const raceEnabled = true
