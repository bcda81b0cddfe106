package main_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine/app"
)

// TestKilledAndResumed kills the real process at random moments, with checkpoints every 50 ms, resumes it each time, and
// compares what it has committed with a recomputation of its own. The environment makes it longer: PAGETIDE_KILLS,
// PAGETIDE_ROWS.
func TestKilledAndResumed(t *testing.T) {
	kills, rows := fromEnv(t, "PAGETIDE_KILLS", 20), fromEnv(t, "PAGETIDE_ROWS", 200_000)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d, %d kills, %d rows", seed, kills, rows)
	input := filepath.Join(t.TempDir(), "rows.jsonl")
	want := generateRows(t, input, rows, rand.New(rand.NewPCG(7, 7)))
	for _, parallelism := range []int{1, 2} {
		t.Run(fmt.Sprintf("parallelism=%d", parallelism), func(t *testing.T) {
			k := &killer{t: t, dir: t.TempDir(), input: input, parallelism: parallelism, r: rand.New(rand.NewPCG(seed, 0))}
			rate := rows * 1000 / (kills * 300) // so that the input outlasts the kills
			for n := range kills {
				k.run(n, rate, time.Duration(50+k.r.IntN(400))*time.Millisecond)
			}
			k.run(kills, 0, 0)
			compareRows(t, filepath.Join(k.dir, "out"), want)
		})
	}
}

func fromEnv(t *testing.T, name string, otherwise int) int {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q: want a positive number", name, s)
	}
	return n
}

type killer struct {
	t           *testing.T
	dir, input  string
	parallelism int
	r           *rand.Rand
}

// run starts the binary and kills it after a while, or waits for its end if the while is zero.
func (k *killer) run(n, rate int, kill time.Duration) {
	k.t.Helper()
	args := append([]string{"run"}, k.from(n)...)
	args = append(args,
		"-D", "execution.checkpointing.interval=50ms",
		"-D", "state.checkpoints.dir="+filepath.Join(k.dir, "state"),
		"-D", fmt.Sprintf("parallelism.default=%d", k.parallelism),
		"flights", "--input", k.input, "--output", filepath.Join(k.dir, "out"))
	if rate > 0 {
		args = append(args, "--rate", strconv.Itoa(rate))
	}
	cmd := exec.Command(binary(k.t), args...)
	runUntil(k.t, cmd, kill)
}

// runUntil runs a process and kills it after a while, which it must outlast, or waits for its end if the while is zero.
func runUntil(t *testing.T, cmd *exec.Cmd, kill time.Duration) {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if kill == 0 {
		if err := <-ended; err != nil {
			t.Fatalf("last run: %v\n%s\n%s", err, cmd, &stderr)
		}
		return
	}
	select {
	case err := <-ended:
		t.Fatalf("it ended before it was killed: %v\n%s\n%s", err, cmd, &stderr)
	case <-time.After(kill):
		cmd.Process.Kill()
		<-ended
	}
}

// from says where a run starts: mostly with --resume, every fifth time with the path of the newest metadata.
func (k *killer) from(n int) []string {
	if n%5 == 4 {
		if path := newestMetadata(k.t, filepath.Join(k.dir, "state", "flights")); path != "" {
			return []string{"-s", path}
		}
	}
	return []string{"--resume"}
}

func newestMetadata(t *testing.T, dir string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "chk-*", "_metadata"))
	if err != nil {
		t.Fatal(err)
	}
	newest, path := -1, ""
	for _, f := range found {
		id, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(filepath.Dir(f)), "chk-"))
		if err == nil && id > newest {
			newest, path = id, f
		}
	}
	return path
}

type row struct {
	Origin    string  `json:"origin"`
	Day       string  `json:"day"`
	Flights   int64   `json:"flights"`
	MeanDelay float64 `json:"mean_delay"`
	MaxDelay  int64   `json:"max_delay"`
	LateShare float64 `json:"late_share"`
}

// generateRows writes flights out of order by less than an hour, and returns what the job must make of them.
func generateRows(t *testing.T, path string, n int, r *rand.Rand) map[string]row {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	type acc struct{ n, total, max, late int64 }
	accs := map[[2]string]acc{}
	start := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range n {
		at := start.Add(time.Duration(i) * 20 * time.Second).Add(-time.Duration(r.IntN(59*60)) * time.Second)
		at = at.Truncate(time.Minute)
		origin := fmt.Sprintf("%c%c%c", 'A'+r.IntN(3), 'A'+r.IntN(4), 'A'+r.IntN(5))
		delay := int64(r.IntN(120) - 30)
		fmt.Fprintf(w, `{"date":"%s","delay":%d,"distance":%d,"origin":"%s","destination":"BNA"}`+"\n",
			at.Format("2006/01/02 15:04"), delay, 100+r.IntN(2000), origin)
		k := [2]string{origin, at.Format(time.DateOnly)}
		a, ok := accs[k]
		if !ok {
			a.max = delay
		}
		a.n, a.total, a.max = a.n+1, a.total+delay, max(a.max, delay)
		if delay > 15 {
			a.late++
		}
		accs[k] = a
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	want := map[string]row{}
	for k, a := range accs {
		want[k[0]+k[1]] = row{k[0], k[1], a.n, float64(a.total) / float64(a.n), a.max, float64(a.late) / float64(a.n)}
	}
	return want
}

func compareRows(t *testing.T, out string, want map[string]row) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(out, "part-*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(data) {
			var got row
			if err := json.Unmarshal(line, &got); err != nil {
				t.Fatalf("%s: %v: %s", f, err, line)
			}
			k := got.Origin + got.Day
			switch {
			case seen[k]:
				t.Errorf("%s: %s %s stands twice", f, got.Origin, got.Day)
			case got != want[k]:
				t.Errorf("%s: got %+v, want %+v", f, got, want[k])
			}
			seen[k] = true
		}
	}
	if len(seen) != len(want) {
		t.Errorf("%d rows committed, want %d", len(seen), len(want))
	}
	t.Logf("%d rows in %d files", len(seen), len(files))
	stray(t, out)
}

// stray reports what is neither a committed file nor hidden.
func stray(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !strings.HasPrefix(e.Name(), "part-") {
			t.Errorf("%s holds %s", dir, e.Name())
		}
	}
}

var (
	buildOnce sync.Once
	built     string
	buildErr  error
)

// binary builds the command once per test process.
func binary(t *testing.T) string {
	t.Helper()
	buildOnce.Do(func() {
		dir, err := os.MkdirTemp("", "pagetide-test-")
		if err != nil {
			buildErr = err
			return
		}
		built = filepath.Join(dir, "pagetide")
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		out, err := exec.CommandContext(ctx, "go", "build", "-o", built, ".").CombinedOutput()
		if err != nil {
			buildErr = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if buildErr != nil {
		t.Fatalf("build the binary: %v", buildErr)
	}
	return built
}

// asProgram, set in the environment, makes this test's binary the program of everyOperator.
const asProgram = "PAGETIDE_EVERY_OPERATOR"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		app.Main(everyOperator)
	}
	code := m.Run()
	if built != "" {
		os.RemoveAll(filepath.Dir(built))
	}
	os.Exit(code)
}
