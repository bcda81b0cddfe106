package fuzz

import (
	"fmt"
	"os"
	"runtime/debug"
	"testing"
	"time"
)

// watch ends the process if the caller does not end within a time that no input needs: a fuzzer does not see a hang.
func watch(what fmt.Stringer) (stop func() bool) {
	return time.AfterFunc(time.Minute, func() {
		debug.SetTraceback("all")
		fmt.Fprintf(os.Stderr, "hangs:\n%v\n", what)
		panic("hangs")
	}).Stop
}

// FuzzState runs random scripts: all tables, TTLs, freezes, partial gathering, commits, failing disks, aborts, restores,
// evictions, carried pages. A restored store equals the model at the barrier.
func FuzzState(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		s := parse(b)
		defer watch(s)()
		if err := newSim(s).run(s); err != nil {
			t.Fatalf("%v\n%v", err, s)
		}
	})
}
