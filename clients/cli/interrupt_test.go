package cli_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"schakel/clients/cli"
)

// broken is a disk without room.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("no room") }

// A person who presses Ctrl-C while the program waits for a secret is heard.
func TestInterruptedWhileWaitingForASecret(t *testing.T) {
	in, feed := io.Pipe()
	defer feed.Close()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	home := t.TempDir()
	go func() {
		ended <- cli.Main(ctx, []string{"--home", filepath.Join(home, "device"), "--passphrase-file", "-", "init", "--org", "vt20",
			"--name", "Veilig Thuis", "--oin", "00000099000000020000", "--desk", "vt20/crisis", "--role", "veilig-thuis",
			"--phone", "+31600000007"}, cli.Stdio{In: in, Out: io.Discard, Err: io.Discard, Now: time.Now, Zone: time.UTC})
	}()
	if _, err := feed.Write([]byte("half a passphr")); err != nil { // it reads, and waits for more
		t.Fatal(err)
	}
	cancel()
	select {
	case code := <-ended:
		if code != cli.Interrupted {
			t.Errorf("exit code %d, want %d", code, cli.Interrupted)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("still waits")
	}
	if _, err := os.Lstat(filepath.Join(home, "device")); err == nil {
		t.Error("a device was made all the same")
	}
}

// A result that could not be written is no success.
func TestResultNotWritten(t *testing.T) {
	var told bytes.Buffer
	std := cli.Stdio{In: bytes.NewReader(nil), Out: broken{}, Err: &told, Now: time.Now, Zone: time.UTC}
	if code := cli.Main(context.Background(), []string{"version"}, std); code != cli.Failed {
		t.Errorf("exit code %d, want %d: %s", code, cli.Failed, &told)
	}
	std.Out = io.Discard
	if code := cli.Main(context.Background(), []string{"version"}, std); code != cli.Done {
		t.Errorf("control: exit code %d: %s", code, &told)
	}
}
