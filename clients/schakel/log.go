package schakel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"schakel/clients/store"
	"schakel/crypto/canon"
	"schakel/crypto/delivery"
	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/seal"
)

// What the access log names, beside the actions that stand where they are done.
const (
	actionOpened   = "opened"           // subject: the message
	actionCase     = "case-opened"      // subject: the case; its state, notes or drafts were shown
	actionDrafts   = "drafts-opened"    // subject: the case, or "all"
	actionSaved    = "attachment-saved" // subject: the message whose attachment was opened
	actionExported = "exported"         // subject: the message whose sealed delivery was handed out
)

// LogLine is one line of the access log of a device of this desk.
type LogLine struct {
	Device  string    `json:"device"`
	Number  uint64    `json:"number"`
	At      time.Time `json:"at"`
	Action  string    `json:"action"`
	Subject string    `json:"subject"`
	Case    string    `json:"case,omitempty"`   // of the subject, where it is known here
	Person  string    `json:"person,omitempty"` // who proved it with the PIN; empty: whoever used the device
}

// LogState is what is known here of one device's log.
type LogState struct {
	Device  string `json:"device"`
	Here    bool   `json:"here"`    // it is this device's own
	Lines   int    `json:"lines"`   // that check out
	Missing uint64 `json:"missing"` // lines that this device was not shown yet
	Fault   string `json:"fault,omitempty"`
}

// AccessLog is what the devices of this desk noted, as far as it is known here.
type AccessLog struct {
	Lines   []LogLine  `json:"lines"` // by time
	Devices []LogState `json:"devices"`
}

// Intact reports whether every log that is known here checks out.
func (l AccessLog) Intact() bool {
	return !slices.ContainsFunc(l.Devices, func(d LogState) bool { return d.Fault != "" })
}

// note writes a line into the access log. On a store opened to save what can be read
// nothing is written.
func (n *Node) note(ctx context.Context, action, subject string, person identity.PersonID) error {
	err := n.update(ctx, func(tx *store.Tx) error { return tx.Audit(action, subject, person, n.now()) })
	if errors.Is(err, store.ErrReadOnly) {
		return nil
	}
	return err
}

func personOf(key *seal.PersonKey) identity.PersonID {
	if key == nil {
		return identity.PersonID{}
	}
	return key.ID
}

// Log returns the access log of all devices of this desk, checked: of one case where
// ref names one or a message of it, or with "" of all. A log that does not check out is
// named in Devices, with the lines that came before the fault.
func (n *Node) Log(ctx context.Context, ref string) (out AccessLog, err error) {
	err = n.store.View(ctx, func(tx *store.Tx) error {
		only := ""
		if ref != "" {
			kase, err := caseRef(tx, ref)
			if err != nil {
				return err
			}
			only = kase.String()
		}
		r := logReader{n: n, tx: tx, only: only}
		return r.all(&out)
	})
	slices.SortStableFunc(out.Lines, func(a, b LogLine) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Device, b.Device), cmp.Compare(a.Number, b.Number))
	})
	return out, err
}

type logReader struct {
	n    *Node
	tx   *store.Tx
	only string // identifier of a case, or empty
}

func (r logReader) all(out *AccessLog) error {
	own := LogState{Device: r.n.dev.ID.String(), Here: true}
	err := r.tx.AuditLog(r.into(out, &own))
	if err == nil {
		err = r.n.continues(r.tx)
	}
	own.fault(err)
	out.Devices = append(out.Devices, own)
	others, err := r.tx.WitnessedDevices()
	if err != nil {
		return err
	}
	for _, d := range others {
		state := LogState{Device: d.String()}
		state.Missing, err = r.tx.WitnessedLog(d, r.into(out, &state))
		state.fault(err)
		if r.n.contradicted(r.tx, d) {
			state.Fault = "it no longer continues what it showed"
		}
		out.Devices = append(out.Devices, state)
	}
	return nil
}

func (s *LogState) fault(err error) {
	if err != nil {
		s.Fault = err.Error()
	}
}

func (r logReader) into(out *AccessLog, state *LogState) func(store.AuditEntry) error {
	return func(e store.AuditEntry) error {
		state.Lines++
		line := LogLine{Device: state.Device, Number: e.Number, At: e.At.UTC(), Action: e.Action, Subject: e.Subject, Case: r.caseOf(e.Subject)}
		if e.Person != (identity.PersonID{}) {
			line.Person = r.n.nameOf(r.tx, e.Person)
		}
		if r.only == "" || line.Case == r.only {
			out.Lines = append(out.Lines, line)
		}
		return nil
	}
}

