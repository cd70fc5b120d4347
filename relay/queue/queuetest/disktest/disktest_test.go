//go:build linux

package disktest_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"schakel/relay/queue/queuetest/disktest"
)

func write(t *testing.T, path string, sync bool) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(strings.Repeat("fictief ", 1000)); err != nil {
		t.Fatal(err)
	}
	if sync {
		if err := errors.Join(f.Sync(), syncFolder(filepath.Dir(path))); err != nil {
			t.Fatal(err)
		}
	}
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// A cut keeps what was synced and loses what was not, and the disk itself goes on.
func TestCutLosesWhatWasNotSynced(t *testing.T) {
	disk := disktest.Ext4(t)
	for n, name := range []string{"first", "second"} {
		write(t, disk.Path(name), true)
		write(t, disk.Path(name+"-unsynced"), false)
		after, err := disk.Cut()
		if err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(after.Path(name)); err != nil || len(b) != 8000 {
			t.Errorf("cut %d lost what was synced: %d bytes, %v", n, len(b), err)
		}
		if b, err := os.ReadFile(after.Path(name + "-unsynced")); err == nil && len(b) == 8000 {
			t.Errorf("cut %d kept what was not synced", n)
		}
		after.Remove()
		if b, err := os.ReadFile(disk.Path(name + "-unsynced")); err != nil || len(b) != 8000 {
			t.Errorf("the disk itself lost something: %v", err)
		}
		if err := disk.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	last, err := disk.Cut()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(last.Path("first-unsynced")); err != nil {
		t.Errorf("after a sync: %v", err)
	}
	if _, err := os.Stat(inside(last)); err != nil {
		t.Errorf("the place of the mount: %v", err)
	}
	if _, err := os.Stat(filepath.Join(inside(last), "first")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("others see the mount: %v", err)
	}
}

// inside is where a disk is mounted in its own namespace: what Path says behind
// the root of the process that holds that.
func inside(d *disktest.Disk) string {
	_, mounted, _ := strings.Cut(d.Path(), "/root")
	return mounted
}

// A small disk is full when it should be.
func TestTmpfsIsFull(t *testing.T) {
	disk := disktest.Tmpfs(t, 1<<20)
	err := os.WriteFile(disk.Path("big"), make([]byte, 2<<20), 0o600)
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("2 MiB on a disk of 1 MiB: %v", err)
	}
	if err := os.Remove(disk.Path("big")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(disk.Path("small"), make([]byte, 1<<19), 0o600); err != nil {
		t.Errorf("after room was made: %v", err)
	}
}

// However a test ends, nothing is left of its disks: here its files are still open,
// and nobody unmounts.
func TestNothingIsLeft(t *testing.T) {
	var image string
	var open *os.File
	t.Run("a test", func(t *testing.T) {
		disk := disktest.Ext4(t)
		image = filepath.Dir(inside(disk))
		after, err := disk.Cut()
		if err != nil {
			t.Fatal(err)
		}
		if len(loops(t, image)) != 2 {
			t.Fatalf("loop devices %q: the test is blind", loops(t, image))
		}
		if open, err = os.Create(after.Path("open")); err != nil {
			t.Fatal(err)
		}
	})
	if open == nil {
		t.Skip("NOT TESTED: no disk")
	}
	if left := loops(t, image); len(left) != 1 {
		t.Errorf("left with a file open: %q", left)
	}
	open.Close()
	eventually(t, "the loop device is gone", func() bool { return len(loops(t, image)) == 0 })
}

// loops are the loop devices whose files lie in a folder.
func loops(t *testing.T, dir string) (found []string) {
	t.Helper()
	all, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		if b, err := os.ReadFile(path); err == nil && strings.HasPrefix(string(b), dir+"/") {
			found = append(found, path)
		}
	}
	return found
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	limit, again := time.NewTimer(30*time.Second), time.NewTicker(5*time.Millisecond)
	defer limit.Stop()
	defer again.Stop()
	for !done() {
		select {
		case <-again.C:
		case <-limit.C:
			t.Fatalf("never happened: %s", what)
		}
	}
}

// A frozen family writes nothing more, and goes on afterwards.
func TestFreeze(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ticks")
	// A child of a child writes, as the rewriting child of a server does.
	command := exec.Command("sh", "-c", `(while :; do echo tick >>"$0"; done) & wait`, path)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
		_ = command.Wait()
	})
	size := func() int64 {
		info, err := os.Stat(path)
		if err != nil {
			return 0
		}
		return info.Size()
	}
	eventually(t, "it writes", func() bool { return size() > 0 })
	if err := disktest.Freeze(command.Process.Pid); err != nil {
		t.Fatal(err)
	}
	before := size()
	<-time.After(50 * time.Millisecond)
	if after := size(); after != before {
		t.Errorf("%d bytes when frozen, %d a moment later", before, after)
	}
	_ = syscall.Kill(-command.Process.Pid, syscall.SIGCONT)
	eventually(t, "it goes on", func() bool { return size() > before })
}
