//go:build unix

package app

import (
	"os"
	"syscall"
)

// drainSignals ask a job to end its input.
var drainSignals = []os.Signal{syscall.SIGUSR1}
