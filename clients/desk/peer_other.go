//go:build !linux

package desk

import "net"

// checkPeer trusts the mode of the socket and of its folder: this system has no
// SO_PEERCRED.
func checkPeer(net.Conn, func(uid int) bool) error { return nil }

func ownsFolder(int, string) bool { return true }
