//go:build unix

package main_test

import (
	"math/rand/v2"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestDrain ends the input of a real process by a signal: the job finishes early, and nothing is left to resume.
func TestDrain(t *testing.T) {
	dir := t.TempDir()
	input := filepath.Join(dir, "flights")
	generateRows(t, input, 4000, rand.New(rand.NewPCG(3, 3)))
	e := ending{end: signalled(syscall.SIGUSR1)}
	exit, last := e.run(t, dir, "run", "--json", "-D", "execution.checkpointing.interval=20ms",
		"flights", "--rate", "100", "--input", input, "--output", "out") // 40 s of input
	if exit != 0 || !strings.HasPrefix(last, "checkpoints deleted: the job has finished") {
		t.Errorf("exit %d, last line %q, want 0 and a job that has finished", exit, last)
	}
	if newest := newestMetadata(t, filepath.Join(dir, "pagetide-data", "flights")); newest != "" {
		t.Errorf("%s is left", newest)
	}
	parts, err := filepath.Glob(filepath.Join(dir, "out", "part-*"))
	if err != nil || len(parts) == 0 {
		t.Errorf("windows that were open are not among the results: %v, %v", parts, err)
	}
}
