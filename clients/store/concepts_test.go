package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"schakel/clients/store"
	"schakel/clients/store/vault"
	"schakel/crypto/identity"
)

func TestDevice(t *testing.T) {
	p := newPlace(t)
	s := p.create(t)
	want := store.Device{ID: self, Desk: "knooppunt/piket", Sign: privateKey(1), Login: privateKey(2), Org: privateKey(3), Relay: "wss://relay.example/v1/connect"}
	view(t, s, func(tx *store.Tx) error {
		if _, err := tx.Device(); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("before: %v", err)
		}
		return nil
	})
	update(t, s, func(tx *store.Tx) error {
		bad := want
		bad.Login = nil
		if err := tx.SetDevice(bad); err == nil {
			t.Error("a device without a login key")
		}
		return tx.SetDevice(want)
	})
	s.Close()
	s = p.open(t)
	view(t, s, func(tx *store.Tx) error {
		got, err := tx.Device()
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v", got)
		}
		return err
	})
	want.Org = nil
	update(t, s, func(tx *store.Tx) error {
		if err := tx.SetDevice(want); err != nil {
			return err
		}
		got, err := tx.Device()
		if !reflect.DeepEqual(got, want) {
			t.Errorf("without organisation key: %+v", got)
		}
		return err
	})
}

func TestSettings(t *testing.T) {
	update(t, newStore(t), func(tx *store.Tx) error {
		if err := errors.Join(tx.SetSetting("a", []byte("1")), tx.SetSetting("a", []byte("2")), tx.SetSetting("empty", nil), tx.DeleteSetting("none")); err != nil {
			return err
		}
		if v, err := tx.Setting("a"); string(v) != "2" || err != nil {
			t.Errorf("%q, %v", v, err)
		}
		if v, err := tx.Setting("empty"); len(v) != 0 || err != nil {
			t.Errorf("%q, %v", v, err)
		}
		if err := tx.DeleteSetting("a"); err != nil {
			return err
		}
		if _, err := tx.Setting("a"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("deleted: %v", err)
		}
		for _, name := range []string{"", "\x00device"} {
			if err := tx.SetSetting(name, nil); err == nil {
				t.Errorf("name %q", name)
			}
		}
		if err := tx.SetSetting("big", make([]byte, 2<<20)); !errors.Is(err, store.ErrTooLarge) {
			t.Errorf("2 MiB: %v", err)
		}
		return nil
	})
}

