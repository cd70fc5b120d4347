// Package store keeps nothing.
package store
