package store

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/ncruces/go-sqlite3"
	_ "github.com/ncruces/go-sqlite3/vfs/adiantum" // the page cipher registers itself as a VFS

	"schakel/crypto/identity"
)

// connection is the only connection to the database: one writer and no other
// process need no locks between them, and with locking_mode=EXCLUSIVE SQLite
// itself refuses a second process and keeps the index of the write-ahead log in
// memory instead of in a shared file.
type connection struct {
	db    *sqlite3.Conn
	stmts map[string]*sqlite3.Stmt
}

// pragmas, in order; the key comes before all of them. Durability: in WAL mode
// with synchronous=FULL each commit syncs the log before it returns, and because
// the page cipher withdraws the promise of power-safe overwrites, SQLite pads
// each commit to a whole sector: a torn later write cannot reach a commit before
// it. Each page carries a checksum inside the encryption, so that a changed block
// is noticed (the cipher turns it into noise) and not read as something else.
const pragmas = `
PRAGMA locking_mode=EXCLUSIVE;
PRAGMA temp_store=MEMORY;
PRAGMA journal_mode=WAL;
PRAGMA synchronous=FULL;
PRAGMA secure_delete=ON;
PRAGMA foreign_keys=OFF;
PRAGMA trusted_schema=OFF;
PRAGMA cell_size_check=ON;
PRAGMA wal_autocheckpoint=1000;
PRAGMA cache_size=-8192;
`

func connect(path, vfs string, keys *secrets, fresh bool) (*connection, error) {
	if err := wholeBlocks(path + "-wal"); err != nil {
		return nil, err
	}
	// modeof: the log gets the mode of the database, 0600.
	query := url.Values{"vfs": {vfs}, "modeof": {path}}
	uri := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path), RawQuery: query.Encode()}
	db, err := sqlite3.OpenFlags(uri.String(), sqlite3.OPEN_READWRITE|sqlite3.OPEN_URI)
	if err != nil {
		return nil, fail("open the store", err)
	}
	c := &connection{db: db, stmts: map[string]*sqlite3.Stmt{}}
	if err := c.prepare(keys, fresh); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// blockSize is what the page cipher encrypts at a time, in every file.
const blockSize = 4096

// wholeBlocks fills the last block of the log with zeros. After a power cut the
// file may end inside a block; the cipher then fails to read it, and SQLite would
// refuse the whole log instead of ending it there. What was committed ends at a
// block, so only unfinished writes are concerned; a running process never leaves
// such an end.
func wholeBlocks(log string) error {
	st, err := os.Stat(log)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && st.Size()%blockSize != 0 {
		err = os.Truncate(log, st.Size()+blockSize-st.Size()%blockSize)
	}
	if err != nil {
		return fmt.Errorf("failed to complete the last block of the log: %w", err)
	}
	return nil
}

func (c *connection) prepare(keys *secrets, fresh bool) error {
	// The key goes in as a pragma: in the URI it would be readable by every
	// extension, and stand in error messages.
	if err := c.db.Exec(`PRAGMA hexkey='` + hex.EncodeToString(keys.pages) + `'`); err != nil {
		return errors.New("failed to set the page key") // the text of err holds the key
	}
	if fresh {
		if err := c.db.EnableChecksums("main"); err != nil {
			return fail("switch page checksums on", err)
		}
	}
	if err := c.db.Exec(pragmas); err != nil {
		return fail("open the store", err)
	}
	return nil
}

func (c *connection) close() error {
	for _, s := range c.stmts {
		s.Close()
	}
	return fail("close the store", c.db.Close())
}

// stmt returns a prepared statement, from the cache unless that one is in use by
// a caller further up.
func (c *connection) stmt(sql string) (s *sqlite3.Stmt, done func(), err error) {
	if s := c.stmts[sql]; s != nil && !s.Busy() {
		return s, func() { s.Reset(); s.ClearBindings() }, nil
	}
	s, _, err = c.db.Prepare(sql)
	if err != nil {
		return nil, nil, err
	}
	if c.stmts[sql] == nil {
		c.stmts[sql] = s
		return s, func() { s.Reset(); s.ClearBindings() }, nil
	}
	return s, func() { s.Close() }, nil
}

type args []any

func (c *connection) run(sql string, a args, row func(row1) error) error {
	s, done, err := c.stmt(sql)
	if err != nil {
		return fail("prepare a statement", err)
	}
	defer done()
	for i, v := range a {
		if err := bind(s, i+1, v); err != nil {
			return fail("bind a value", err)
		}
	}
	for s.Step() {
		if row == nil {
			continue
		}
		if err := row(row1{s}); err != nil {
			return err
		}
	}
	return fail("read or write the store", s.Err())
}

func bind(s *sqlite3.Stmt, i int, v any) error {
	switch v := v.(type) {
	case nil:
		return s.BindNull(i)
	case int:
		return s.BindInt64(i, int64(v))
	case int64:
		return s.BindInt64(i, v)
	case uint64:
		return s.BindInt64(i, int64(v))
	case bool:
		return s.BindBool(i, v)
	case string:
		return s.BindText(i, v)
	case identity.DeskID:
		return s.BindText(i, string(v))
	case []byte:
		return s.BindBlob(i, v)
	case time.Time:
		return s.BindInt64(i, millis(v))
	case kind:
		return s.BindInt64(i, int64(v))
	}
	return fmt.Errorf("failed to bind a value of type %T", v)
}

// row1 is the row a statement stands on. What it returns are copies.
type row1 struct{ s *sqlite3.Stmt }

func (r row1) num(i int) uint64           { return uint64(r.s.ColumnInt64(i)) }
func (r row1) int(i int) int              { return r.s.ColumnInt(i) }
func (r row1) bool(i int) bool            { return r.s.ColumnInt64(i) != 0 }
func (r row1) text(i int) string          { return r.s.ColumnText(i) }
func (r row1) desk(i int) identity.DeskID { return identity.DeskID(r.s.ColumnText(i)) }
func (r row1) blob(i int) []byte          { return r.s.ColumnBlob(i, nil) }
func (r row1) time(i int) time.Time       { return fromMillis(r.s.ColumnInt64(i)) }
func (r row1) b16(i int) (b [16]byte)     { copy(b[:], r.s.ColumnRawBlob(i)); return b }
func (r row1) b32(i int) (b [32]byte)     { copy(b[:], r.s.ColumnRawBlob(i)); return b }

// Times are stored as milliseconds since 1970, the zero time as 0.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// orNil stores identifiers of zeros as NULL, so that partial indexes skip them.
func orNil16(b [16]byte) any {
	if b == [16]byte{} {
		return nil
	}
	return b[:]
}

func orNil32(b [32]byte) any {
	if b == [32]byte{} {
		return nil
	}
	return b[:]
}
