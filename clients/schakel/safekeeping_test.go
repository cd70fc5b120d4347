package schakel_test

import (
	"bytes"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"testing"
	"time"

	"schakel/clients/schakel"
	"schakel/clients/store"
)

// Where backups are made, a late one is an alarm until the next is there. Where none was
// ever made there is none, nor one that a restored store brought along.
func TestLateBackup(t *testing.T) {
	p := newAcutePair(t, nil)
	m, ctx := p.to, testContext(t)
	late := func(want bool) {
		t.Helper()
		eventually(t, "the alarm is "+strconv.FormatBool(want), func() bool { return hasAlarm(t, m, schakel.AlarmBackup) == want })
		if s, err := m.Node.Safety(ctx); err != nil || s.BackupLate != want {
			t.Errorf("safety says %+v, %v", s, err)
		}
	}
	back := func() {
		t.Helper()
		var out bytes.Buffer
		b, err := m.Node.Backup(ctx, &out)
		if err := errors.Join(err, m.Node.NoteBackup(ctx, b)); err != nil || out.Len() == 0 {
			t.Fatal(err)
		}
	}
	// planted is there until upkeep has looked and found that nothing is late.
	planted := func() {
		t.Helper()
		var fresh bool // upkeep may end it before anybody can look
		err := m.Store().Update(ctx, func(tx *store.Tx) (err error) {
			fresh, err = tx.RaiseAlarm(string(schakel.AlarmBackup), "apparaat", "", p.Now())
			return err
		})
		if err != nil || !fresh {
			t.Fatalf("control: %t, %v", fresh, err)
		}
	}
	planted()
	late(false)
	back()
	p.Pass(7 * 24 * time.Hour)
	planted()
	late(false)
	p.Pass(2 * 24 * time.Hour)
	late(true)
	back()
	late(false)
}

// What lists the kinds of alarms, such as who must have words for each, misses none.
func TestAlarmKinds(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "types.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	ast.Inspect(file, func(n ast.Node) bool {
		v, is := n.(*ast.ValueSpec)
		if !is || len(v.Values) != 1 {
			return true
		}
		if kind, is := v.Type.(*ast.Ident); is && kind.Name == "AlarmKind" {
			text, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, text)
		}
		return true
	})
	for _, k := range schakel.AlarmKinds() {
		got = append(got, string(k))
	}
	slices.Sort(want)
	slices.Sort(got)
	if len(want) < 20 || !slices.Equal(got, want) {
		t.Errorf("listed are %q, there are %q", got, want)
	}
}
