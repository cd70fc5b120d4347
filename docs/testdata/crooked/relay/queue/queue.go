// Package queue is a room that only the relay may enter.
package queue
