package bench

import (
	"encoding/binary"
	"os"
	"strconv"
	"sync"
	"syscall"
	"unsafe"
)

// cpuTime returns the processor time of the process in seconds: user and system, all
// threads.
func cpuTime() float64 {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9
}

// files raises the limit of open files, as far as that is allowed, and returns it.
func files() int {
	const enough = 1 << 17
	l := syscall.Rlimit{Cur: enough, Max: enough}
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l) != nil && syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return 1024
	}
	return int(l.Cur)
}

// counters are perf events, one for each thread that there was, which count for those it
// starts too.
var counters = sync.OnceValue(func() (fds []int) {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return nil
	}
	for _, t := range tasks {
		tid, _ := strconv.Atoi(t.Name())
		fd := perfOpen(tid)
		if fd < 0 {
			for _, fd := range fds {
				syscall.Close(fd)
			}
			return nil
		}
		fds = append(fds, fd)
	}
	return fds
})

// perfOpen counts the instructions of a thread in user mode; it returns a number below 0
// if the machine can't.
func perfOpen(tid int) int {
	const (
		typeHardware  = 0
		instructions  = 1
		inherit       = 1 << 1
		excludeKernel = 1 << 5
		excludeHV     = 1 << 6
		cloexec       = 1 << 3
	)
	var attr [112]byte // struct perf_event_attr
	binary.NativeEndian.PutUint32(attr[0:], typeHardware)
	binary.NativeEndian.PutUint32(attr[4:], uint32(len(attr)))
	binary.NativeEndian.PutUint64(attr[8:], instructions)
	binary.NativeEndian.PutUint64(attr[40:], inherit|excludeKernel|excludeHV)
	fd, _, e := syscall.Syscall6(syscall.SYS_PERF_EVENT_OPEN, uintptr(unsafe.Pointer(&attr)), uintptr(tid), ^uintptr(0), ^uintptr(0), cloexec, 0)
	if e != 0 {
		return -1
	}
	return int(fd)
}

// instructions returns how many the process has executed in user mode, and whether the
// machine counts them.
func instructions() (n uint64, ok bool) {
	fds := counters()
	for _, fd := range fds {
		var b [8]byte
		if k, err := syscall.Read(fd, b[:]); k == 8 && err == nil {
			n += binary.NativeEndian.Uint64(b[:])
		}
	}
	return n, len(fds) > 0
}
