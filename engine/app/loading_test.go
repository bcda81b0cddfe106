package app

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A bit of a checkpoint's state flips. Whether that shows before the job begins or while it runs: exit 4, the place, a
// hint, and nothing is deleted.
func TestDamagedState(t *testing.T) {
	w := newWorld(t)
	ctx, crash := context.WithCancel(t.Context())
	w.ctx = ctx
	w.during(func() {
		for strings.Count(w.stdout.String(), `"event":"checkpoint"`) < 5 {
			time.Sleep(time.Millisecond)
		}
		crash()
	}, "-D", "execution.checkpointing.interval=10 ms", "keyed")
	w.ctx = t.Context()
	files, _ := filepath.Glob("pagetide-data/keyed/*.delta")
	if len(files) == 0 {
		t.Fatalf("no data file is left:\n%s", w.stderr)
	}
	for _, name := range files {
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
		if after, _ := filepath.Glob("pagetide-data/keyed/*"); len(after) < len(files)+2 {
			t.Errorf("%s: only %v is left", verify, after)
		}
	}
	w.expect(exitRefused, "is none of lazy and eager", "run", "-D", "state.restore.verify=never", "--resume", "keyed")
}

// The events of a restore, in order.
func TestLoadedEvent(t *testing.T) {
	w := newWorld(t)
	w.leaveBehind("keyed")
	code := w.during(func() {
		for !strings.Contains(w.stdout.String(), `"event":"loaded"`) {
			time.Sleep(time.Millisecond)
		}
		w.signals <- os.Interrupt
	}, "--resume", "keyed")
	out := w.stdout.String()
	if code != exitCancelled || strings.Index(out, `"event":"restored"`) > strings.Index(out, `"event":"loaded"`) {
		t.Errorf("exit %d:\n%s", code, out)
	}
}
