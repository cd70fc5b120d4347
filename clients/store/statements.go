package store

import (
	"errors"
	"fmt"
	"time"

	"schakel/crypto/delivery"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// Peer is a desk that this device had traffic with. Zero times: never.
type Peer struct {
	Desk         identity.DeskID
	LastIn       time.Time // newest delivery of any kind
	LastOut      time.Time
	StatementIn  time.Time // newest statement
	StatementOut time.Time
	NextDue      time.Time // when the peer promised its next statement
}

// OpenPeers returns the desks that this device had traffic with, by name.
func (tx *Tx) OpenPeers() (ps []Peer, err error) {
	err = tx.each(`SELECT desk,last_in,last_out,stated_in,stated_out,next_in FROM peer ORDER BY desk`, nil, func(r row1) error {
		ps = append(ps, Peer{Desk: r.desk(0), LastIn: r.time(1), LastOut: r.time(2), StatementIn: r.time(3), StatementOut: r.time(4), NextDue: r.time(5)})
		return nil
	})
	return ps, err
}

// ClosePeer forgets a desk that no case is open with: no statements are due to or
// from it until there is traffic again.
func (tx *Tx) ClosePeer(desk identity.DeskID) error {
	return tx.exec(`DELETE FROM peer WHERE desk=?`, desk)
}

// notePeer moves one of a peer's times forward; column is a constant of ours.
func (tx *Tx) notePeer(desk identity.DeskID, column string, at time.Time) error {
	return tx.exec(`INSERT INTO peer(desk,`+column+`) VALUES(?,?) ON CONFLICT DO UPDATE SET `+column+`=max(`+column+`,excluded.`+column+`)`, desk, at)
}

// SaveStatement notes an inbound statement of a peer's device. It refuses one
// that is not newer than the newest, or numbered beyond all sense, with ErrOlder, so that a replayed statement
// moves nothing back (attack B05).
func (tx *Tx) SaveStatement(device identity.DeviceID, s delivery.Statement, at time.Time) error {
	var newest uint64
	err := tx.one(`SELECT number FROM stated WHERE device=?`, args{device[:]}, func(r row1) error {
		newest = r.num(0)
		return nil
	})
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if s.Number <= newest || s.Number > maxCounter {
		return fmt.Errorf("%w: statement %d, newest is %d", ErrOlder, s.Number, newest)
	}
	if err := tx.exec(`INSERT INTO stated(device,desk,number,at) VALUES(?,?,?,?)
		ON CONFLICT DO UPDATE SET number=excluded.number, at=excluded.at`, device[:], s.From, s.Number, at); err != nil {
		return err
	}
	if err := tx.notePeer(s.From, "stated_in", at); err != nil {
		return err
	}
	return tx.exec(`UPDATE peer SET next_in=? WHERE desk=?`, time.Unix(int64(min(s.Next, maxCounter)), 0), s.From)
}

// StatementSent notes that this device sent its statement with that number to a
// desk, carrying these of the pending statuses. They are confirmed once the desk
// states that it has seen this statement or a later one: a later one carries
// whatever was still pending, the longest waiting first.
func (tx *Tx) StatementSent(desk identity.DeskID, number uint64, carried []delivery.Status, at time.Time) error {
	for _, st := range carried {
		if err := tx.exec(`UPDATE status SET carried=?, carried_change=change WHERE desk=? AND message=?`, number, desk, st.Message[:]); err != nil {
			return err
		}
	}
	return tx.notePeer(desk, "stated_out", at)
}

// SetStatus notes how far a message of a desk has come here, to be stated to it.
// Times in seconds since 1970 as in delivery.Status; each moves from 0 once.
func (tx *Tx) SetStatus(desk identity.DeskID, s delivery.Status) error {
	first := func(column string) string {
		return column + `=CASE WHEN ` + column + `=0 THEN excluded.` + column + ` ELSE ` + column + ` END`
	}
	return tx.exec(`INSERT INTO status(desk,message,received,opened,acknowledged,rejected,rule,change) VALUES(?,?,?,?,?,?,?,?)
		ON CONFLICT DO UPDATE SET rule=CASE WHEN rejected=0 AND excluded.rule<>'' THEN excluded.rule ELSE rule END,`+
		first("received")+`,`+first("opened")+`,`+first("acknowledged")+`,`+first("rejected")+`,change=excluded.change`,
		desk, s.Message[:], s.Received, s.Opened, s.Acknowledged, s.Rejected, s.Rule, tx.generation)
}

// StateAgain has a message that was stated to a desk stated once more.
func (tx *Tx) StateAgain(desk identity.DeskID, h message.Hash) error {
	return tx.exec(`UPDATE status SET change=? WHERE desk=? AND message=?`, tx.generation, desk, h[:])
}

// RejectedHere reports whether this desk refused a message, whoever sent it.
func (tx *Tx) RejectedHere(h message.Hash) (was bool, err error) {
	err = tx.each(`SELECT 1 FROM status WHERE message=? AND rejected<>0 LIMIT 1`, args{h[:]}, func(row1) error {
		was = true
		return nil
	})
	return was, err
}

// PendingStatuses returns the statuses that a desk has not confirmed, at most
// limit, the longest waiting first, and then sorted by message as a statement
// wants them.
func (tx *Tx) PendingStatuses(desk identity.DeskID, limit int) (ss []delivery.Status, err error) {
	err = tx.each(`SELECT * FROM (SELECT message,received,opened,acknowledged,rejected,rule FROM status
		WHERE desk=? AND confirmed<change ORDER BY change LIMIT ?) ORDER BY message`, args{desk, limit}, func(r row1) error {
		ss = append(ss, delivery.Status{Message: message.Hash(r.b32(0)), Received: r.num(1), Opened: r.num(2), Acknowledged: r.num(3),
			Rejected: r.num(4), Rule: r.text(5)})
		return nil
	})
	return ss, err
}

// confirmStatuses marks what statements up to a number carried. A status that
// changed after it was carried stays pending.
func (tx *Tx) confirmStatuses(desk identity.DeskID, stated uint64) error {
	if stated == 0 {
		return nil
	}
	return tx.exec(`UPDATE status SET confirmed=carried_change
		WHERE desk=? AND confirmed<change AND carried BETWEEN 1 AND ?`, desk, min(stated, maxCounter))
}
