package redisqueue

import (
	"fmt"

	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// refusals are the letters by which operations.lua refuses an operation.
var refusals = map[byte]error{
	'A': queue.ErrAhead, 'X': queue.ErrDropped, 'N': queue.ErrFullDevices, 'T': queue.ErrToken,
	'C': queue.ErrConflict, 'E': queue.ErrExpired, 'F': queue.ErrFullDesk, 'S': queue.ErrFullSealer, 'M': queue.ErrFullMemory,
}

// settle puts the answers of one call into the results, and learns what
// organisations use.
func (s *Store) settle(c *call, ops []queue.Op, results []queue.Result) error {
	if c.err != nil {
		for _, i := range c.at {
			results[i] = queue.Result{Err: c.err}
		}
		return nil
	}
	answers, changed, err := parts(c.reply)
	if err != nil || len(answers) != len(c.at) {
		return fmt.Errorf("%d answers for %d operations: %w", len(answers), len(c.at), err)
	}
	for n, i := range c.at {
		if results[i], err = parseAnswer(answers[n]); err != nil {
			return err
		}
		if put, ok := ops[i].(*queue.Put); ok {
			own := results[i].Salt == put.Salt && results[i].Duplicate
			if results[i].Err == nil && !results[i].Duplicate {
				results[i].Salt = put.Salt
			}
			// Whose answer was lost the first time: salts are random, so this is
			// our own put and not an earlier one.
			if c.again && own {
				results[i].Duplicate = false
			}
		}
		results[i].Err = c.short.about(results[i].Err)
	}
	return s.learn(c.bucket, changed)
}

func parts(reply any) (answers, changed []any, err error) {
	both, ok := reply.([]any)
	if !ok || len(both) != 2 {
		return nil, nil, fmt.Errorf("%w: reply of %T", errAnswer, reply)
	}
	answers, _ = both[0].([]any)
	changed, _ = both[1].([]any)
	return answers, changed, nil
}

var errAnswer = fmt.Errorf("%w: the functions in Redis answer in an unknown way", queue.ErrIndeterminate)

// parseAnswer takes a position, or a letter with what belongs to it.
func parseAnswer(answer any) (queue.Result, error) {
	if position, ok := answer.(int64); ok && position >= 0 {
		return queue.Result{Position: queue.Position(position)}, nil
	}
	switch text, _ := answer.(string); {
	case text == "K":
		return queue.Result{}, nil
	case len(text) == 1 && refusals[text[0]] != nil:
		return queue.Result{Err: refusals[text[0]]}, nil
	case len(text) == 31 && text[0] == 'D':
		return queue.Result{Duplicate: true, Position: queue.Position(unhex(text[1:15])), Salt: [16]byte([]byte(text[15:]))}, nil
	}
	return queue.Result{}, fmt.Errorf("%w: %.40q", errAnswer, answer)
}

func (s *Store) learn(bucket int, changed []any) error {
	if len(changed)%3 != 0 {
		return errAnswer
	}
	for i := 0; i < len(changed); i += 3 {
		org, _ := changed[i].(string)
		records, _ := changed[i+1].(int64)
		bytes, _ := changed[i+2].(int64)
		s.shares.set(bucket, identity.OrgID(org), use{records, bytes})
	}
	return nil
}
