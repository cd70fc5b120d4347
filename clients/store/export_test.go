package store

import (
	"archive/tar"
	"context"
	"io"
	"runtime"
	"time"

	"schakel/clients/store/index"
	"schakel/crypto/canon"
)

// CreateOn is Create on a VFS of the test's.
func CreateOn(ctx context.Context, vfs, dir string, o CreateOptions) (*Store, error) {
	return createOn(ctx, vfs, dir, o)
}

// Meddle changes the database behind the store's back, with its page key but
// without sealing anything: what an attacker does who found a way to write pages.
// A leading "SELECT" returns the first column of each row.
func (s *Store) Meddle(sql string, a ...any) (column [][]byte, err error) {
	<-s.turn
	defer func() { s.turn <- struct{}{} }()
	err = s.conn.run(sql, a, func(r row1) error {
		column = append(column, r.blob(0))
		return nil
	})
	return column, err
}

// CountForEver runs a statement that ends only when it is interrupted.
func (tx *Tx) CountForEver() error {
	return tx.each(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT max(i) FROM n`, nil, nil)
}

// Verified is what Verify reads, as SQL.
func Verified() (sqls []string) {
	for _, t := range sealedTables {
		sqls = append(sqls, t.sql)
	}
	return sqls
}

// Codecs are the own formats of sealed rows: each parses bytes and gives back
// what it would have written for them.
var Codecs = map[string]func([]byte) ([]byte, error){
	"device": func(b []byte) ([]byte, error) {
		d, err := parseDevice(b)
		if err != nil {
			return nil, err
		}
		return encodeDevice(d)
	},
	"pinned": func(b []byte) ([]byte, error) {
		p, err := parsePinned(b)
		if err != nil {
			return nil, err
		}
		return canon.Marshal(pinnedRecord{Size: p.Size, Root: p.Root, Note: p.Note})
	},
	"counters": func(b []byte) ([]byte, error) {
		c, err := parseCounters(b)
		if err != nil {
			return nil, err
		}
		return canon.Marshal(c)
	},
	"person": func(b []byte) ([]byte, error) {
		p, err := parsePerson(b)
		if err != nil {
			return nil, err
		}
		return encodePerson(p)
	},
	"user": func(b []byte) ([]byte, error) {
		u, err := parseUser(b)
		if err != nil {
			return nil, err
		}
		return encodeUser(u)
	},
	"audit": func(b []byte) ([]byte, error) {
		e, err := parseAudit(b)
		if err != nil {
			return nil, err
		}
		return encodeAudit(e)
	},
	"origin": func(b []byte) ([]byte, error) {
		o, err := parseOrigin(b)
		if err != nil {
			return nil, err
		}
		return encodeOrigin(o)
	},
	"state": func(b []byte) ([]byte, error) {
		s, err := parseState(b)
		if err != nil {
			return nil, err
		}
		return s.encode(), nil
	},
}

// ArchiveForTest writes the outer file of a backup, whatever its members hold.
func ArchiveForTest(w io.Writer, sealed string, recovery []byte) error {
	return writeArchive(w, sealed, recovery, time.Unix(0, 0))
}

// MembersForTest reads the outer file of a backup as Restore does.
func MembersForTest(r io.Reader) (recovery, sealed []byte, err error) {
	archive := tar.NewReader(r)
	if recovery, err = memberOf(archive); err != nil {
		return nil, nil, err
	}
	sealed, _ = io.ReadAll(archive)
	return recovery, sealed, nil
}

// CaseKeyForTest returns the key of a case, as it is kept in the store.
func (s *Store) CaseKeyForTest(ctx context.Context, ref [16]byte) (key []byte, err error) {
	err = s.View(ctx, func(tx *Tx) error {
		return tx.one(`SELECT box FROM kase WHERE ref=?`, args{ref[:]}, func(r row1) (err error) {
			key, err = tx.get(tx.rows(), kindCase, ref[:], r.blob(0))
			return err
		})
	})
	return key, err
}

// WordsForTest returns how many of these folded words the index holds in any text.
func (s *Store) WordsForTest(words ...string) (held int) {
	for _, w := range words {
		if _, total := s.found.Find(index.Query{Words: []string{w}}); total > 0 {
			held++
		}
	}
	return held
}

// GenerationForTest returns how many transactions wrote.
func (s *Store) GenerationForTest() uint64 { return s.last.generation }

// IndexSizeForTest returns what the index takes of the memory: what is given back when it
// is let go.
func (s *Store) IndexSizeForTest() int64 {
	use := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := use()
	s.found = nil
	return before - use()
}
