package boltjournal_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"schakel/relay/oncall"
	"schakel/relay/oncall/boltjournal"
	"schakel/relay/oncall/oncalltest"
	"schakel/relay/queue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSuite(t *testing.T) {
	oncalltest.Run(t, func(t *testing.T) oncalltest.Config {
		path := filepath.Join(t.TempDir(), "oncall.db")
		return oncalltest.Config{Alone: true, Open: func() (oncall.Journal, func() error, error) {
			j, err := boltjournal.Open(path)
			if err != nil {
				return nil, nil, err
			}
			return j, j.Close, nil
		}}
	})
}

func TestOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "oncall.db")
	j, err := boltjournal.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := boltjournal.Open(path); !errors.Is(err, queue.ErrInUse) {
		t.Errorf("opened twice: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Hold(t.Context(), oncall.Bid{Node: "a", Span: 1}); !errors.Is(err, queue.ErrUnavailable) {
		t.Errorf("asked after it was closed: %v", err)
	}
	if err := os.WriteFile(path, make([]byte, 1<<16), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := boltjournal.Open(path); !errors.Is(err, queue.ErrDamaged) {
		t.Errorf("a file of zeros: %v", err)
	}
}
