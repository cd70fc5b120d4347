//go:build linux

package disktest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// frozenWithin is how long a thread may take to come out of a call of the kernel.
const frozenWithin = time.Minute

// Freeze stops processes and all that they started, in the order given, and returns
// when every thread stands still: a signal alone may leave one running that goes on
// to answer what the disk no longer holds. SIGKILL ends them, SIGCONT lets them go on.
func Freeze(pids ...int) error {
	limit := time.NewTimer(frozenWithin)
	defer limit.Stop()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for _, pid := range pids {
		for {
			still, err := freeze(pid)
			if err != nil {
				return err
			}
			if still {
				break
			}
			select {
			case <-again.C:
			case <-limit.C:
				return fmt.Errorf("process %d did not stop", pid)
			}
		}
	}
	return nil
}

// freeze stops a family and reports whether all of it stood still already: a process
// that is stopped makes no more children.
func freeze(pid int) (bool, error) {
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return false, fmt.Errorf("failed to stop process %d: %w", pid, err)
	}
	still, err := stopped(pid)
	if err != nil {
		return false, err
	}
	children, err := childrenOf(pid)
	if err != nil {
		return false, err
	}
	for _, child := range children {
		quiet, err := freeze(child)
		if err != nil && !errors.Is(err, syscall.ESRCH) {
			return false, err
		}
		still = still && quiet
	}
	return still, nil
}

// stopped reports whether all threads of a process are stopped or gone (proc(5)).
func stopped(pid int) (bool, error) {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return false, err
	}
	for _, task := range tasks {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/stat", pid, task.Name()))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue
		}
		if err != nil {
			return false, err
		}
		state := bytes.TrimLeft(stat[bytes.LastIndexByte(stat, ')')+1:], " ")
		if len(state) == 0 || !strings.ContainsRune("TtZX", rune(state[0])) {
			return false, nil
		}
	}
	return true, nil
}

func childrenOf(pid int) (children []int, err error) {
	lists, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return nil, err
	}
	for _, task := range lists {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, task.Name()))
		if err != nil {
			continue // the thread is gone, and its children with another
		}
		for _, word := range strings.Fields(string(line)) {
			child, err := strconv.Atoi(word)
			if err != nil {
				return nil, err
			}
			children = append(children, child)
		}
	}
	return children, nil
}

// Kill ends a process and all that it started. A child that is stopped would
// outlive its parent for good, and hold on to the disk.
func Kill(pid int) {
	children, err := childrenOf(pid)
	_ = syscall.Kill(pid, syscall.SIGKILL)
	if err != nil {
		return
	}
	for _, child := range children {
		Kill(child)
	}
}
