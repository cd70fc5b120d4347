// Package simulation plays a whole relay in time that stands still until everybody waits:
// its sessions, committer, mailboxes and pager as they are built, devices that speak the
// real frames over a network in memory, and a disk that forgets what was not synced.
//
// Everything here is a test. A seed decides who sends what to whom and when, how long each
// piece of a connection is under way, and what goes wrong: see nemesis_test.go. What
// devices and pagers saw is judged afterwards, by nothing else than that: see
// oracle_test.go.
//
//	go test ./relay/simulation -run 'TestSimulation$' -args -seeds=10000 -seed=7
//
// What a seed does not decide is the order in which goroutines run that are awake at the
// same instant, nor the relay's own random choices; see docs/decisions/0219.
package simulation
