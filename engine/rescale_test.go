package engine_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pagetide/pagetide/engine"
)

// TestRescaleByReference takes a job through other parallelisms: the data files stay, and the next checkpoint holds what
// has changed and no more.
func TestRescaleByReference(t *testing.T) {
	dir := t.TempDir()
	all := events(40_000)
	s := newStages(t, all)
	o := engine.Options{Parallelism: 1, Checkpoints: engine.Checkpoints{Dir: dir}}
	before := s.stop(o, 10_000)
	for i, parallelism := range []int{2, 4, 1} {
		o.Parallelism, o.Restore.Path = parallelism, before.Path
		files := dataNames(t, dir)
		r := start(t, s.job(-1), o)
		now, err := r.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if now.Bytes != 0 || now.FullBytes != before.FullBytes || !slices.Equal(dataNames(t, dir), files) {
			t.Errorf("parallelism %d: a checkpoint of nothing new has written %d bytes, files %v, before %v", parallelism, now.Bytes, dataNames(t, dir), files)
		}
		cp, err := r.Stop(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		o.Restore.Path = cp.Path
		before = s.stop(o, 10_000*(i+2))
	}
	o.Parallelism, o.Restore.Path = 3, before.Path
	s.finish(o)
}

func dataNames(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*", "*.delta"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestMaxParallelismChanges gives a job other numbers of key groups: all state is written anew, which is said.
func TestMaxParallelismChanges(t *testing.T) {
	dir := t.TempDir()
	s := newStages(t, events(8_000))
	o := engine.Options{Checkpoints: engine.Checkpoints{Dir: dir}}
	cp := s.stop(o, 2_000)
	groups := 128
	for i, want := range []int{5, 200, 1} {
		var log bytes.Buffer
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		o.MaxParallelism, o.Parallelism, o.Restore.Path = want, min(want, 3), cp.Path
		files := dataNames(t, dir)
		cp = s.stop(o, 2_000*(i+2))
		for _, f := range files {
			if _, err := os.Stat(f); err == nil {
				t.Errorf("%d key groups: %s is still of use", want, f)
			}
		}
		told := 0
		for _, line := range strings.Split(log.String(), "\n") {
			if strings.Contains(line, "was rewritten") && strings.Contains(line, fmt.Sprintf("from=\"%d key groups\" to=\"%d key groups\" entries=", groups, want)) {
				told++
			}
		}
		if told != 2*o.Parallelism { // accumulators and ends of each subtask
			t.Errorf("%d key groups: told %d times:\n%s", want, told, &log)
		}
		groups = want
	}
	o.MaxParallelism, o.Restore.Path = 0, cp.Path // as it is
	o.Parallelism = 1
	s.finish(o)
}
