//go:build linux

// Package disktest gives tests a disk of their own: one whose power can be cut, or
// one that is small. It needs root, and says so where it is missing.
//
//	disk := disktest.Ext4(t)
//	...                                  // processes write below disk.Path()
//	err := disktest.Freeze(pid)          // all that write there
//	after, err := disk.Cut()             // what a power cut at this moment leaves
//	defer after.Remove()
//
// Disks are mounted in a mount namespace that a process of this package holds and
// that nobody else sees: however the test ends, also by a timeout or SIGKILL, that
// process ends too, and mounts and loop devices with it. Paths lead there through
// the holder's entry in /proc.
package disktest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// Disk is a mounted file system.
type Disk struct {
	room  *room
	image string // "" for one in memory
	at    string // where it is mounted, in the room
	cuts  int
}

// ext4Size holds some tens of thousands of the envelopes that tests put.
const ext4Size = 96 << 20

// Ext4 makes an empty ext4 file system in a file, on a loop device, until the test
// ends. What the file holds is what the kernel has given to the disk.
func Ext4(t testing.TB) *Disk {
	t.Helper()
	dir := t.TempDir()
	d := &Disk{room: enter(t), image: filepath.Join(dir, "disk"), at: filepath.Join(dir, "mounted")}
	file, err := os.Create(d.image)
	if err == nil {
		err = errors.Join(file.Truncate(ext4Size), file.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	// Lazy initialisation would go on writing in the background.
	out, err := exec.Command("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", d.image).CombinedOutput()
	if err != nil {
		lacking(t, fmt.Sprintf("mkfs.ext4: %v %s", err, out))
	}
	if err := d.mount("-o", "loop", d.image); err != nil {
		lacking(t, err.Error())
	}
	t.Cleanup(d.Remove)
	return d
}

// Tmpfs makes an empty file system in memory that holds no more than size bytes,
// until the test ends.
func Tmpfs(t testing.TB, size int) *Disk {
	t.Helper()
	d := &Disk{room: enter(t), at: filepath.Join(t.TempDir(), "mounted")}
	if err := d.mount("-t", "tmpfs", "-o", "size="+strconv.Itoa(size), "none"); err != nil {
		lacking(t, err.Error())
	}
	t.Cleanup(d.Remove)
	return d
}

// within names the place of the disk for a test that TmpfsWithin runs again.
const within = "SCHAKEL_TEST_WITHIN"

// TmpfsWithin runs a test again in a process that finds a Tmpfs at an ordinary path, which it
// returns there: SQLite opens no database by a path of [Disk.Path]. Here it returns "" when that
// process has ended; the test ends as it did.
func TmpfsWithin(t *testing.T, size int) (dir string) {
	t.Helper()
	if dir := os.Getenv(within); dir != "" {
		return dir
	}
	d := Tmpfs(t, size)
	command := d.room.command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	command.Env = append(os.Environ(), within+"="+d.at)
	out, err := command.CombinedOutput()
	switch {
	case err != nil:
		t.Errorf("%v\n%s", err, out)
	case bytes.Contains(out, []byte("--- SKIP")):
		t.Skipf("%s", out)
	case !bytes.Contains(out, []byte("--- PASS: "+t.Name()+" ")):
		t.Errorf("it was not run:\n%s", out)
	default:
		t.Logf("%s", out)
	}
	return ""
}

func (d *Disk) mount(args ...string) error {
	if err := os.MkdirAll(d.at, 0o700); err != nil {
		return err
	}
	return d.room.run(append(append([]string{"mount"}, args...), d.at)...)
}

// Path is a place on the disk, for any process that runs as long as the test.
func (d *Disk) Path(parts ...string) string {
	root := fmt.Sprintf("/proc/%d/root", d.room.holder.Process.Pid)
	return filepath.Join(append([]string{root, d.at}, parts...)...)
}

// Sync has everything written so far reach the disk.
func (d *Disk) Sync() error {
	if out, err := exec.Command("sync", "-f", d.Path()).CombinedOutput(); err != nil {
		return fmt.Errorf("failed to sync: %w: %s", err, out)
	}
	return nil
}

// tries bounds how often Cut waits for the kernel to hold still.
const tries = 50

// Cut mounts what would be there if the power had failed at this moment. Whoever
// writes to the disk is frozen; the kernel may still be writing by itself, so the
// copy counts only once a second look finds the same: then it is one moment, and
// not a mixture of several.
func (d *Disk) Cut() (*Disk, error) {
	d.cuts++
	after := &Disk{room: d.room, image: fmt.Sprintf("%s-%d", d.image, d.cuts), at: fmt.Sprintf("%s-%d", d.at, d.cuts)}
	for range tries {
		if out, err := exec.Command("cp", "--sparse=always", d.image, after.image).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("failed to copy the disk: %w: %s", err, out)
		}
		if exec.Command("cmp", "--silent", d.image, after.image).Run() == nil {
			return after, after.mount("-o", "loop", after.image)
		}
	}
	return nil, fmt.Errorf("the disk did not hold still in %d copies", tries)
}

// Remove takes the disk away, also from processes that still use it.
func (d *Disk) Remove() {
	_ = d.room.run("umount", "--lazy", d.at)
	if d.image != "" {
		_ = os.Remove(d.image)
	}
	_ = os.Remove(d.at)
}

// room is a mount namespace. Its holder copies what it reads until that ends, which
// it does with this process.
type room struct {
	holder *exec.Cmd
	end    io.Closer
}

func enter(t testing.TB) *room {
	t.Helper()
	if os.Getuid() != 0 {
		lacking(t, "this is not root")
	}
	r := &room{holder: exec.Command("unshare", "--mount", "cat")}
	in, inErr := r.holder.StdinPipe()
	out, outErr := r.holder.StdoutPipe()
	if err := errors.Join(inErr, outErr); err != nil {
		t.Fatal(err)
	}
	if err := r.holder.Start(); err != nil {
		lacking(t, err.Error())
	}
	r.end = in
	t.Cleanup(r.leave)
	_, err := io.WriteString(in, ".")
	if _, readErr := io.ReadFull(out, make([]byte, 1)); errors.Join(err, readErr) != nil {
		lacking(t, "no mount namespace may be made")
	}
	return r
}

func (r *room) leave() {
	_ = r.end.Close()
	_ = r.holder.Wait()
}

// run runs a command in the room.
func (r *room) run(args ...string) error {
	if out, err := r.command(args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", args[0], err, out)
	}
	return nil
}

func (r *room) command(args ...string) *exec.Cmd {
	namespace := fmt.Sprintf("--mount=/proc/%d/ns/mnt", r.holder.Process.Pid)
	return exec.Command("nsenter", append([]string{namespace, "--"}, args...)...)
}

// lacking skips the test, or fails it where SCHAKEL_TEST_NEED_DISKS is set.
func lacking(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("SCHAKEL_TEST_NEED_DISKS") != "" {
		t.Fatal("SCHAKEL_TEST_NEED_DISKS is set and no file system can be mounted: " + what)
	}
	t.Skip("NOT TESTED: this needs root, mount and e2fsprogs, to mount a file system: " + what)
}
