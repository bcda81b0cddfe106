package app

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pagetide/pagetide/snapshotter"
)

// A bit of a checkpoint's state flips. Whether that shows before the job begins or while it runs: exit 4, the place, a
// hint, and nothing is deleted.
func TestDamagedState(t *testing.T) {
	w := newWorld(t)
	ctx, crash := context.WithCancel(t.Context())
	w.ctx = ctx
	w.during(func() {
		w.stdout.until(5, `"event":"checkpoint"`)
		crash()
	}, "-D", "execution.checkpointing.interval=10 ms", "keyed")
	w.ctx = t.Context()
	kept := w.named("pagetide-data/keyed", w.keptPath())
	if len(kept) < 3 {
		t.Fatalf("only %v is left:\n%s", kept, w.stderr)
	}
	for _, name := range kept[2:] {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		b[64] ^= 1
		w.write(name, string(b))
	}
	for _, verify := range []string{"eager", "lazy"} {
		w.expect(exitCheckpoint, ".delta: damaged at offset", "run", "-D", "state.restore.verify="+verify, "--resume", "keyed")
		for _, part := range []string{"expected", "found", "hint: pagetide verify pagetide-data/keyed"} {
			if !strings.Contains(w.stderr.String(), part) {
				t.Errorf("%s: stderr does not say %q:\n%s", verify, part, w.stderr)
			}
		}
		if again := "is kept; resume with"; strings.Contains(w.stderr.String(), again) {
			t.Errorf("%s: stderr says %q of what is damaged:\n%s", verify, again, w.stderr)
		}
		for _, name := range kept {
			if _, err := os.Stat(name); err != nil {
				t.Errorf("%s: %v", verify, err)
			}
		}
	}
	w.expect(exitRefused, "is none of lazy and eager", "run", "-D", "state.restore.verify=never", "--resume", "keyed")
}

// named are the identity of a job, the metadata of a checkpoint and the data files that it names: what a crash has left
// of other checkpoints does not belong to it.
func (w *world) named(dir, path string) []string {
	w.t.Helper()
	c, err := snapshotter.Load(path, snapshotter.LoadOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	files := []string{filepath.Join(dir, "_job"), path}
	for _, f := range c.Meta.Files {
		files = append(files, filepath.Join(dir, f.Name))
	}
	return files
}

// The events of a restore, in order.
func TestLoadedEvent(t *testing.T) {
	w := newWorld(t)
	w.leaveBehind("keyed")
	code := w.during(func() {
		w.stdout.until(1, `"event":"loaded"`)
		w.signals <- os.Interrupt
	}, "--resume", "keyed")
	out := w.stdout.String()
	if code != exitCancelled || strings.Index(out, `"event":"restored"`) > strings.Index(out, `"event":"loaded"`) {
		t.Errorf("exit %d:\n%s", code, out)
	}
}
