//go:build !unix

package app

import "os"

// drainSignals are none: the platform has no signal for it.
var drainSignals []os.Signal
