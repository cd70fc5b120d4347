package schakel_test

import (
	"errors"
	"time"

	"schakel/clients/protocol"
	"schakel/clients/protocol/calendar"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/trust"
)

// works reports whether the practice is open on a day.
func works(day time.Time) bool {
	d := calendar.DateOf(day)
	return d != bridge && calendar.Calendar{}.IsWorkingDay(d)
}

// plan draws what happens on a day that begins at six in the morning.
func (w *month) plan(morning time.Time) {
	hour := func(h, m int) time.Time {
		return morning.Add(time.Duration(h-6)*time.Hour + time.Duration(m)*time.Minute)
	}
	draw := func(from, to int) time.Time { return hour(from, w.rng.IntN(60*(to-from))) }
	if works(morning) {
		w.at(hour(8, w.rng.IntN(15)), func() { w.arrive(w.doctor) })
		w.at(draw(9, 16), w.signal)
		w.at(hour(17, 45+w.rng.IntN(14)), w.signal) // the answer comes when nobody is there
		w.at(hour(18, w.rng.IntN(15)), func() { w.leave(w.doctor) })
	} else {
		w.at(draw(9, 22), w.feedback) // for when they are back
	}
	w.at(draw(7, 29), w.acute)
	w.at(draw(7, 29), w.advice)
	w.at(draw(6, 30), w.restartOne)
	switch w.rng.IntN(3) {
	case 0:
		w.at(draw(7, 28), w.restartRelay)
	}
	switch n := int(morning.Sub(begins)/(24*time.Hour)) % 7; n {
	case 0, 4:
		w.at(draw(10, 14), w.restartRelay)
	case 1:
		w.at(draw(9, 12), w.rollOut)
	case 3:
		w.at(draw(9, 17), w.replaceDevice)
	}
	w.at(hour(22, 5), func() {
		for _, o := range []*bureau{w.vt, w.hub, w.police} {
			o.devices[0].Backup()
		}
	})
}

func (w *month) opens() time.Time {
	d := w.Now().In(calendar.Zone())
	for d = time.Date(d.Year(), d.Month(), d.Day(), 8, 30, 0, 0, calendar.Zone()); !works(d) || !d.After(w.Now()); {
		d = time.Date(d.Year(), d.Month(), d.Day()+1, 8, 30, 0, 0, calendar.Zone())
	}
	return d
}

// leave switches the machine of an office off until it opens again, and says so first.
func (w *month) leave(o *bureau) {
	for m := range o.awake {
		w.awaits("everybody is told of an absence", func() bool {
			a, err := m.Node.Away(w.t.Context(), w.opens())
			if err != nil {
				w.t.Fatal(err)
			}
			return len(a.Untold) == 0
		})
		w.sleep(o, m)
	}
}

func (w *month) arrive(o *bureau) {
	for _, m := range o.devices {
		if o.awake[m] == nil {
			m.Reopen()
			w.wake(o, m)
		}
	}
	w.connected()
}

// anyOf is a device of an office that runs.
func (w *month) anyOf(o *bureau) *schakeltest.Member {
	var up []*schakeltest.Member
	for _, m := range o.devices {
		if o.awake[m] != nil {
			up = append(up, m)
		}
	}
	return up[w.rng.IntN(len(up))]
}

func (w *month) say(from *bureau, d schakel.Draft) schakel.Sent {
	w.t.Helper()
	var sent schakel.Sent
	var err error
	m := w.anyOf(from)
	if d.Answers+d.Case != "" {
		m = from.devices[0] // a newer one does not have what was before it
	}
	d.Body = example(w.t, d.Class)
	defer func() {
		if err != nil {
			w.t.Log(err)
		}
	}()
	w.awaits("it can be sent", func() bool {
		sent, err = m.Node.Send(w.t.Context(), d)
		return err == nil
	})
	w.noteSent(from, m, sent.Hash)
	return sent
}

func (w *month) noteSent(from *bureau, m *schakeltest.Member, hash string) {
	w.t.Helper()
	sum, err := m.Node.Trace(w.t.Context(), hash)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, to := range sum.Recipients {
		w.sent = append(w.sent, letterSent{hash: hash, from: from.desk, to: to.Desk, at: w.Now()})
	}
}

// acknowledge has a person of an office sign for a message once it is there, when somebody is.
func (w *month) acknowledge(o *bureau, hash string, then ...func()) {
	w.t.Helper()
	if !o.runs() {
		w.at(w.opens().Add(20*time.Minute), func() { w.acknowledge(o, hash, then...) })
		return
	}
	m := w.anyOf(o)
	var err error
	var sent schakel.Sent
	defer func() {
		if err != nil {
			w.t.Log(err)
		}
	}()
	w.awaits("it can be acknowledged", func() bool {
		sent, err = m.Node.Acknowledge(w.t.Context(), hash, schakel.Acknowledgement{Person: o.person.Name, PIN: schakeltest.PIN})
		if errors.Is(err, schakel.ErrNotFound) {
			m = o.devices[0]
		}
		return err == nil
	})
	w.noteSent(o, m, sent.Hash)
	for _, do := range then {
		do()
	}
}