func TestRegister(t *testing.T) {
	s := newStore(t)
	replay := func(tx *store.Tx) (all string, p store.Pinned) {
		p, err := tx.Register(func(i uint64, e []byte) error { all += fmt.Sprint(i, string(e), " "); return nil })
		if err != nil {
			t.Error(err)
		}
		return all, p
	}
	pin := func(size uint64) store.Pinned {
		return store.Pinned{Size: size, Root: [32]byte{byte(size)}, Note: []byte("checkpoint")}
	}
	update(t, s, func(tx *store.Tx) error {
		if all, p := replay(tx); all != "" || p.Size != 0 {
			t.Errorf("before: %q, %+v", all, p)
		}
		if err := tx.SaveRegister(0, [][]byte{[]byte("a"), []byte("b")}, pin(2)); err != nil {
			return err
		}
		for _, c := range []struct {
			from    uint64
			entries int
			p       store.Pinned
		}{{1, 1, pin(2)}, {3, 1, pin(4)}, {2, 1, pin(2)}, {2, 1, pin(4)}, {0, 2, pin(2)}, {1, 1, pin(3)}, {5, 1, pin(3)}} {
			if err := tx.SaveRegister(c.from, make([][]byte, c.entries), c.p); !errors.Is(err, store.ErrGap) {
				t.Errorf("%+v: %v", c, err)
			}
		}
		return tx.SaveRegister(2, [][]byte{[]byte("c")}, pin(3))
	})
	view(t, s, func(tx *store.Tx) error { // a loop over rows inside one over the same rows
		_, err := tx.Register(func(uint64, []byte) error {
			if all, _ := replay(tx); all != "0a 1b 2c " {
				t.Errorf("inside: %q", all)
			}
			return nil
		})
		return err
	})
	view(t, s, func(tx *store.Tx) error {
		if all, p := replay(tx); all != "0a 1b 2c " || !reflect.DeepEqual(p, pin(3)) {
			t.Errorf("%q, %+v", all, p)
		}
		return nil
	})
	for _, sql := range []string{`UPDATE register SET idx=9 WHERE idx=2`, `DELETE FROM register WHERE idx=9`, `DELETE FROM register WHERE idx=0`} {
		if _, err := s.Meddle(sql); err != nil {
			t.Fatal(err)
		}
		err := s.View(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Register(func(uint64, []byte) error { return nil })
			return err
		})
		if !errors.Is(err, store.ErrTampered) {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

func TestEpochKeys(t *testing.T) {
	s := newStore(t)
	key := func(n uint64) store.EpochKey {
		from := now.Add(time.Duration(n) * 24 * time.Hour)
		return store.EpochKey{Number: n, Secret: fmt.Sprint("AGE-SECRET-KEY-PQ-1-", n), From: from, Until: from.Add(24 * time.Hour)}
	}
	update(t, s, func(tx *store.Tx) error {
		for n := range uint64(4) {
			if err := errors.Join(tx.PutEpochKey(key(n)), tx.PutEpochKey(key(n))); err != nil {
				return err
			}
		}
		other := key(2)
		other.Secret = "another"
		if err := tx.PutEpochKey(other); !errors.Is(err, store.ErrConflict) {
			t.Errorf("another key under a used number: %v", err)
		}
		got, err := tx.EpochKey(2)
		if got != key(2) {
			t.Errorf("got %+v", got)
		}
		return err
	})
	update(t, s, func(tx *store.Tx) error {
		n, err := tx.DestroyEpochKeys(key(2).From.Add(time.Second)) // 0 and 1 ended before
		if n != 2 || err != nil {
			t.Errorf("destroyed %d, %v", n, err)
		}
		if _, err := tx.EpochKey(1); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("destroyed: %v", err)
		}
		ks, err := tx.EpochKeys()
		if len(ks) != 2 || ks[0] != key(2) || ks[1] != key(3) {
			t.Errorf("left %+v", ks)
		}
		return err
	})
	if err := s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestPersons(t *testing.T) {
	s := newStore(t)
	locked, err := store.LockPerson(privateKey(7), "123456", 4)
	if err != nil {
		t.Fatal(err)
	}
	want := store.Person{ID: identity.PersonID{1}, Name: "Noor de Vries", Function: "regiehouder", Telephone: "+31600000001", Locked: locked}
	update(t, s, func(tx *store.Tx) error {
		return errors.Join(tx.SetPerson(want), tx.SetPerson(store.Person{ID: identity.PersonID{2}}), tx.DeletePerson(identity.PersonID{2}))
	})
	view(t, s, func(tx *store.Tx) error {
		got, err := tx.Person(want.ID)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v", got)
		}
		if _, err := tx.Person(identity.PersonID{2}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("deleted: %v", err)
		}
		if all, err := tx.Persons(); len(all) != 1 || err != nil {
			t.Errorf("all: %v, %v", all, err)
		}
		return err
	})
	if _, err := want.Unlock("123457"); !errors.Is(err, vault.ErrPassphrase) {
		t.Errorf("wrong PIN: %v", err)
	}
	if key, err := want.Unlock("123456"); err != nil || !bytes.Equal(key, privateKey(7)) {
		t.Errorf("right PIN: %v", err)
	}
	if _, err := store.LockPerson(privateKey(7), "1234", 4); !errors.Is(err, vault.ErrTooShort) {
		t.Errorf("PIN of four: %v", err)
	}
}

func TestAlarms(t *testing.T) {
	update(t, newStore(t), func(tx *store.Tx) error {
		for i := range 3 {
			fresh, err := tx.RaiseAlarm("gap", "device-1", fmt.Sprint(i), now.Add(time.Duration(i)*time.Minute))
			if fresh != (i == 0) || err != nil {
				t.Errorf("raise %d: fresh %v, %v", i, fresh, err)
			}
		}
		if fresh, err := tx.RaiseAlarm("gap", "device-2", "", now); !fresh || err != nil {
			t.Errorf("another subject: %v, %v", fresh, err)
		}
		as, err := tx.Alarms()
		want := store.Alarm{Kind: "gap", Subject: "device-1", Code: "2", At: now, Last: now.Add(2 * time.Minute), Times: 3}
		if len(as) != 2 || as[0] != want {
			t.Errorf("alarms %+v", as)
		}
		if err := errors.Join(err, tx.ClearAlarm("gap", "device-1")); err != nil {
			return err
		}
		if err := tx.ClearAlarm("gap", "device-1"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("cleared twice: %v", err)
		}
		fresh, err := tx.RaiseAlarm("gap", "device-1", "", now)
		if !fresh {
			t.Error("raised again after clearing")
		}
		return err
	})
}

func TestAudit(t *testing.T) {
	s := newStore(t)
	for i := range 3 {
		update(t, s, func(tx *store.Tx) error {
			return tx.Audit("opened", fmt.Sprint("message-", i), identity.PersonID{byte(i)}, now.Add(time.Duration(i)*time.Second))
		})
	}
	var got []store.AuditEntry
	view(t, s, func(tx *store.Tx) error {
		return tx.AuditLog(func(e store.AuditEntry) error { got = append(got, e); return nil })
	})
	want := store.AuditEntry{Number: 3, Action: "opened", Subject: "message-2", Person: identity.PersonID{2}, At: now.Add(2 * time.Second)}
	if len(got) != 3 || got[2] != want {
		t.Errorf("log %+v", got)
	}
}

// Every own format has one encoding and survives whatever is put in it.
func FuzzCodecs(f *testing.F) {
	for name := range store.Codecs {
		f.Add(name, []byte{0x80})
		f.Add(name, bytes.Repeat([]byte{1}, 40))
	}
	f.Add("counters", []byte{0x82, 1, 2})
	f.Add("pinned", append(append([]byte{0x83, 1, 0x58, 32}, make([]byte, 32)...), 0x41, 'n'))
	for _, org := range [][]byte{{0xf6}, {0x40}, append([]byte{0x58, 32}, make([]byte, 32)...)} {
		b := append(append([]byte{0x86, 0x50}, make([]byte, 16)...), "\x6bvt20/crisis"...)
		f.Add("origin", append(append(b, org...), 0x60, 1, 2))
	}
	f.Fuzz(func(t *testing.T, name string, b []byte) {
		codec := store.Codecs[name]
		if codec == nil {
			return
		}
		again, err := codec(b)
		if err != nil {
			if !errors.Is(err, store.ErrTampered) {
				t.Fatalf("%s: %v", name, err)
			}
			return
		}
		if !bytes.Equal(again, b) {
			t.Fatalf("%s: %x comes back as %x", name, b, again)
		}
	})
}

// Changing any line, not only the last, breaks the chain.
func TestAuditLineChanged(t *testing.T) {
	s := newStore(t)
	update(t, s, func(tx *store.Tx) error {
		return errors.Join(tx.Audit("opened", "message-1", identity.PersonID{}, now), tx.Audit("opened", "message-2", identity.PersonID{}, now))
	})
	lines, err := s.Meddle(`SELECT entry FROM audit WHERE number=1`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Meddle(`UPDATE audit SET entry=? WHERE number=1`, bytes.Replace(lines[0], []byte("message-1"), []byte("message-7"), 1)); err != nil {
		t.Fatal(err)
	}
	seen := 0
	err = s.View(t.Context(), func(tx *store.Tx) error {
		return tx.AuditLog(func(store.AuditEntry) error { seen++; return nil })
	})
	if !errors.Is(err, store.ErrTampered) || seen != 2 {
		t.Errorf("%d lines, %v", seen, err)
	}
}
