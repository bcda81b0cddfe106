//go:build ignore

// Command fulldisk runs the real binary with its checkpoints on a real, small disk, fills that disk in the middle and makes
// room again. Checkpoints must fail and then succeed, the process must live on to its end, and its output must be that of a
// run that was never disturbed. It mounts a tmpfs, so it needs Linux and root; without them it says so and exits with 2. Run
// it from the module's root:
//
//	go run ./cmd/pagetide/testdata/fulldisk.go
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

const (
	size   = "16m"
	rows   = 150_000
	rate   = "20000"
	floods = 3 // how often the disk is filled
)

func main() {
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		fmt.Fprintf(os.Stderr, "fulldisk: not run: it mounts a tmpfs, which needs linux and root; this is %s, user %d\n", runtime.GOOS, os.Geteuid())
		os.Exit(2)
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "fulldisk:", err)
		os.Exit(1)
	}
}

func run() (err error) {
	dir, err := os.MkdirTemp("", "fulldisk-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	w := world{dir: dir, disk: filepath.Join(dir, "disk"), input: filepath.Join(dir, "rows"), binary: filepath.Join(dir, "pagetide")}
	if out, err := exec.Command("go", "build", "-o", w.binary, "./cmd/pagetide").CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	if err := w.writeInput(); err != nil {
		return err
	}
	if err := os.Mkdir(w.disk, 0o700); err != nil {
		return err
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", w.disk).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "fulldisk: not run: no tmpfs could be mounted: %v\n%s", err, out)
		os.RemoveAll(dir)
		os.Exit(2)
	}
	defer func() { err = errors.Join(err, syscall.Unmount(w.disk, 0)) }()
	want, err := w.undisturbed()
	if err != nil {
		return err
	}
	got, err := w.flooded()
	if err != nil {
		return err
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("%d rows of output, want the %d of a run with room, in every byte", len(got), len(want))
	}
	fmt.Printf("RESULT fulldisk.failed_checkpoints %d\nRESULT fulldisk.recoveries %d\nRESULT fulldisk.rows %d\n", w.failed, w.recovered, len(got))
	return nil
}

type world struct {
	dir, disk, input, binary string
	failed, recovered        int
}

// writeInput makes flights of many airports, so that there is state worth a disk.
func (w *world) writeInput() error {
	f, err := os.Create(w.input)
	if err != nil {
		return err
	}
	b := bufio.NewWriter(f)
	for i := range rows {
		day, minute := i/1440%28+1, i%1440
		origin := i * 7919 % 17_000
		fmt.Fprintf(b, `{"date":"2001/%02d/%02d %02d:%02d","delay":%d,"distance":%d,"origin":"%c%c%c","destination":"BNA"}`+"\n",
			i/40_320%12+1, day, minute/60, minute%60, i%100-20, 100+i%900, 'A'+origin%26, 'A'+origin/26%26, 'A'+origin/676%26)
	}
	return errors.Join(b.Flush(), f.Close())
}

func (w *world) command(out string, more ...string) *exec.Cmd {
	args := append([]string{"run", "--json", "-D", "state.checkpoints.dir=" + filepath.Join(w.disk, "state"),
		"-D", "execution.checkpointing.interval=50ms", "-D", "execution.checkpointing.tolerable-failed-checkpoints=1000000"}, more...)
	return exec.Command(w.binary, append(args, "--input", w.input, "--output", filepath.Join(w.dir, out))...)
}

// undisturbed is the output of a run with room.
func (w *world) undisturbed() ([]string, error) {
	if out, err := w.command("want", "flights").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("run with room: %w\n%s", err, out)
	}
	return w.output("want")
}

func (w *world) output(name string) (lines []string, err error) {
	files, err := filepath.Glob(filepath.Join(w.dir, name, "part-*"))
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		lines = append(lines, strings.Split(strings.TrimSpace(string(b)), "\n")...)
	}
	slices.Sort(lines)
	return lines, err
}

// flooded runs with a disk that is filled now and then, and gives the output.
func (w *world) flooded() ([]string, error) {
	cmd := w.command("got", "flights", "--rate", rate)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	followed := w.follow(stdout)
	if followed != nil {
		cmd.Process.Kill()
	}
	if err := cmd.Wait(); err != nil || followed != nil {
		return nil, fmt.Errorf("run on a full disk: %w\n%s", errors.Join(followed, err), &stderr)
	}
	if w.recovered < floods {
		return nil, fmt.Errorf("%d of %d times checkpoints succeeded again", w.recovered, floods)
	}
	return w.output("got")
}

// follow reads the run's events: after some checkpoints it fills the disk, after some failures it makes room.
func (w *world) follow(stdout io.Reader) error {
	full, good, bad := false, 0, 0
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		var e struct{ Event, Error string }
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("%w: %s", err, lines.Text())
		}
		var err error
		switch {
		case e.Event == "restart":
			return fmt.Errorf("restarted: %s", e.Error)
		case e.Event == "checkpoint" && !full:
			if good++; good == 1 && bad > 0 {
				w.recovered++
			}
			if good == 4 && w.recovered < floods {
				full, good, bad, err = true, 0, 0, w.flood()
			}
		case e.Event == "checkpoint_failed":
			w.failed++
			if !strings.Contains(e.Error, syscall.ENOSPC.Error()) {
				return fmt.Errorf("failed for another reason: %s", e.Error)
			}
			if bad++; bad == 3 && full {
				full, err = false, os.Remove(w.ballast())
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *world) ballast() string { return filepath.Join(w.disk, "ballast") }

// flood takes all the room there is.
func (w *world) flood() error {
	f, err := os.Create(w.ballast())
	if err != nil {
		return err
	}
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	if errors.Is(err, syscall.ENOSPC) {
		err = nil
	}
	return errors.Join(err, f.Close())
}
