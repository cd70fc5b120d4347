// Package oracles compares Schakel's cryptography with other people's: go-cose,
// the age command line, transparency-dev's cosignatures, and the test vectors of C2SP, Wycheproof and Filippo
// Valsorda.
//
// It is a module of its own, so that nothing of theirs enters the programs:
// run `go test ./...` in this directory. The vectors that are no Go packages are
// fetched through the module cache at a fixed version, and must have the SHA-256
// that stands in the test.
package oracles
