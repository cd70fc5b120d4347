package trust

import (
	"fmt"
	"strings"
)

// Release fixes in the log which programs were released under a version: the SHA-256 of
// the list of their hashes. Who hands one partner another program than all others get
// needs an entry here, which all of them see (attack G05).
type Release struct {
	Version string // such as "v1.2.0"
	List    Hash   // SHA-256 of the list's text, without its signatures
}

// Kind is KindRelease.
func (Release) Kind() Kind { return KindRelease }

// Subject is "release/" and the version.
func (b Release) Subject() Subject { return Subject("release/" + b.Version) }

func (Release) signers() []string { return []string{asRoot} }

// Sign makes the entry; k of the root must sign.
func (b Release) Sign(at Place, holders ...Signer) ([]byte, error) {
	return signEntry(b, at, byRoots(holders)...)
}

func (b Release) write(w *writer) { w.hash("list", b.List) }

func readRelease(s Subject, r *reader) Release {
	return Release{Version: trimSubject(r, s, KindRelease), List: r.hash("list")}
}

func (b Release) check() error {
	if !ValidVersion(b.Version) {
		return fmt.Errorf("%w: version %q: write it as v1.2.0", ErrFormat, clip(b.Version))
	}
	return nil
}

// ValidVersion reports whether s names a release: v, a digit, and at most 30 more of a-z,
// 0-9, point and hyphen.
func ValidVersion(s string) bool {
	ok := func(c rune) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '-' }
	return len(s) >= 2 && len(s) <= 32 && s[0] == 'v' && s[1] >= '0' && s[1] <= '9' && strings.IndexFunc(s, func(c rune) bool { return !ok(c) }) < 0
}

// allowRelease: the root, and no version twice: a second list under one version is what
// the entry is there to prevent.
func (r *Register) allowRelease(e Entry, b Release) error {
	switch rec := r.releases[b.Version]; {
	case rec == nil:
		return r.byRootAlone(e)
	case rec.revoked != 0:
		return ErrRevoked
	}
	return fmt.Errorf("%w: %s was released before", ErrRule, b.Version)
}

// ReleaseState is a release's entry and its standing: Revoked where nobody should run it.
type ReleaseState struct {
	Release
	Standing
}

// Release returns what the register says of a version.
func (r *Register) Release(version string) (ReleaseState, bool) {
	b, st, ok := r.releases[version].at(r.Size())
	return ReleaseState{b, st}, ok
}