// signal is a doctor's concern, and what becomes of it.
func (w *month) signal() {
	if !w.doctor.runs() {
		return
	}
	u := message.Urgent
	if w.rng.IntN(2) == 0 {
		u = message.Routine
	}
	s := w.say(w.doctor, schakel.Draft{Class: "signaal", Urgency: u, To: []identity.DeskID{w.vt.desk}})
	w.soon(5, 90, func() {
		w.acknowledge(w.vt, s.Hash, func() { w.signals = append(w.signals, s.Hash) })
	})
}

// feedback goes to a practice that is closed.
func (w *month) feedback() {
	if len(w.signals) == 0 {
		return
	}
	s := w.say(w.vt, schakel.Draft{Class: "terugkoppeling", Urgency: message.Routine, To: []identity.DeskID{w.doctor.desk}, Answers: w.signals[w.rng.IntN(len(w.signals))]})
	w.at(w.opens().Add(time.Duration(20+w.rng.IntN(60))*time.Minute), func() { w.acknowledge(w.doctor, s.Hash) })
}

// acute is a report in the night or by day, a case that is led, and its closing days later.
func (w *month) acute() {
	s := w.say(w.hub, schakel.Draft{Class: "melding", Urgency: message.Acute, To: []identity.DeskID{w.vt.desk, w.police.desk}})
	w.soon(1, 5, func() { w.acknowledge(w.vt, s.Hash) })
	w.soon(6, 10, func() { w.acknowledge(w.police, s.Hash) })
	w.soon(120, 5*24*60, func() {
		c := w.say(w.vt, schakel.Draft{Class: protocol.ClassClosing, Urgency: message.Routine, Case: s.Case,
			To: []identity.DeskID{w.police.desk, w.hub.desk}, Person: w.vt.person.Name, PIN: schakeltest.PIN})
		w.soon(5, 60, func() { w.acknowledge(w.police, c.Hash) })
		w.soon(5, 60, func() { w.acknowledge(w.hub, c.Hash) })
	})
}

// advice is asked and given.
func (w *month) advice() {
	s := w.say(w.vt, schakel.Draft{Class: "adviesvraag", Urgency: message.Urgent, To: []identity.DeskID{w.hub.desk}})
	w.soon(5, 60, func() {
		w.acknowledge(w.hub, s.Hash, func() {
			a := w.say(w.hub, schakel.Draft{Class: "advies", Urgency: message.Routine, To: []identity.DeskID{w.vt.desk}, Answers: s.Hash})
			w.soon(5, 60, func() { w.acknowledge(w.vt, a.Hash) })
		})
	})
}

// restartOne restarts the daemon of a device, or kills it.
func (w *month) restartOne() {
	o := w.all[w.rng.IntN(len(w.all))]
	if !o.runs() {
		return
	}
	m := w.anyOf(o)
	w.sleep(o, m)
	w.restarts++
	m.Reopen()
	<-time.After(time.Duration(w.rng.IntN(180)) * time.Second)
	w.wake(o, m)
	w.connected()
}

func (w *month) restartRelay() {
	w.restarts++
	w.StopRelay()
	<-time.After(time.Duration(w.rng.IntN(120)) * time.Second)
	w.StartRelay()
	w.connected()
}

// rollOut brings another version of the program to everybody, one by one: the relay, and then
// each device.
func (w *month) rollOut() {
	w.newer = !w.newer
	newer := w.newer
	w.restartRelay()
	minutes := 10
	for _, o := range w.all {
		for _, m := range o.devices {
			w.at(w.Now().Add(time.Duration(minutes)*time.Minute), func() { w.upgrade(o, m, newer) })
			minutes += 3 + w.rng.IntN(40)
		}
	}
}

func (w *month) upgrade(o *bureau, m *schakeltest.Member, newer bool) {
	ran := o.awake[m] != nil
	if ran {
		w.sleep(o, m)
	}
	m.Reopen()
	if w.restarts++; newer {
		m.Speaks(w.version2())
	} else {
		m.Speaks()
	}
	if ran {
		w.wake(o, m)
		w.connected()
	}
}

// replaceDevice gives Veilig Thuis a new second device, and ends the old one.
func (w *month) replaceDevice() {
	old := w.vt.devices[1]
	w.enrol(w.vt)
	w.connected()
	w.soon(60, 200, func() {
		w.sleep(w.vt, old)
		if err := w.vt.devices[0].Node.Revoke(w.t.Context(), trust.Device{ID: old.Node.Device()}.Subject(), trust.ReasonRetired); err != nil {
			w.t.Fatal(err)
		}
		w.vt.devices = append(w.vt.devices[:1], w.vt.devices[2:]...)
	})
}

// version2 is the next version of the protocol, under the same agreement.
func (w *month) version2() *protocol.Catalogue {
	if w.agreed == nil {
		return version2(w.t)
	}
	return closedOn(w.t, bridge, version2(w.t))
}
