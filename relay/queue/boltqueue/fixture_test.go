package boltqueue_test

import (
	"math/rand/v2"
	"time"
)

func benchClock(i int) time.Time { return time.UnixMilli(1_790_000_000_000 + int64(i)/50) }

type counter struct{ *rand.ChaCha8 }

func benchRandom(i int) counter {
	var seed [32]byte
	seed[0], seed[1], seed[2], seed[3] = byte(i), byte(i>>8), byte(i>>16), byte(i>>24)
	return counter{rand.NewChaCha8(seed)}
}
