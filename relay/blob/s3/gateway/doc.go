// Package gateway runs the suite of blob stores against a server that speaks S3 and is
// not ours: Versity's gateway, on a folder.
//
// It is a module of its own, so that nothing of that server enters the programs: run
// `go test ./...` in this directory. The server is built from its published module.
package gateway
