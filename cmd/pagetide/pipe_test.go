package main_test

import (
	"bufio"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// TestReaderGone runs the binary into a pipe whose reader leaves after a line: the job goes on to its end.
func TestReaderGone(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("SKIPPED: a broken pipe is no signal on this platform")
	}
	dir := t.TempDir()
	cmd := exec.Command(binary(t), "run", "--json", "-D", "execution.checkpointing.interval=20ms",
		"-D", "state.checkpoints.dir="+filepath.Join(dir, "state"),
		"flights", "--rate", "40000", "--output", filepath.Join(dir, "out"))
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		t.Error(err)
	}
	stdout.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("the job ended with its reader: %v", err)
	}
	if parts, err := filepath.Glob(filepath.Join(dir, "out", "part-*")); err != nil || len(parts) == 0 {
		t.Errorf("committed %q, %v", parts, err)
	}
	if left := newestMetadata(t, filepath.Join(dir, "state", "flights")); left != "" {
		t.Errorf("%s is left of a job that has finished", left)
	}
}
