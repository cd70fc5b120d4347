package register

import "time"

// BreakForTest makes the next commit fail, as a dying disk does.
func (l *Log) BreakForTest() { l.db.Close() }

// RowText makes the text of a row and reads it again.
func RowText(at time.Time, imported bool, entry []byte) []byte {
	return row{at: at, imported: imported, entry: entry}.text()
}

// ParseRowText reads the text of a row, and gives it again.
func ParseRowText(text []byte) (again []byte, err error) {
	w, err := parseText(text)
	return w.text(), err
}
