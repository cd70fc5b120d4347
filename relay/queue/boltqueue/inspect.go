package boltqueue

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"os"

	"schakel/relay/queue"
)

// The layout of a bbolt file as far as inspect reads it; the numbers are in the
// byte order of the machine that wrote it (go.etcd.io/bbolt, internal/common).
//
//	page    id u64, flags u16, count u16, overflow u32, then its elements
//	meta    magic u32, version u32, page size u32, flags u32, root u64, sequence u64,
//	        freelist u64, pages u64, transaction u64, FNV-1a u64
//	branch  pos u32, key size u32, page u64
//	leaf    flags u32, pos u32, key size u32, value size u32
const (
	pageHeader = 16
	metaBytes  = 64
	metaMagic  = 0xED0CDAED
	element    = 16
	flagBranch = 1
	flagLeaf   = 2
	flagBucket = 1 // of a leaf element
	maxDepth   = 32
	maxKey     = 64 // the longest key of this store, with room
)

// findings is what inspect tells about a file that may be opened.
type findings struct {
	metaLost bool // one of the two meta pages is unreadable
}

// inspection walks every page that the newest transaction refers to. It reads
// with ReadAt, never through a memory map, so that nothing in the file can make
// it fault; and it reads page heads and keys, not values.
type inspection struct {
	file     io.ReaderAt
	pageSize int64
	pages    uint64 // the high water mark
	seen     []uint64
	fronts   [maxDepth + 1][]byte // the page in hand at each depth
}

// inspect returns queue.ErrDamaged unless bbolt can open file and walk it without
// a panic. It answers every condition that bbolt's own walk panics on: a page out
// of range, used twice, of no known kind, keys out of order. Beyond that it wants
// keys and values to lie end to end, as bbolt writes them, so that a flipped bit
// in a length or a count does not hide a record.
func inspect(file *os.File) (findings, error) {
	stat, err := file.Stat()
	if err != nil {
		return findings{}, err
	}
	meta, found, err := readMetas(file, stat.Size())
	if err != nil {
		return found, err
	}
	in := &inspection{file: file, pageSize: int64(meta.pageSize), pages: meta.pages}
	if int64(in.pages) > stat.Size()/in.pageSize {
		return found, damaged("the file is %d bytes, shorter than its %d pages", stat.Size(), in.pages)
	}
	in.seen = make([]uint64, in.pages/64+1)
	return found, in.page(meta.root, nil, nil, 0)
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", queue.ErrDamaged, fmt.Sprintf(format, args...))
}

type metaPage struct {
	pageSize                 uint32
	root, pages, transaction uint64
}

// readMetas returns the newest valid meta page. The second stands one page after
// the first; when the first is unreadable, any page size is tried.
func readMetas(file io.ReaderAt, size int64) (metaPage, findings, error) {
	first, ok := readMeta(file, 0)
	sizes := []int64{int64(first.pageSize)}
	if !ok {
		sizes = []int64{4096, 8192, 16384, 32768, 65536}
	}
	for _, pageSize := range sizes {
		second, ok2 := readMeta(file, pageSize)
		if ok2 && int64(second.pageSize) != pageSize {
			ok2 = false
		}
		switch {
		case ok && ok2 && second.transaction > first.transaction:
			return second, findings{}, nil
		case ok:
			return first, findings{metaLost: !ok2}, nil
		case ok2:
			return second, findings{metaLost: true}, nil
		}
	}
	return first, findings{}, damaged("no readable meta page in %d bytes", size)
}

func readMeta(file io.ReaderAt, at int64) (metaPage, bool) {
	var b [metaBytes + 8]byte
	if _, err := file.ReadAt(b[:], at+pageHeader); err != nil {
		return metaPage{}, false
	}
	n := binary.NativeEndian
	sum := fnv.New64a()
	sum.Write(b[:56])
	m := metaPage{pageSize: n.Uint32(b[8:]), root: n.Uint64(b[16:]), pages: n.Uint64(b[40:]), transaction: n.Uint64(b[48:])}
	ok := n.Uint32(b[:]) == metaMagic && n.Uint32(b[4:]) == 2 && n.Uint64(b[56:]) == sum.Sum64() &&
		m.pageSize >= 1024 && m.pageSize <= 1<<16 && m.pageSize&(m.pageSize-1) == 0
	return m, ok
}

// page checks the subtree at id. Its keys begin with least and are below below;
// nil means any.
func (in *inspection) page(id uint64, least, below []byte, depth int) error {
	if depth > maxDepth {
		return damaged("page %d: the tree is too deep", id)
	}
	p, err := in.read(id, depth)
	if err != nil {
		return err
	}
	keys, err := p.keys(in)
	if err != nil {
		return err
	}
	// bbolt finds a page in its parent by the page's first key: with another key
	// there, a write would leave the page in the tree and free it as well.
	if least != nil && (len(keys) == 0 || !bytes.Equal(keys[0], least)) {
		return damaged("page %d does not begin with the key of its parent", id)
	}
	for i, key := range keys {
		if i > 0 && bytes.Compare(key, keys[i-1]) <= 0 || below != nil && bytes.Compare(key, below) >= 0 {
			return damaged("page %d: key %d out of order", id, i)
		}
	}
	if p.leaf {
		return in.buckets(p, depth)
	}
	return in.children(p, keys, below, depth)
}

// head is the front of a page: its header and its elements.
type head struct {
	id       uint64
	leaf     bool
	count    int
	size     int64 // of the page with its overflow
	elements []byte
}

