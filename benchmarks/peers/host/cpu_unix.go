//go:build unix

package host

import (
	"syscall"
	"time"
)

// CPUTime is what all threads of the process have used.
func CPUTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // of our own process
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
