package register

// BreakForTest makes the next commit fail, as a dying disk does.
func (l *Log) BreakForTest() { l.db.Close() }
