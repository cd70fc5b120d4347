// Package age stands in for the real one, which this module must not need.
package age
