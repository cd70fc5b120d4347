package oncall

import "schakel/relay/queue"

// Row parses a row and encodes it again.
func Row(ref queue.Ref, b []byte) ([]byte, error) {
	t, err := parseRow(ref, b)
	if err != nil {
		return nil, err
	}
	return t.row(ref), nil
}

// NewRow is the row of a timer that has begun so many rungs.
func NewRow(ref queue.Ref, rungs int) []byte {
	var t timer
	t.Rungs, t.Since, t.Last = rungs, moment(1000), moment(2000)
	return t.row(ref)
}
