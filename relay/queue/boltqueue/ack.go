package boltqueue

import (
	"fmt"

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
	place, err := d.deviceOf(op.Device)
	switch {
	case err != nil:
		return refuse(err)
	case place.dropped:
		return refuse(queue.ErrDropped)
	case op.Position > place.cursor:
		place.cursor = op.Position
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
	place, err := d.deviceOf(op.Device)
	if err != nil {
		return refuse(err)
	}
	if !place.dropped {
		place.dropped, place.until = true, d.last
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

// doomed is a record that is about to be deleted.
type doomed struct {
	position queue.Position
	slip     slip
}

// sweepFor looks at no more than budget records for one device and returns how
// many it looked at.
func (b *batch) sweepFor(place *device, budget int) (int, error) {
	d, goal := place.desk, place.goal()
	var dead []doomed
	looked := 0
	cursor := b.mail.Cursor()
	for k, v := cursor.Seek(mailKey(d.number, place.swept+1)); ; k, v = cursor.Next() {
		n, p, ok := parseMailKey(k)
		if !ok || n != d.number || p > goal {
			place.swept = goal
			break
		}
		if looked == budget {
			break
		}
		looked++
		place.swept = p
		row, err := parseSlip(k, v)
		if err == nil && b.finished(d, p, &row) {
			dead = append(dead, doomed{p, row})
		}
	}
	for i := range dead {
		if err := b.remove(d, dead[i].position, &dead[i].slip); err != nil {
			return looked, err
		}
	}
	return looked, nil
}

// finished reports whether all targets have passed the record, one of them by
// acknowledging it. A record that cannot be read is not: it waits for a Read to
// report it, or for its end.
func (b *batch) finished(d *desk, p queue.Position, row *slip) bool {
	record, err := queue.ParseRecord(b.log.Get(logKey(row.sequence)), d.name, p)
	if err != nil {
		return false
	}
	for _, target := range record.Targets {
		place := d.devices[target]
		if place == nil || !place.passed(p) {
			return false
		}
	}
	return record.Kind == queue.KindNotice || d.delivered(&record)
}

// delivered reports whether a target has acknowledged the record.
func (d *desk) delivered(r *queue.Record) bool {
	for _, target := range r.Targets {
		if place := d.devices[target]; place != nil && place.cursor >= r.Position {
			return true
		}
	}
	return false
}

// remove deletes a record from the mailbox and the log. What the store knows of
// its ID stays until its end.
func (b *batch) remove(d *desk, p queue.Position, row *slip) error {
	if err := b.mail.Delete(mailKey(d.number, p)); err != nil {
		return fmt.Errorf("failed to delete slip: %w", err)
	}
	if row.sequence == 0 {
		return nil
	}
	if err := b.log.Delete(logKey(row.sequence)); err != nil {
		return fmt.Errorf("failed to delete record: %w", err)
	}
	b.s.count(d, row, -1)
	return nil
}
