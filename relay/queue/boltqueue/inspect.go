package boltqueue

import "os"

type findings struct{ metaLost bool }

func inspect(file *os.File) (findings, error) { return findings{}, nil }
