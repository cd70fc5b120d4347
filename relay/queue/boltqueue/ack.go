package boltqueue

import (
	"fmt"
	"slices"

	"schakel/crypto/identity"
	"schakel/relay/queue"
)

func (b *batch) ack(op *queue.Ack) (queue.Result, error) {
	if err := op.Check(); err != nil {
		return refuse(err)
	}
	d := b.s.byName[op.Desk]
	switch {
	case d == nil && op.Position == 0:
		return queue.Result{}, nil
	case d == nil || op.Position > d.last:
		return refuse(queue.ErrAhead)
	}
	place, err := b.s.deviceOf(d, op.Device)
	switch {
	case err != nil:
		return refuse(err)
	case place.dropped:
		return refuse(queue.ErrDropped)
	case op.Position > place.cursor:
		b.s.index.Lock()
		place.cursor = op.Position
		b.s.index.Unlock()
		b.moved(place)
	}
	return queue.Result{}, nil
}

func (b *batch) dropDevice(op *queue.DropDevice) (queue.Result, error) {
	if err := op.Check(); err != nil {
		return refuse(err)
	}
	d, err := b.deskOf(op.Desk)
	if err != nil {
		return refuse(err)
	}
	place, err := b.s.deviceOf(d, op.Device)
	if err != nil {
		return refuse(err)
	}
	if !place.dropped {
		b.s.index.Lock()
		place.dropped, place.until = true, d.last
		b.s.index.Unlock()
		b.moved(place)
	}
	return queue.Result{}, nil
}

func (b *batch) moved(place *device) {
	b.dirtyDevices[place] = struct{}{}
	b.s.behind[place] = struct{}{}
}

// sweepLeast is how many records a commit may sweep even when it is small: a
// device that acknowledges a long backlog at once must not make one endless
// transaction of it, and the rest rides with the next commits.
const sweepLeast = 4096

// sweep deletes what the devices that moved were the last to pass.
func (b *batch) sweep(ops int) error {
	budget := sweepLeast + 4*ops
	for place := range b.s.behind {
		swept, err := b.sweepFor(place, budget)
		if err != nil {
			return err
		}
		b.dirtyDevices[place] = struct{}{}
		if place.swept >= place.goal() {
			delete(b.s.behind, place)
		}
		if budget -= swept; budget <= 0 {
			return nil
		}
	}
	return nil
}

// sweepFor looks at no more than budget records for one device and returns how
// many it looked at.
func (b *batch) sweepFor(place *device, budget int) (int, error) {
	d, goal := place.desk, place.goal()
	var finished []queue.Position
	looked := 0
	for i := d.mailbox.find(place.swept + 1); ; i++ {
		if i >= len(d.mailbox.entries) || d.mailbox.entries[i].position > goal {
			place.swept = goal
			break
		}
		if looked == budget {
			break
		}
		looked++
		e := &d.mailbox.entries[i]
		place.swept = e.position
		if !e.dead && b.finished(d, e) {
			finished = append(finished, e.position)
		}
	}
	for _, p := range finished { // only now: removing moves the entries
		if err := b.remove(d, p); err != nil {
			return looked, err
		}
	}
	return looked, nil
}

// finished reports whether all targets have passed the record, one of them by
// acknowledging it. A record that cannot be read is not: it waits for a Read to
// report it, or for its end.
func (b *batch) finished(d *desk, e *entry) bool {
	targets := b.targetsOf(d, e)
	if e.kind == queue.KindNotice {
		return d.passed(targets, e.position)
	}
	return d.finished(targets, e.position)
}

// finished reports whether an envelope for targets at p may be gone.
func (d *desk) finished(targets []identity.DeviceID, p queue.Position) bool {
	return d.passed(targets, p) && d.delivered(targets, p)
}

func (d *desk) passed(targets []identity.DeviceID, p queue.Position) bool {
	for _, target := range targets {
		place := d.devices[target]
		if place == nil || !place.passed(p) {
			return false
		}
	}
	return len(targets) > 0
}

// targetsOf returns nil when the record cannot be read.
func (b *batch) targetsOf(d *desk, e *entry) []identity.DeviceID {
	if e.targets != nil {
		return *e.targets
	}
	record, err := queue.ParseRecord(b.log.Get(logKey(d.number, e)), d.name, e.position)
	if err != nil {
		return nil
	}
	return record.Targets
}

// delivered reports whether a target has acknowledged the record at p.
func (d *desk) delivered(targets []identity.DeviceID, p queue.Position) bool {
	return slices.ContainsFunc(targets, func(target identity.DeviceID) bool {
		place := d.devices[target]
		return place != nil && place.cursor >= p
	})
}

// remove deletes a record from the log and the mailbox. What the store knows of
// its ID stays until its end.
func (b *batch) remove(d *desk, p queue.Position) error {
	e := d.mailbox.at(p)
	if e == nil {
		return nil
	}
	if err := b.log.remove(logKey(d.number, e)); err != nil {
		return fmt.Errorf("failed to delete record: %w", err)
	}
	b.s.count(d, e, -1)
	b.s.index.Lock()
	defer b.s.index.Unlock()
	d.mailbox.remove(p)
	return nil
}
