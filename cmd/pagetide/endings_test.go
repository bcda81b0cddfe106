package main_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/pagetide/pagetide/cmd/pagetide/flights" // links what the binary is made of: a cached result is of the same code
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

const (
	noneMode   = "NO_EXTERNALIZED_CHECKPOINTS"
	deleteMode = "DELETE_ON_CANCELLATION"
	retainMode = "RETAIN_ON_CANCELLATION"
)

// ending is a row of the table of how a run ends and what it leaves.
type ending struct {
	name  string
	end   func(*os.Process) error // once there are checkpoints; nil: it ends by itself
	rate  string
	input string
	exit  int
	kept  []string // modes that keep the checkpoints
	again []string // flags to go on with, where the same ones would fail again
}

var endings = []ending{
	{name: "finished", rate: "0", input: "good", exit: 0},
	{name: "cancelled", end: signalled(os.Interrupt), rate: "4000", input: "good", exit: 130, kept: []string{retainMode}},
	{name: "stopped", end: signalled(syscall.SIGTERM), rate: "4000", input: "good", exit: 0, kept: []string{noneMode, deleteMode, retainMode}},
	{name: "failed", rate: "0", input: "bad", exit: 1, kept: []string{deleteMode, retainMode}, again: []string{"--on-error", "skip"}},
	{name: "killed", end: (*os.Process).Kill, rate: "4000", input: "good", exit: -1, kept: []string{noneMode, deleteMode, retainMode}},
}

func signalled(s os.Signal) func(*os.Process) error {
	return func(p *os.Process) error { return p.Signal(s) }
}

// TestEndings goes through the whole table with real processes: exit code, what is left on disk, and a last line that says
// so with the command that goes on. That command is then typed, and the output of both runs is what one would have written.
func TestEndings(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("SKIPPED: processes cannot be sent these signals on this platform")
	}
	rows := t.TempDir()
	want := generateRows(t, filepath.Join(rows, "good"), 4000, rand.New(rand.NewPCG(3, 3)))
	good, err := os.ReadFile(filepath.Join(rows, "good"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(rows, "bad"), append(good, "no flight\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	binary(t)
	for _, e := range endings {
		for _, mode := range []string{noneMode, deleteMode, retainMode} {
			t.Run(e.name+"/"+mode, func(t *testing.T) {
				t.Parallel()
				e.try(t, mode, filepath.Join(rows, e.input), want)
			})
		}
	}
}

func (e ending) try(t *testing.T, mode, input string, want map[string]row) {
	dir := t.TempDir()
	exit, last := e.run(t, dir, "run", "--json", "-D", "execution.checkpointing.interval=20ms",
		"-D", "execution.checkpointing.externalized-checkpoint-retention="+mode,
		flights.Job.Name, "--rate", e.rate, "--input", input, "--output", "out")
	if exit != e.exit {
		t.Errorf("exit %d, want %d: %s", exit, e.exit, last)
	}
	newest := newestMetadata(t, filepath.Join(dir, "pagetide-data", "flights"))
	if kept := newest != ""; kept != slices.Contains(e.kept, mode) {
		t.Fatalf("kept %q: %s", newest, last)
	}
	if newest == "" {
		if !strings.HasPrefix(last, "checkpoints deleted: the job ") {
			t.Errorf("last line %q", last)
		}
		if e.exit == 0 {
			compareRows(t, filepath.Join(dir, "out"), want)
		}
		return
	}
	e.refuse(t, dir)
	e.goOn(t, dir, newest, last)
	compareRows(t, filepath.Join(dir, "out"), want)
}

// run starts the binary, ends it, and returns its exit code and its last line.
func (e ending) run(t *testing.T, dir string, args ...string) (exit int, last string) {
	cmd := exec.Command(binary(t), args...)
	var stderr bytes.Buffer
	cmd.Dir, cmd.Stderr = dir, &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if strings.Contains(lines.Text(), `"full_bytes"`) && e.end != nil {
			if seen++; seen == 2 {
				if err := e.end(cmd.Process); err != nil {
					t.Error(err)
				}
			}
		}
	}
	cmd.Wait() // its error is the exit code
	lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
	return cmd.ProcessState.ExitCode(), lines[len(lines)-1]
}

// refuse starts the job in ways that are refused: nothing on disk changes.
func (e ending) refuse(t *testing.T, dir string) {
	before := files(t, dir)
	for _, r := range []struct {
		exit int
		args []string
	}{
		{2, []string{"run", "flights", "--output", "out"}},
		{2, []string{"run", "-D", "parallelism.default=x", "--resume", "flights"}},
		{3, []string{"run", "--resume", "flights"}},
		{4, []string{"run", "-s", "nowhere", "flights"}},
	} {
		var lock io.Closer
		if r.exit == 3 {
			var err error
			if lock, err = vfs.OS().Lock(filepath.Join(dir, "pagetide-data", "flights")); err != nil {
				t.Fatal(err)
			}
		}
		if exit, last := (ending{}).run(t, dir, r.args...); exit != r.exit {
			t.Errorf("%s: exit %d, want %d: %s", strings.Join(r.args, " "), exit, r.exit, last)
		}
		if lock != nil {
			lock.Close()
		}
	}
	if after := files(t, dir); !maps.Equal(before, after) {
		t.Errorf("refused starts have changed files: %d before, %d after", len(before), len(after))
	}
}

func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if filepath.Base(path) != ".owner" { // holds the last owner's pid
			all[path] = string(b)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// goOn types the command of the last line; a killed run has none.
func (e ending) goOn(t *testing.T, dir, newest, last string) {
	rel, err := filepath.Rel(dir, newest)
	if err != nil {
		t.Fatal(err)
	}
	command := "pagetide run --resume flights"
	if e.exit >= 0 {
		var ok bool
		if _, command, ok = strings.Cut(last, "is kept; resume with: "); !ok || !strings.Contains(command, " -s "+rel+" ") {
			t.Fatalf("last line %q does not tell how to go on from %s", last, rel)
		}
	}
	cmd := exec.Command("sh", "-c", command+` "$@"`, "sh")
	cmd.Args = append(cmd.Args, append([]string{"--rate", "0"}, e.again...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), fmt.Sprintf("PATH=%s:%s", filepath.Dir(binary(t)), os.Getenv("PATH")))
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("continuing from checkpoint")) {
		t.Errorf("%s: %v\n%s", command, err, out)
	}
}
