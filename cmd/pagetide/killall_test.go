package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

// TestEveryOperatorKilledAndResumed kills a real process with all kinds of operators at random moments and resumes it at
// another parallelism each time. What each sink has committed in the end is what a batch makes of the same records.
func TestEveryOperatorKilledAndResumed(t *testing.T) {
	kills, rows := fromEnv(t, "PAGETIDE_KILLS", 8), fromEnv(t, "PAGETIDE_ROWS", 40_000)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d, %d kills, %d rows", seed, kills, rows)
	rnd := rand.New(rand.NewPCG(seed, 0))
	k := &allKiller{t: t, dir: t.TempDir(), rows: rows, rate: max(1, rows*1000/(kills*1500))} // the input outlasts the kills
	for range kills {
		k.run([]int{1, 2, 4}[rnd.IntN(3)], time.Duration(100+rnd.IntN(400))*time.Millisecond)
	}
	k.rate = 0
	k.run([]int{1, 2, 4}[rnd.IntN(3)], 0)
	for name, want := range batch(int64(rows)) {
		k.compare(name, want)
	}
}

type allKiller struct {
	t          *testing.T
	dir        string
	rows, rate int
}

// run starts this test's binary as the program of everyOperator and kills it after a while, or waits for its end if the
// while is zero.
func (k *allKiller) run(parallelism int, kill time.Duration) {
	k.t.Helper()
	cmd := exec.Command(os.Args[0], "run", "--resume",
		"-D", "execution.checkpointing.interval=40ms",
		"-D", "state.checkpoints.dir="+filepath.Join(k.dir, "state"),
		"-D", "parallelism.default="+strconv.Itoa(parallelism),
		"every-operator", "--rows", strconv.Itoa(k.rows), "--rate", strconv.Itoa(k.rate), "--output", filepath.Join(k.dir, "out"))
	cmd.Env = append(os.Environ(), asProgram+"=1")
	runUntil(k.t, cmd, kill)
}

// compare reads what a sink has committed.
func (k *allKiller) compare(name string, want []string) {
	k.t.Helper()
	files, err := filepath.Glob(filepath.Join(k.dir, "out", name, "part-*.jsonl"))
	if err != nil {
		k.t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			k.t.Fatal(err)
		}
		for line := range bytes.Lines(data) {
			var r result
			if err := json.Unmarshal(line, &r); err != nil {
				k.t.Fatalf("%s: %v: %s", f, err, line)
			}
			got = append(got, r.Row)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	k.t.Logf("%s: %d rows in %d files", name, len(got), len(files))
	if !slices.Equal(got, want) {
		k.t.Errorf("%s: %d rows, want %d; %s", name, len(got), len(want), difference(got, want))
	}
}

// difference is the first row in which two sorted lists differ.
func difference(got, want []string) string {
	i := 0
	for i < min(len(got), len(want)) && got[i] == want[i] {
		i++
	}
	at := func(rows []string) string {
		if i < len(rows) {
			return fmt.Sprintf("%q", rows[i])
		}
		return "nothing"
	}
	return fmt.Sprintf("row %d is %s, want %s", i, at(got), at(want))
}
