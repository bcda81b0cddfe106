//go:build !unix

package main

import "time"

var began = time.Now()

// cpuTime is the time that has passed, where nothing better is to be had.
func cpuTime() time.Duration { return time.Since(began) }
