package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"schakel/clients/store"
	"schakel/clients/store/vault"
	"schakel/crypto/message"
)

// refusals are all the errors that a damaged or changed folder may give.
var refusals = []error{store.ErrTampered, store.ErrRolledBack, store.ErrDamaged, vault.ErrNoWay}

func refused(err error) bool {
	for _, r := range refusals {
		if errors.Is(err, r) {
			return true
		}
	}
	return false
}

// filled returns a closed store with messages 1 to n in case n%8, a waiting
// delivery for each, and one of everything else.
func filled(t *testing.T, n uint64) place {
	t.Helper()
	p := newPlace(t)
	s := p.create(t)
	fill(t, s, 1, n)
	update(t, s, func(tx *store.Tx) error {
		return errors.Join(
			tx.SetDevice(store.Device{ID: self, Desk: "knooppunt/piket", Sign: privateKey(1), Login: privateKey(2), Relay: "wss://relay.example"}),
			tx.SetSetting("genesis", []byte("root")),
			tx.PutEpochKey(store.EpochKey{Number: 1, Secret: "AGE-SECRET-KEY-PQ-1", From: now, Until: now.Add(24 * time.Hour)}),
			tx.SetPerson(store.Person{ID: [16]byte{1}, Name: "Noor de Vries", Locked: []byte{1}}),
			tx.Audit("created", "store", [16]byte{}, now),
			tx.Audit("filled", "store", [16]byte{}, now))
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return p
}

func fill(t *testing.T, s *store.Store, from, to uint64) {
	t.Helper()
	update(t, s, func(tx *store.Tx) error {
		for n := from; n <= to; n++ {
			if err := sendOne(tx, n, crashBody(n)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Attack G01: an attacker who can write pages exchanges two rows, or puts an
// older one back. Reading says so, and every other row still opens.
func TestG01MeddledRows(t *testing.T) {
	hash := func(n uint64) []byte { h := storedMessage(n, store.Out).Hash; return h[:] }
	meddle := func(sql string, a ...any) func(*testing.T, *store.Store) {
		return func(t *testing.T, s *store.Store) {
			if _, err := s.Meddle(sql, a...); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, change := range map[string]func(*testing.T, *store.Store){
		"other row of the same case": meddle(`UPDATE message SET box=(SELECT box FROM message WHERE hash=?) WHERE hash=?`, hash(9), hash(1)),
		"row of another case":        meddle(`UPDATE message SET box=(SELECT box FROM message WHERE hash=?) WHERE hash=?`, hash(2), hash(1)),
		"row moved to another case":  meddle(`UPDATE message SET kase=(SELECT kase FROM message WHERE hash=?) WHERE hash=?`, hash(2), hash(1)),
		"one bit":                    meddle(`UPDATE message SET box=CAST(substr(box,1,30)||char(7)||substr(box,32) AS BLOB) WHERE hash=?`, hash(1)),
		"empty box":                  meddle(`UPDATE message SET box=x'' WHERE hash=?`, hash(1)),
		"no box":                     meddle(`UPDATE message SET box=NULL WHERE hash=?`, hash(1)),
		"row of another table":       meddle(`UPDATE message SET box=(SELECT box FROM outbox LIMIT 1) WHERE hash=?`, hash(1)),
		"row taken away":             meddle(`DELETE FROM message WHERE hash=?`, hash(1)),
		"seal taken away":            meddle(`DELETE FROM seal WHERE row=?`, hash(1)),
		"seal of another version":    meddle(`UPDATE seal SET version=version+1 WHERE row=?`, hash(1)),
		"case key of another case":   meddle(`UPDATE kase SET box=(SELECT box FROM kase WHERE ref=?) WHERE ref=?`, caseRef(2), caseRef(1)),
		"case key taken away":        meddle(`DELETE FROM kase WHERE ref=?`, caseRef(1)),
	} {
		t.Run(name, func(t *testing.T) {
			s := filled(t, 12).open(t)
			change(t, s)
			err := s.View(t.Context(), func(tx *store.Tx) error {
				_, err := tx.Message(message.Hash(hash(1)))
				return err
			})
			if !errors.Is(err, store.ErrTampered) {
				t.Errorf("reading the row: %v", err)
			}
			if err := s.Verify(t.Context()); !errors.Is(err, store.ErrTampered) {
				t.Errorf("verifying: %v", err)
			}
			view(t, s, func(tx *store.Tx) error {
				_, err := tx.Message(message.Hash(hash(3)))
				return err
			})
		})
	}
}

// Verify reads every table that has a box, so whoever adds a table cannot leave it out. That
// of meta is read whenever the store opens.
func TestVerifyReadsEveryBox(t *testing.T) {
	tables, err := newStore(t).Meddle(`SELECT t.name FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type='table' AND c.name='box' AND t.name<>'meta'`)
	if err != nil || len(tables) < 10 {
		t.Fatalf("%d tables, %v", len(tables), err)
	}
	for _, name := range tables {
		if !slices.ContainsFunc(store.Verified(), func(sql string) bool { return strings.Contains(sql+" ", " FROM "+string(name)+" ") }) {
			t.Errorf("table %s is not verified", name)
		}
	}
}

func caseRef(n uint64) []byte { c := caseOf(n); return c[:] }

func TestUnmeddled(t *testing.T) {
	if err := filled(t, 12).open(t).Verify(t.Context()); err != nil {
		t.Errorf("control: %v", err)
	}
}

func TestMeddledOthers(t *testing.T) {
	for sql, read := range map[string]func(*store.Tx) error{
		`UPDATE setting SET box=(SELECT box FROM setting WHERE name='genesis')`: func(tx *store.Tx) error { _, err := tx.Device(); return err },
		`DELETE FROM setting WHERE name<>'genesis'`:                             func(tx *store.Tx) error { _, err := tx.Device(); return err },
		`DELETE FROM counters`:             func(tx *store.Tx) error { _, err := tx.NextCounter(peer); return err },
		`DELETE FROM person`:               func(tx *store.Tx) error { _, err := tx.Person([16]byte{1}); return err },
		`UPDATE epoch SET number=2`:        func(tx *store.Tx) error { _, err := tx.EpochKey(2); return err },
		`DELETE FROM outbox`:               func(tx *store.Tx) error { _, err := tx.Delivery(envelopeID(1)); return err },
		`DELETE FROM audit WHERE number=1`: readAudit,
		`DELETE FROM audit WHERE number=2`: readAudit,
		`UPDATE audit SET entry=(SELECT entry FROM audit WHERE number=1) WHERE number=2`: readAudit,
		`UPDATE audit SET entry=CAST(substr(entry,1,12)||'x'||substr(entry,14) AS BLOB)`: readAudit,
		`UPDATE outbox SET box=(SELECT box FROM outbox WHERE seq=2) WHERE seq=1`:         func(tx *store.Tx) error { _, err := tx.Offers([16]byte{}, now, 0, 9); return err },
	} {
		s := filled(t, 3).open(t)
		if _, err := s.Meddle(sql); err != nil {
			t.Fatal(err)
		}
		err := s.Update(t.Context(), read)
		if !errors.Is(err, store.ErrTampered) {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

func readAudit(tx *store.Tx) error {
	return tx.AuditLog(func(store.AuditEntry) error { return nil })
}

// Two rows of different kinds under the same number, sealed at the same version.
func TestMeddledKinds(t *testing.T) {
	s := newStore(t)
	update(t, s, func(tx *store.Tx) error {
		_, err := tx.Quarantine(store.Quarantined{Reason: "lane", At: now, Raw: []byte("what an attacker sent")})
		return errors.Join(err, tx.PutEpochKey(store.EpochKey{Number: 1, Secret: "AGE-SECRET-KEY-PQ-1"}))
	})
	if _, err := s.Meddle(`UPDATE epoch SET box=(SELECT box FROM quarantine)`); err != nil {
		t.Fatal(err)
	}
	err := s.View(t.Context(), func(tx *store.Tx) error { _, err := tx.EpochKey(1); return err })
	if !errors.Is(err, store.ErrTampered) {
		t.Errorf("a quarantined envelope as an epoch key: %v", err)
	}
}

// A set of rows put back together with their seals fits in itself, but no longer
// the sum.
func TestRowsAndSealsPutBack(t *testing.T) {
	p := filled(t, 3)
	s := p.open(t)
	if _, err := s.Meddle(`CREATE TEMP TABLE old AS SELECT box, (SELECT version FROM seal WHERE kind=4) version FROM counters`); err != nil {
		t.Fatal(err)
	}
	fill(t, s, 4, 4)
	for _, sql := range []string{
		`UPDATE counters SET box=(SELECT box FROM old)`,
		`UPDATE seal SET version=(SELECT version FROM old) WHERE kind=4`,
	} {
		if _, err := s.Meddle(sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := openError(t, p); !errors.Is(err, store.ErrTampered) {
		t.Errorf("opened with an older counter: %v", err)
	}
}

func openError(t *testing.T, p place) error {
	t.Helper()
	s, err := store.Open(t.Context(), p.dir, store.Unlock{Keys: p.ways})
	if err == nil {
		s.Close()
	}
	return err
}

// Attack C24, as far as a folder can tell: an older copy of the database beside
// the newer side file. With an older side file as well nothing here can tell.
func TestC24RolledBack(t *testing.T) {
	p := filled(t, 3)
	old, oldSide := read(t, p, "store.db"), read(t, p, "generation")
	s := p.open(t)
	fill(t, s, 4, 4)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	newer, side := read(t, p, "store.db"), read(t, p, "generation")

	write(t, p, "store.db", old)
	if err := openError(t, p); !errors.Is(err, store.ErrRolledBack) {
		t.Errorf("older database: %v", err)
	}
	if err := os.Remove(filepath.Join(p.dir, "generation")); err != nil {
		t.Fatal(err)
	}
	if err := openError(t, p); !errors.Is(err, store.ErrRolledBack) {
		t.Errorf("no generation file: %v", err)
	}
	write(t, p, "generation", bytes.Repeat([]byte{1}, len(side)))
	if err := openError(t, p); !errors.Is(err, store.ErrTampered) {
		t.Errorf("generation file of rubbish: %v", err)
	}
	write(t, p, "store.db", newer)
	write(t, p, "generation", oldSide)
	if err := openError(t, p); err != nil {
		t.Errorf("generation file behind, as after a power cut: %v", err)
	}
}

// Two copies of a store that went on separately: the database of one beside the
// generation file of the other, at the same generation.
func TestForkedStores(t *testing.T) {
	p := filled(t, 3)
	q := place{dir: filepath.Join(t.TempDir(), "copy"), ways: p.ways}
	if err := os.CopyFS(q.dir, os.DirFS(p.dir)); err != nil {
		t.Fatal(err)
	}
	for i, one := range []place{p, q} {
		s := one.open(t)
		update(t, s, func(tx *store.Tx) error { return tx.SetSetting(fmt.Sprint("fork-", i), nil) })
		s.Close()
	}
	write(t, p, "store.db", read(t, q, "store.db"))
	if err := openError(t, p); !errors.Is(err, store.ErrTampered) {
		t.Errorf("database of a fork: %v", err)
	}
}

func TestRolledBackCanBeRead(t *testing.T) {
	p := filled(t, 3)
	old := read(t, p, "store.db")
	s := p.open(t)
	fill(t, s, 4, 4)
	s.Close()
	write(t, p, "store.db", old)
	s, err := store.Open(t.Context(), p.dir, store.Unlock{Keys: p.ways, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	view(t, s, func(tx *store.Tx) error {
		_, err := tx.Message(storedMessage(2, store.Out).Hash)
		return err
	})
	if err := s.Update(t.Context(), func(*store.Tx) error { return nil }); !errors.Is(err, store.ErrReadOnly) {
		t.Errorf("Update: %v", err)
	}
}

// A database of another store, under the keys of this one.
func TestForeignDatabase(t *testing.T) {
	p, q := filled(t, 1), filled(t, 1)
	write(t, p, "store.db", read(t, q, "store.db"))
	if err := openError(t, p); !refused(err) {
		t.Errorf("foreign database: %v", err)
	}
	for _, name := range []string{"keyfile.wrap", "recovery.age"} {
		write(t, p, "keys/"+name, read(t, q, "keys/"+name))
	}
	if err := openError(t, p); !errors.Is(err, store.ErrTampered) {
		t.Errorf("a whole foreign store beside the generation file of this one: %v", err)
	}
}

// Flipped bits and truncations anywhere in any file: either a typed refusal, or
// everything is there. Never a panic, never other content.
func TestDamagedFiles(t *testing.T) {
	p := filled(t, 12)
	rounds := 40
	if testing.Short() {
		rounds = 10
	}
	for _, name := range []string{"store.db", "generation", "keys/keyfile.wrap", "keys/recovery.age"} {
		whole := read(t, p, name)
		for i := range rounds {
			rng := rand.New(rand.NewPCG(3, uint64(i)))
			b := damage(rng, whole)
			write(t, p, name, b)
			if err := readEverything(t, place{dir: p.dir, ways: p.ways[:1]}); err != nil && !refused(err) {
				t.Errorf("%s, round %d: %v", name, i, err)
			}
		}
		write(t, p, name, whole)
	}
	if err := readEverything(t, p); err != nil {
		t.Errorf("control: %v", err)
	}
}

func damage(rng *rand.Rand, whole []byte) []byte {
	b := append([]byte(nil), whole...)
	switch rng.IntN(4) {
	case 0:
		return b[:rng.IntN(len(b))]
	case 1:
		clear(b[rng.IntN(len(b)):])
	default:
		b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
	}
	return b
}

// readEverything opens, verifies and compares the contents of a store of 12.
func readEverything(t *testing.T, p place) error {
	s, err := store.Open(t.Context(), p.dir, store.Unlock{Keys: p.ways})
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Verify(t.Context()); err != nil {
		return err
	}
	return s.View(t.Context(), func(tx *store.Tx) error {
		for n := uint64(1); n <= 12; n++ {
			m, err := tx.Message(storedMessage(n, store.Out).Hash)
			if err != nil {
				return err
			}
			if !bytes.Equal(m.Raw, crashBody(n)) {
				return fmt.Errorf("message %d has another content", n)
			}
		}
		return nil
	})
}

// What is not sealed has the checksum of its page: a changed bit in a long register
// entry is refused and not read as another entry.
func TestDamagedUnsealed(t *testing.T) {
	p := newPlace(t)
	s := p.create(t)
	entry := bytes.Repeat([]byte("entry"), 10_000)
	update(t, s, func(tx *store.Tx) error {
		return tx.SaveRegister(0, [][]byte{entry}, store.Pinned{Size: 1})
	})
	s.Close()
	whole, refusals := read(t, p, "store.db"), 0
	for off := 100; off < len(whole); off += blockSize {
		b := bytes.Clone(whole)
		b[off] ^= 1
		write(t, p, "store.db", b)
		got, err := firstEntry(t, p)
		switch {
		case err == nil && !bytes.Equal(got, entry):
			t.Errorf("block %d: another entry", off/blockSize)
		case err != nil && !refused(err):
			t.Errorf("block %d: %v", off/blockSize, err)
		case err != nil:
			refusals++
		}
	}
	if refusals < len(entry)/blockSize {
		t.Errorf("%d blocks refused", refusals)
	}
}

const blockSize = 4096

func firstEntry(t *testing.T, p place) (entry []byte, err error) {
	s, err := store.Open(t.Context(), p.dir, store.Unlock{Keys: p.ways})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	err = s.View(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Register(func(_ uint64, e []byte) error { entry = e; return nil })
		return err
	})
	return entry, err
}

// A log that ends inside a block, as a power cut may leave it.
func TestLogEndsInsideBlock(t *testing.T) {
	p := newPlace(t)
	s := p.create(t)
	fill(t, s, 1, 12)
	after := place{dir: t.TempDir(), ways: p.ways}
	if err := os.CopyFS(after.dir, os.DirFS(p.dir)); err != nil { // as of now: never closed
		t.Fatal(err)
	}
	log := read(t, after, "store.db-wal")
	write(t, after, "store.db-wal", append(log, make([]byte, 4000)...))
	if err := readEverything(t, after); err != nil {
		t.Error(err)
	}
}

func read(t *testing.T, p place, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, p place, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// An attacker without any key who can write the file puts single blocks back as
// they were: the page cipher and the checksums do not notice that. What is sealed
// comes back as it is now or not at all.
func TestBlocksPutBack(t *testing.T) {
	p := filled(t, 12)
	old := read(t, p, "store.db")
	s := p.open(t)
	update(t, s, func(tx *store.Tx) error {
		if _, err := tx.NextCounter(peer); err != nil {
			return err
		}
		return errors.Join(tx.SetSetting("genesis", []byte("other root")), tx.SetAcknowledged(storedMessage(3, store.Out).Hash, store.Acknowledgement{Desk: peer, At: now, Person: "Noor"}),
			tx.DestroyCase(caseOf(5), now))
	})
	s.Close()
	whole, noticed, unnoticed := read(t, p, "store.db"), 0, 0
	for off := 0; off+blockSize <= min(len(old), len(whole)); off += blockSize {
		if bytes.Equal(old[off:off+blockSize], whole[off:off+blockSize]) {
			continue
		}
		b := bytes.Clone(whole)
		copy(b[off:], old[off:off+blockSize])
		write(t, p, "store.db", b)
		err := readAfterPutBack(t, p)
		switch {
		case err == nil:
			unnoticed++
		case refused(err):
			noticed++
		default:
			t.Errorf("block %d: %v", off/blockSize, err)
		}
	}
	t.Logf("of %d blocks put back singly, %d were noticed", noticed+unnoticed, noticed)
	if noticed == 0 {
		t.Error("control: nothing was noticed")
	}
}

// readAfterPutBack returns nil when the sealed rows are as they were last written.
func readAfterPutBack(t *testing.T, p place) error {
	s, err := store.Open(t.Context(), p.dir, store.Unlock{Keys: p.ways})
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Verify(t.Context()); err != nil {
		return err
	}
	return s.View(t.Context(), func(tx *store.Tx) error {
		counter, err := tx.LastCounter(peer)
		genesis, err2 := tx.Setting("genesis")
		m, err3 := tx.Message(storedMessage(5, store.Out).Hash)
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		if counter != 13 || string(genesis) != "other root" || !errors.Is(err3, store.ErrDestroyed) {
			return fmt.Errorf("counter %d, setting %s, destroyed message: %v %q", counter, genesis, err3, m.Raw)
		}
		return nil
	})
}
