//go:build !seeded_twice

package schakel

// once: a message reaches this desk once, however often its deliveries arrive. A
// build with the tag seeded_twice lacks that; the tests that kill daemons must
// notice that one.
const once = true
