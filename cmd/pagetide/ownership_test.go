//go:build unix

package main_test

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// process is a run of the binary in the background.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stderr bytes.Buffer
	lines  *bufio.Scanner
}

func startProcess(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(binary(t), append([]string{"run", "--json", "-D", "execution.checkpointing.interval=20ms"}, args...)...)}
	p.cmd.Dir, p.cmd.Stderr = dir, &p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.lines = bufio.NewScanner(stdout)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.cmd.Process.Kill() })
	return p
}

// checkpoints waits for n more of them.
func (p *process) checkpoints(n int) {
	p.t.Helper()
	for n > 0 && p.lines.Scan() {
		if strings.Contains(p.lines.Text(), `"full_bytes"`) {
			n--
		}
	}
	if n > 0 {
		p.t.Fatalf("it ended early:\n%s", &p.stderr)
	}
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Error(err)
	}
}

// exit reads to the end and returns the exit code.
func (p *process) exit() int {
	for p.lines.Scan() {
	}
	p.cmd.Wait() // its error is the exit code
	return p.cmd.ProcessState.ExitCode()
}

func longInput(t *testing.T) string {
	t.Helper()
	input := filepath.Join(t.TempDir(), "rows")
	generateRows(t, input, 20_000, rand.New(rand.NewPCG(5, 5)))
	return input
}

// stopped returns when a signal has stopped the process.
func (p *process) stopped() {
	p.t.Helper()
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(p.cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		p.t.Fatalf("waiting for the stop: %v, status %x", err, status)
	}
}

// TestStalledOwner stops a process in its tracks: while it is there nobody else gets its directory, whatever becomes of the
// file with its pid, and when it wakes it goes on.
func TestStalledOwner(t *testing.T) {
	dir, input := t.TempDir(), longInput(t)
	owner := startProcess(t, dir, "flights", "--rate", "2000", "--input", input, "--output", "out")
	owner.checkpoints(2)
	owner.signal(syscall.SIGSTOP)
	owner.stopped()
	state := filepath.Join(dir, "pagetide-data", "flights")
	newest := newestMetadata(t, state)
	before := files(t, state)
	for i, args := range [][]string{{"run", "--resume", "flights"}, {"gc", state}, {"discard", newest}, {"run", "--resume", "flights"}} {
		exit, out := command(t, dir, args...)
		if named := strings.Contains(out, fmt.Sprintf("pid %d", owner.cmd.Process.Pid)); exit != 3 || named != (i < 3) {
			t.Errorf("%s: exit %d, want 3:\n%s", args, exit, out)
		}
		if i == 2 {
			if err := os.Remove(filepath.Join(state, ".owner")); err != nil {
				t.Error(err)
			}
		}
	}
	if after := files(t, state); len(after) != len(before) {
		t.Errorf("%d files, there were %d", len(after), len(before))
	}
	owner.signal(syscall.SIGCONT)
	owner.checkpoints(2)
	owner.signal(syscall.SIGTERM)
	if exit := owner.exit(); exit != 0 {
		t.Errorf("exit %d:\n%s", exit, &owner.stderr)
	}
	if exit, out := command(t, dir, "verify", state); exit != 0 {
		t.Errorf("verify: exit %d:\n%s", exit, out)
	}
}

// TestDirectoryTakenAway moves a directory away under its owner, and another process makes it anew: the old owner fails, and
// does nothing to what the new one has there.
func TestDirectoryTakenAway(t *testing.T) {
	dir, input := t.TempDir(), longInput(t)
	old := startProcess(t, dir, "flights", "--rate", "2000", "--input", input, "--output", "old")
	old.checkpoints(2)
	state := filepath.Join(dir, "pagetide-data", "flights")
	if err := os.Rename(state, filepath.Join(dir, "away")); err != nil {
		t.Fatal(err)
	}
	next := startProcess(t, dir, "flights", "--rate", "2000", "--input", input, "--output", "new")
	next.checkpoints(2)
	if exit := old.exit(); exit != 1 || !strings.Contains(old.stderr.String(), "is no longer the directory that was locked") {
		t.Errorf("the old owner: exit %d:\n%s", exit, &old.stderr)
	}
	next.checkpoints(2)
	next.signal(syscall.SIGTERM)
	if exit := next.exit(); exit != 0 {
		t.Errorf("the new owner: exit %d:\n%s", exit, &next.stderr)
	}
	for _, path := range []string{state, filepath.Join(dir, "away")} {
		if exit, out := command(t, dir, "verify", path); exit != 0 {
			t.Errorf("verify: exit %d:\n%s", exit, out)
		}
	}
	jobs := map[string]bool{}
	for name := range files(t, state) {
		if job, _, ok := strings.Cut(filepath.Base(name), "-"); ok && strings.HasSuffix(name, ".delta") {
			jobs[job] = true
		}
	}
	if len(jobs) != 1 {
		t.Errorf("data files of jobs %v in one directory", jobs)
	}
}

func command(t *testing.T, dir string, args ...string) (exit int, out string) {
	t.Helper()
	cmd := exec.Command(binary(t), args...)
	cmd.Dir = dir
	b, _ := cmd.CombinedOutput() // its error is the exit code
	return cmd.ProcessState.ExitCode(), string(b)
}