// caseOf finds the case of a subject: the case itself, or that of a message.
func (r logReader) caseOf(subject string) string {
	if _, err := identity.ParseUUID(subject); err == nil {
		return subject
	}
	var h message.Hash
	if h.UnmarshalText([]byte(subject)) != nil {
		return ""
	}
	kase, err := r.tx.CaseOf(h)
	if err != nil {
		return ""
	}
	return kase.String()
}

// shown is how far this device showed its log to the others.
type shown struct {
	_      struct{} `cbor:",toarray"`
	Number uint64
	Chain  [32]byte
}

const (
	settingShown = "log-shown"
	maxRun       = 100 // lines of at most 4 KiB; most have 120 bytes
	maxRunBytes  = 128 << 10
)

func (n *Node) shown(tx *store.Tx) (s shown, err error) {
	b, err := tx.Setting(settingShown)
	if errors.Is(err, store.ErrNotFound) {
		return s, nil
	}
	if err == nil {
		err = canon.Unmarshal(b, 64, &s)
	}
	return s, err
}

// continues checks that this device's own log still is what it showed the others.
func (n *Node) continues(tx *store.Tx) error {
	s, err := n.shown(tx)
	if err != nil {
		return err
	}
	if _, err := tx.AuditRun(s.Number, s.Chain, 1); err != nil {
		return err
	}
	chain, err := tx.AuditChain(s.Number)
	if err == nil && chain != s.Chain {
		err = fmt.Errorf("%w: the audit log is not the one that was shown to other devices", store.ErrTampered)
	}
	return err
}

// unshown returns the lines that this device has yet to show, and how far it showed.
func (n *Node) unshown(tx *store.Tx) (store.LogRun, error) {
	s, err := n.shown(tx)
	if err != nil {
		return store.LogRun{}, err
	}
	run, err := tx.AuditRun(s.Number, s.Chain, maxRun)
	size := 0
	for i, line := range run.Lines {
		if size += len(line); size > maxRunBytes {
			run.Lines = run.Lines[:i]
			break
		}
	}
	return run, err
}

// shownRun is the content of a record of log lines.
type shownRun struct {
	_      struct{} `cbor:",toarray"`
	From   uint64
	Before [32]byte
	Lines  [][]byte
}

// showLog shows the other devices of this desk what was added to the access log here.
// They keep it: whoever owns this machine can no longer cut it unnoticed.
func (n *Node) showLog(ctx context.Context) error {
	if _, err := n.sealable(n.dev.Desk, n.now()); err != nil {
		return nil //nolint:nilerr // nobody to show it to
	}
	var run store.LogRun
	err := n.store.View(ctx, func(tx *store.Tx) (err error) {
		run, err = n.unshown(tx)
		return err
	})
	if errors.Is(err, store.ErrTampered) {
		n.alarm(ctx, AlarmLog, n.dev.ID.String(), "cut")
		return nil
	}
	if err != nil || len(run.Lines) == 0 {
		return err
	}
	return n.update(ctx, func(tx *store.Tx) error { return n.show(tx, run) })
}

func (n *Node) show(tx *store.Tx, run store.LogRun) error {
	content, err := canon.Marshal(shownRun{From: run.From, Before: run.Before, Lines: run.Lines})
	if err != nil {
		return err
	}
	if _, err := n.write(tx, delivery.Record{Kind: delivery.RecordLog, Content: content}, nil); err != nil {
		return err
	}
	b, err := canon.Marshal(shown{Number: run.From + uint64(len(run.Lines)) - 1, Chain: run.After()})
	if err != nil {
		return err
	}
	n.poke()
	return tx.SetSetting(settingShown, b)
}

// settingContradicted begins the name under which a device is remembered whose log no
// longer continued what it had shown: putting the alarm away does not mend the log.
const settingContradicted = "log-contradicted/"

// witness keeps what another device of this desk shows of its log.
func (in *intake) witness(r delivery.Record) error {
	var run shownRun
	if err := canon.Unmarshal(r.Content, delivery.MaxRecordContent, &run); err != nil {
		return in.tx.CountRejected("log-malformed")
	}
	err := in.tx.Witness(r.Device, store.LogRun{From: run.From, Before: run.Before, Lines: run.Lines})
	if !errors.Is(err, store.ErrConflict) {
		return err
	}
	in.n.log.Warn("access log contradicts itself", "device", r.Device, "err", err)
	if err := in.tx.SetSetting(settingContradicted+r.Device.String(), fmt.Append(nil, in.now.Unix())); err != nil {
		return err
	}
	return in.raise(AlarmLog, r.Device.String(), "contradicted")
}

func (n *Node) contradicted(tx *store.Tx, d identity.DeviceID) bool {
	_, err := tx.Setting(settingContradicted + d.String())
	return err == nil
}