func (in *inspection) read(id uint64, depth int) (*head, error) {
	if id < 2 || id >= in.pages {
		return nil, damaged("page %d of %d", id, in.pages)
	}
	if in.fronts[depth] == nil {
		in.fronts[depth] = make([]byte, in.pageSize)
	}
	first := in.fronts[depth]
	at := int64(id) * in.pageSize
	if _, err := in.file.ReadAt(first, at); err != nil {
		return nil, damaged("page %d: %v", id, err)
	}
	n := binary.NativeEndian
	flags, overflow := n.Uint16(first[8:]), uint64(n.Uint32(first[12:]))
	p := &head{id: id, leaf: flags == flagLeaf, count: int(n.Uint16(first[10:])), size: int64(overflow+1) * in.pageSize}
	switch {
	case n.Uint64(first) != id:
		return nil, damaged("page %d says it is another", id)
	case flags != flagLeaf && flags != flagBranch:
		return nil, damaged("page %d: flags %#x", id, flags)
	case overflow >= in.pages-id || int64(pageHeader+p.count*element) > p.size || p.count == 0 && !p.leaf:
		return nil, damaged("page %d: %d elements, overflow %d", id, p.count, overflow)
	}
	if !in.claim(id, overflow) {
		return nil, damaged("page %d is used twice", id)
	}
	return p, p.load(in, first)
}

// load takes the elements from the first page, or reads them all when there are
// more than fit there.
func (p *head) load(in *inspection, first []byte) error {
	p.elements = first
	if want := int64(pageHeader + p.count*element); want > in.pageSize {
		p.elements = make([]byte, want)
		if _, err := in.file.ReadAt(p.elements, int64(p.id)*in.pageSize); err != nil {
			return damaged("page %d: %v", p.id, err)
		}
	}
	return nil
}

func (in *inspection) claim(id, overflow uint64) bool {
	for i := id; i <= id+overflow; i++ {
		if in.seen[i/64]&(1<<(i%64)) != 0 {
			return false
		}
		in.seen[i/64] |= 1 << (i % 64)
	}
	return true
}

// keys reads the keys of all elements. Positions count from the element itself.
func (p *head) keys(in *inspection) ([][]byte, error) {
	n, keys := binary.NativeEndian, make([][]byte, p.count)
	next := int64(pageHeader + p.count*element)
	for i := range keys {
		at := pageHeader + i*element
		e := p.elements[at : at+element]
		pos, size, value := int64(n.Uint32(e)), int64(n.Uint32(e[4:])), int64(0)
		if p.leaf {
			pos, size, value = int64(n.Uint32(e[4:])), int64(n.Uint32(e[8:])), int64(n.Uint32(e[12:]))
		}
		if size == 0 || size > maxKey || int64(at)+pos != next || next+size+value > p.size {
			return nil, damaged("page %d: element %d is not where it should be", p.id, i)
		}
		key, err := p.key(in, next, size)
		if err != nil {
			return nil, err
		}
		keys[i] = key
		next += size + value
	}
	return keys, nil
}

func (p *head) key(in *inspection, start, size int64) ([]byte, error) {
	if start+size <= int64(len(p.elements)) {
		return p.elements[start : start+size], nil
	}
	key := make([]byte, size)
	if _, err := in.file.ReadAt(key, int64(p.id)*in.pageSize+start); err != nil {
		return nil, damaged("page %d: %v", p.id, err)
	}
	return key, nil
}

func (in *inspection) children(p *head, keys [][]byte, below []byte, depth int) error {
	for i, key := range keys {
		end := below
		if i+1 < len(keys) {
			end = keys[i+1]
		}
		child := binary.NativeEndian.Uint64(p.elements[pageHeader+i*element+8:])
		if err := in.page(child, key, end, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// buckets follows the buckets that stand in a leaf: those of the store, in the root.
func (in *inspection) buckets(p *head, depth int) error {
	for i := range p.count {
		if err := in.bucket(p, i, depth); err != nil {
			return err
		}
	}
	return nil
}

func (in *inspection) bucket(p *head, i, depth int) error {
	n, at := binary.NativeEndian, pageHeader+i*element
	e := p.elements[at : at+element]
	switch flags := n.Uint32(e); {
	case flags == 0:
		return nil
	case flags != flagBucket || n.Uint32(e[12:]) < 16:
		return damaged("page %d: element %d has flags %#x", p.id, i, flags)
	}
	var bucket [pageHeader + 16]byte
	start := int64(p.id)*in.pageSize + int64(at) + int64(n.Uint32(e[4:])) + int64(n.Uint32(e[8:]))
	if _, err := in.file.ReadAt(bucket[:16], start); err != nil {
		return damaged("page %d: %v", p.id, err)
	}
	if root := n.Uint64(bucket[:]); root != 0 {
		return in.page(root, nil, nil, depth+1)
	}
	return in.inline(p, start+16, int64(n.Uint32(e[12:]))-16)
}

// inline checks a small bucket that stands within its element as a leaf page.
func (in *inspection) inline(p *head, start, size int64) error {
	b := make([]byte, max(size, pageHeader))
	if _, err := in.file.ReadAt(b, start); err != nil || size < pageHeader {
		return damaged("page %d: inline bucket of %d bytes", p.id, size)
	}
	n := binary.NativeEndian
	within := &head{id: p.id, leaf: true, count: int(n.Uint16(b[10:])), size: size, elements: b}
	if n.Uint16(b[8:]) != flagLeaf || int64(pageHeader+within.count*element) > size {
		return damaged("page %d: inline bucket", p.id)
	}
	keys, err := within.keys(in)
	if err != nil {
		return err
	}
	for i, key := range keys {
		if n.Uint32(b[pageHeader+i*element:]) != 0 || i > 0 && bytes.Compare(key, keys[i-1]) <= 0 {
			return damaged("page %d: inline bucket, key %d", p.id, i)
		}
	}
	return nil
}
