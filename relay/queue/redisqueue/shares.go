package redisqueue

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"

	"schakel/crypto/identity"
	"schakel/relay/queue"
)

// use is what waits of one organisation.
type use struct{ records, bytes int64 }

// shares knows what organisations use in each bucket: an organisation's envelopes
// are spread over all buckets, a function sees one. Exact for what this relay does;
// of other relays it knows what the last look at Redis showed.
type shares struct {
	byBucket [buckets]map[identity.OrgID]use
	total    map[identity.OrgID]use
}

func (u *shares) set(bucket int, org identity.OrgID, now use) {
	before, total := u.byBucket[bucket][org], u.total[org]
	u.byBucket[bucket][org] = now
	u.total[org] = use{total.records + now.records - before.records, total.bytes + now.bytes - before.bytes}
}

// elsewhere is what an organisation uses outside a bucket.
func (u *shares) elsewhere(bucket int, org identity.OrgID) use {
	here, total := u.byBucket[bucket][org], u.total[org]
	return use{total.records - here.records, total.bytes - here.bytes}
}

// close reports whether puts could bring an organisation to its quota: then their
// buckets must be written one after the other.
func (u *shares) close(q *queue.Quota, puts map[identity.OrgID]use) bool {
	for org, more := range puts {
		total := u.total[org]
		if total.records+more.records > int64(q.SealerRecords) || total.bytes+more.bytes > q.SealerBytes {
			return true
		}
	}
	return false
}

func (s *Store) refreshShares(ctx context.Context) error {
	s.write.Lock() // or a batch that is being written would be counted as of before
	defer s.write.Unlock()
	answers := s.watches.ask(ctx, 0, buckets, func(bucket int) []any { return []any{"hgetall", s.keys[bucket].fixed[5]} })
	var late error
	now := shares{total: make(map[identity.OrgID]use)}
	for bucket, a := range answers {
		now.byBucket[bucket] = make(map[identity.OrgID]use)
		if late = cmp.Or(a.err, late); a.err != nil { // what is out of reach is as it was
			for org, use := range s.shares.byBucket[bucket] {
				now.set(bucket, org, use)
			}
			continue
		}
		row, _ := a.reply.([]any)
		for i := 0; i+1 < len(row); i += 2 {
			org, _ := row[i].(string)
			value, _ := row[i+1].(string)
			records, bytes, _ := strings.Cut(value, " ")
			now.set(bucket, identity.OrgID(org), use{parse(records), parse(bytes)})
		}
	}
	s.shares = now
	if late != nil {
		return fmt.Errorf("failed to read the shares of organisations: %w", late)
	}
	return nil
}

// parse reads a number that our functions wrote; a damaged one counts as none.
func parse(number string) int64 {
	n, _ := strconv.ParseInt(number, 10, 64)
	return max(0, n)
}
