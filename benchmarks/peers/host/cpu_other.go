//go:build !unix

package host

import "time"

var began = time.Now()

// CPUTime is the time that has passed, where nothing better is to be had.
func CPUTime() time.Duration { return time.Since(began) }
