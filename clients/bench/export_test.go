package bench

import (
	"bufio"
	"bytes"
)

// ReadAnswer reads one answer of Redis from the front of raw, and returns what is left.
func ReadAnswer(raw []byte) (rest []byte, err error) {
	s := &bareRedis{answers: bufio.NewReader(bytes.NewReader(raw))}
	if err := s.answer(); err != nil {
		return nil, err
	}
	rest = make([]byte, s.answers.Buffered())
	_, err = s.answers.Read(rest)
	if len(rest) == 0 {
		err = nil
	}
	return rest, err
}

// Request is commands as Redis reads them, which is also how it answers.
func Request(calls ...[]string) []byte {
	var s bareRedis
	for _, words := range calls {
		s.call(words...)
	}
	return s.request
}
