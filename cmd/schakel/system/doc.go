// Package system holds the tests of the promises: real programs, killed in the
// middle of their work.
//
// Everything here is a test. Both programs are built once, a chain of desks enrols
// by the command line, and each test works on a copy of it. The promises that a store or a second
// relay could break are tried with the mailboxes in a file, in Redis, and in Redis with
// two relays. `go test` runs a short version of most; `make kills` runs all in full:
//
//	go test -run Kill ./cmd/schakel/system -full -seed 7
//
// A test that cannot fail proves nothing, so each promise is also tried on programs
// with a seeded fault (see relay/queue/seeded_on.go), or on a situation that breaks
// it, and must be found broken there.
//
// The hard cases of the protocol are played here too, from files that its experts can
// read: see testdata/cases/README.md.
package system
