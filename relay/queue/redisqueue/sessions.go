package redisqueue

import (
	"context"
	"fmt"

	"schakel/crypto/identity"
)

// Begin gives a session of a device its number, higher than that of every earlier
// session, and tells the other relays.
func (s *Store) Begin(ctx context.Context, desk identity.DeskID, device identity.DeviceID) (uint64, error) {
	reply, err := s.call(ctx, bucketOf(desk), "session_begin", []string{"sessions"}, s.nodesBell(), s.node, string(device[:]))
	if err != nil {
		return 0, err
	}
	number, _ := reply.(int64)
	if number < 1 {
		return 0, fmt.Errorf("%w: session %v", errAnswer, reply)
	}
	return uint64(number), nil
}

// Latest returns the number of the latest session of each device, 0 where there
// was none. Devices are given by desk.
func (s *Store) Latest(ctx context.Context, devices map[identity.DeskID][]identity.DeviceID) (map[identity.DeviceID]uint64, error) {
	byBucket := make(map[int][]identity.DeviceID)
	for desk, list := range devices {
		byBucket[bucketOf(desk)] = append(byBucket[bucketOf(desk)], list...)
	}
	latest := make(map[identity.DeviceID]uint64)
	for bucket, list := range byBucket {
		args := make([]any, len(list))
		for i, id := range list {
			args[i] = string(id[:])
		}
		reply, err := s.call(ctx, bucket, "session_numbers", []string{"sessions"}, args...)
		if err != nil {
			return nil, err
		}
		numbers, _ := reply.([]any)
		if len(numbers) != len(list) {
			return nil, fmt.Errorf("%w: %d sessions of %d", errAnswer, len(numbers), len(list))
		}
		for i, id := range list {
			n, _ := numbers[i].(int64)
			latest[id] = uint64(max(0, n))
		}
	}
	return latest, nil
}
