package boltqueue_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"schakel/relay/queue/queuetest"
)

// disk is an ext4 file system in a file, mounted: what its file says is what the
// kernel has given to the disk. It needs root.
type disk struct {
	t     *testing.T
	image string
	mount string
	cuts  int
}

func newDisk(t *testing.T) *disk {
	t.Helper()
	if os.Getuid() != 0 || testing.Short() {
		t.Skip("needs root to mount a file system, and a moment")
	}
	dir := t.TempDir()
	d := &disk{t: t, image: filepath.Join(dir, "disk"), mount: filepath.Join(dir, "mounted")}
	file, err := os.Create(d.image)
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Truncate(128 << 20); err != nil {
		t.Fatal(err)
	}
	file.Close()
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", d.image).CombinedOutput(); err != nil {
		t.Skipf("no ext4 here: %s", out)
	}
	d.mountAt(d.image, d.mount)
	return d
}

func (d *disk) mountAt(image, at string) {
	d.t.Helper()
	if err := os.Mkdir(at, 0o700); err != nil {
		d.t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-o", "loop", image, at).CombinedOutput(); err != nil {
		d.t.Skipf("no loop mounts here: %s", out)
	}
	d.t.Cleanup(func() { exec.Command("umount", at).Run() })
}

// cut mounts a copy of the disk as it is now.
func (d *disk) cut() (string, error) {
	d.cuts++
	image, at := fmt.Sprintf("%s-%d", d.image, d.cuts), fmt.Sprintf("%s-%d", d.mount, d.cuts)
	if out, err := exec.Command("cp", "--sparse=always", d.image, image).CombinedOutput(); err != nil {
		return "", fmt.Errorf("failed to copy the disk: %s", out)
	}
	d.mountAt(image, at)
	return filepath.Join(at, "queue"), nil
}

// empty returns a directory on the disk with an empty store.
func (d *disk) empty() string {
	dir := filepath.Join(d.mount, "queue")
	if err := os.RemoveAll(dir); err != nil {
		d.t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		d.t.Fatal(err)
	}
	makeStore(d.t, dir)
	if err := exec.Command("sync", d.mount).Run(); err != nil {
		d.t.Fatal(err)
	}
	return dir
}

func TestPowerCut(t *testing.T) {
	disk := newDisk(t)
	backend := queuetest.Backend{Open: open, Process: process("sound")}
	for range 5 {
		if err := queuetest.PowerCut(backend, disk.empty(), disk.cut); err != nil {
			t.Error(err)
		}
	}
}

// TestPowerCutNoticesUnsynced is the control: without fsync, answered envelopes
// are gone.
func TestPowerCutNoticesUnsynced(t *testing.T) {
	disk := newDisk(t)
	backend := queuetest.Backend{Open: open, Process: process("unsynced")}
	for range 3 {
		if err := queuetest.PowerCut(backend, disk.empty(), disk.cut); err != nil {
			t.Log(err)
			return
		}
	}
	t.Fatal("a store without fsync lost nothing in three power cuts")
}
