package calendar

import (
	"encoding/binary"
	"sync"
	"time"
)

// Zone is Amsterdam: an hour ahead of UTC, two from the last Sunday of March to the
// last Sunday of October (2000/84/EC, articles 1 to 3).
//
// It is written out here and not read from the machine. A server without zone files,
// or with old ones, would otherwise compute other deadlines than its partners do. The
// day that the rule changes, this line changes with a version of the program; until
// then every version agrees.
func Zone() *time.Location { return zone() }

// rule is the zone in the notation of POSIX, as a time zone file carries it behind its
// table (RFC 9636, 3.3).
const rule = "CET-1CEST,M3.5.0,M10.5.0/3"

var zone = sync.OnceValue(func() *time.Location {
	l, err := time.LoadLocationFromTZData("Europe/Amsterdam", zoneFile())
	if err != nil {
		panic(err) // constant: wrong here means wrong in every test
	}
	return l
})

// zoneFile is the smallest file that holds the rule: two tables (RFC 9636, 3.1: one
// for readers from before 2005) of one entry without changes, and the rule.
func zoneFile() []byte {
	table := append([]byte("TZif2"), make([]byte, 15)...)
	for _, count := range []uint32{0, 0, 0, 0, 1, 4} { // one type of time, four bytes of names
		table = binary.BigEndian.AppendUint32(table, count)
	}
	table = binary.BigEndian.AppendUint32(table, 3600)
	table = append(table, 0, 0) // no summer time, name at 0
	table = append(table, "CET\x00"...)
	return append(append(table, table...), "\n"+rule+"\n"...)
}
