//go:build seeded_twice

package schakel

const once = false
