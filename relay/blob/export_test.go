package blob

import (
	"encoding/json"
	"strings"
)

// Reread reads a name as everything that it may be, and writes what it read.
func Reread(name string) map[string]string {
	again := make(map[string]string)
	if u, whole, err := parseUpload(name); err == nil {
		again["upload"] = u.name()
		if whole {
			again["upload"] = u.whole()
		}
	}
	if desk, u, err := parseHold(name); err == nil {
		again["hold"] = u.hold(desk)
	}
	if m, err := parseDone(name); err == nil {
		again["mark"] = m.name()
	}
	if cells := strings.Split(name, "/"); len(cells) == 4 && cells[0]+"/" == partsFolder {
		u, _, err := parseUpload(uploadsFolder + "a/b/" + cells[2] + "/" + cells[1] + ".1")
		if err != nil {
			return again
		}
		if p, err := u.parsePiece(name); err == nil {
			text := u.newPart(p.offset, p.size)
			again["part"] = text[:strings.LastIndexByte(text, '.')] + name[strings.LastIndexByte(name, '.'):]
		}
	}
	return again
}

// RereadRecord reads a record of either kind, and writes what it read.
func RereadRecord(raw []byte) ([]byte, bool) {
	var b begun
	if decode(raw, &b) == nil && b.check() == nil {
		again, err := json.Marshal(b)
		return again, err == nil
	}
	var w whole
	if decode(raw, &w) != nil {
		return nil, false
	}
	u := upload{length: 4096}
	if _, err := w.pieces(u); err != nil {
		return nil, false
	}
	again, err := json.Marshal(w)
	return again, err == nil
}
