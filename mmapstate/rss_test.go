//go:build linux && !heaparena

package mmapstate

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// residentSet is the process's memory as the kernel counts it, in bytes.
func residentSet(t *testing.T) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

func TestKernelGetsMemoryBack(t *testing.T) {
	s := New(Options{KeyGroups: 2, HashSeed: 3})
	defer s.Close()
	m := mustMap[uint64, [60]uint64](t, s, "cells")
	const n = 120_000
	for i := range uint64(n) {
		m.Ref(i)[0] = i
	}
	full, before := s.Stats(), residentSet(t)
	for i := range uint64(n) {
		if i%10 != 0 {
			m.Delete(i)
		}
	}
	settle(t, s)
	if got := before - residentSet(t); got < full.Bytes/2 {
		t.Errorf("the kernel has %d bytes back of a state of %d that lost nine of ten entries", got, full.Bytes)
	}
}
