//go:build linux

package system_test

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// ahead is how much memory is free that was used a moment ago.
	ahead    = 64 << 20
	warmLook = 5 * time.Millisecond
)

// warm has whatever is written to files from now on go to memory that was used a moment ago,
// until cool is called. A virtual machine gets its memory from its host when it touches it, and
// gives back what was free for some seconds: the first GiB of a file took 2.5 s there, and the
// same GiB once more 0.3. That is the doing of no program, and no program is compared by it. So
// memory is held here, and let go of as files take it. Where there is too little it does nothing.
func (f *files) warm(size int64) (cool func()) {
	f.t.Helper()
	if !*full || int(size) > memory("MemAvailable")/2 {
		f.t.Log("memory is as the machine has it")
		return func() {}
	}
	held := must[[]byte](f.t)(unix.Mmap(-1, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE))
	for page := 0; page < len(held); page += os.Getpagesize() {
		held[page] = 1
	}
	var group sync.WaitGroup
	end := make(chan struct{})
	group.Go(func() { letGo(held, end) })
	return func() {
		close(end)
		group.Wait()
		if err := unix.Munmap(held); err != nil {
			f.t.Error(err)
		}
	}
}

// letGo gives memory back as files take it.
func letGo(held []byte, end <-chan struct{}) {
	tick := time.NewTicker(warmLook)
	defer tick.Stop()
	gone, before := 0, memory("Cached")
	for {
		if until := min(len(held), max(0, memory("Cached")-before)+ahead); until > gone {
			_ = unix.Madvise(held[gone:until], unix.MADV_DONTNEED) // then it is colder
			gone = until
		}
		select {
		case <-end:
			return
		case <-tick.C:
		}
	}
}

// memory is how many bytes the kernel counts under a name, of whole pages.
func memory(name string) int {
	raw, _ := os.ReadFile("/proc/meminfo")
	_, rest, _ := strings.Cut(string(raw), "\n"+name+":")
	kib, _ := strconv.Atoi(strings.Fields(rest + " 0")[0])
	return kib << 10 &^ (os.Getpagesize() - 1)
}
