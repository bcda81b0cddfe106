package engine_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

type oldCell struct{ N int64 }
type newCell struct{ Max, N int64 }

// variant is a job that differs from the plain one, which is its zero value, in one thing.
type variant struct {
	name, uid, sourceUID string
	window               time.Duration
	intKey               bool
	cell                 bool // another struct
	state                string
	timer                string
	splits               int
	maxParallelism       int
	parallelism          int
}

func (v variant) job() *engine.Job {
	job := engine.NewJob(or(v.name, "variant"))
	src := engine.From(job, or(v.sourceUID, "in"), newFeed[event](or(v.splits, 2)),
		engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(0)))
	byKey := engine.KeyBy(src, func(e event) string { return e.Key })
	engine.To(engine.Aggregate(engine.Window(byKey, engine.Tumbling(or(v.window, time.Minute))), "win", sum{}), "wins", newLog())
	var out engine.Stream[string]
	switch {
	case v.intKey:
		out = variantProcess[int64, oldCell](v, engine.KeyBy(src, func(e event) int64 { return e.N }))
	case v.cell:
		out = variantProcess[string, newCell](v, byKey)
	default:
		out = variantProcess[string, oldCell](v, byKey)
	}
	engine.To(out, "out", newLog())
	return job
}

func variantProcess[K comparable, C any](v variant, in engine.Keyed[K, event]) engine.Stream[string] {
	return engine.Process(in, or(v.uid, "proc"), func(s *engine.Setup) engine.Func[K, event, string] {
		c := engine.NewCell[C](s, or(v.state, "cell"))
		tick := engine.NewTimer(s, or(v.timer, "tick"), func(*engine.Context, K, engine.Time, engine.Out[string]) error { return nil })
		return func(ctx *engine.Context, _ K, e event, _ engine.Out[string]) error {
			c.Ref(ctx)
			tick.Set(ctx, ctx.Time().Add(time.Hour))
			return nil
		}
	})
}

func or[T comparable](v, d T) T {
	var zero T
	if v == zero {
		return d
	}
	return v
}

func (v variant) options(dir string, r engine.Restore) engine.Options {
	return engine.Options{
		Parallelism: v.parallelism, MaxParallelism: v.maxParallelism,
		Checkpoints: engine.Checkpoints{Dir: dir, Retained: 3}, Restore: r,
	}
}

// stopped runs the plain job, takes some checkpoints, stops it, and returns the path of each.
func stopped(t *testing.T, dir string) (paths []string) {
	t.Helper()
	in := newFeed[event](2)
	job := engine.NewJob("variant")
	src := engine.From(job, "in", in, engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(0)))
	seen := make(chan struct{}, 100)
	byKey := engine.KeyBy(engine.Map(src, func(e event) event { seen <- struct{}{}; return e }), func(e event) string { return e.Key })
	engine.To(engine.Aggregate(engine.Window(byKey, engine.Tumbling(time.Minute)), "win", sum{}), "wins", newLog())
	engine.To(variantProcess[string, oldCell](variant{}, byKey), "out", newLog())
	r := start(t, job, variant{}.options(dir, engine.Restore{}))
	for i := range 2 {
		in.add(i, events(20)...)
		for range 20 {
			until(t, "a record", seen)
		}
		cp, err := r.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, cp.Path)
	}
	cp, err := r.Stop(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return append(paths, cp.Path)
}

// TestRefusals starts jobs on a checkpoint that does not fit them: each is refused with its sentinel and a sentence that
// names the thing, and the directory stays as it is.
func TestRefusals(t *testing.T) {
	home := t.TempDir()
	paths := stopped(t, home)
	latest := engine.Restore{Path: engine.Latest}
	tests := map[string]struct {
		v    variant
		r    engine.Restore
		want error
		says []string
	}{
		"fresh over an earlier run": {variant{}, engine.Restore{}, meta.ErrExists, []string{`job "variant"`, "newest checkpoint"}},
		"missing operator":          {variant{uid: "other"}, latest, meta.ErrIncompatible, []string{`state of operator "proc"`}},
		"missing source":            {variant{sourceUID: "other"}, latest, meta.ErrIncompatible, []string{`positions of source "in"`}},
		"window size":               {variant{window: time.Hour}, latest, meta.ErrIncompatible, []string{`operator "win"`, "1m0s", "1h0m0s"}},
		"key type":                  {variant{intKey: true}, latest, meta.ErrIncompatible, []string{`operator "proc"`, "key string", "key int64"}},
		"cell struct":               {variant{cell: true}, latest, meta.ErrIncompatible, []string{`"proc"`, `"cell"`, "Max"}},
		"state renamed":             {variant{state: "call"}, latest, meta.ErrIncompatible, []string{`state "cell"`, `operator "proc"`}},
		"cell struct, rewinding":    {variant{cell: true}, engine.Restore{Path: paths[0], Rewind: true}, meta.ErrIncompatible, []string{`"cell"`}},
		"timers":                    {variant{timer: "tock"}, latest, meta.ErrIncompatible, []string{`operator "proc"`, "tick", "tock"}},
		"split gone":                {variant{splits: 1}, latest, meta.ErrIncompatible, []string{`source "in"`, `split "1"`, "20"}},
		"parallelism above max":     {variant{parallelism: 129}, latest, nil, []string{"129", "128"}},
		"parallelism above new max": {variant{parallelism: 9, maxParallelism: 8}, latest, nil, []string{"9", "8"}},
		"no such checkpoint":        {variant{}, engine.Restore{Path: filepath.Join(home, "variant", "chk-999")}, meta.ErrNotFound, []string{"chk-999"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			before := tree(t, home)
			_, err := tt.v.job().Start(t.Context(), tt.v.options(home, tt.r))
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Fatalf("Start = %v, want %v", err, tt.want)
			}
			contains(t, err, tt.says...)
			if !maps.Equal(tree(t, home), before) {
				t.Error("the refused start has changed the directory")
			}
			noneLeft(t)
		})
	}
}

// TestRefusedImport starts on a checkpoint of another directory that does not fit: neither directory changes, not even
// when an earlier run's checkpoints were to be discarded.
func TestRefusedImport(t *testing.T) {
	from, home := t.TempDir(), t.TempDir()
	path := last(stopped(t, from))
	stopped(t, home)
	tests := map[string]struct {
		v    variant
		r    engine.Restore
		want error
	}{
		"in the way":     {variant{}, engine.Restore{Path: path}, meta.ErrExists},
		"another window": {variant{window: time.Hour}, engine.Restore{Path: path, Fresh: true}, meta.ErrIncompatible},
		"split gone":     {variant{splits: 1}, engine.Restore{Path: path, Fresh: true}, meta.ErrIncompatible},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a, b := tree(t, from), tree(t, home)
			_, err := tt.v.job().Start(t.Context(), tt.v.options(home, tt.r))
			if !errors.Is(err, tt.want) {
				t.Fatalf("Start = %v, want %v", err, tt.want)
			}
			if !maps.Equal(tree(t, from), a) || !maps.Equal(tree(t, home), b) {
				t.Error("the refused start has changed a directory")
			}
		})
	}
}

func TestOtherJobName(t *testing.T) {
	from, home := t.TempDir(), t.TempDir()
	path := last(stopped(t, from))
	v := variant{name: "another"}
	_, err := v.job().Start(t.Context(), v.options(home, engine.Restore{Path: path}))
	if !errors.Is(err, meta.ErrIncompatible) {
		t.Fatalf("Start = %v, want %v", err, meta.ErrIncompatible)
	}
	contains(t, err, `"variant"`, `"another"`)
}

func TestLocked(t *testing.T) {
	home := t.TempDir()
	r := start(t, variant{}.job(), variant{}.options(home, engine.Restore{}))
	_, err := variant{}.job().Start(t.Context(), variant{}.options(home, engine.Resume()))
	if !errors.Is(err, meta.ErrLocked) {
		t.Errorf("Start = %v, want %v", err, meta.ErrLocked)
	}
	contains(t, err, "variant")
	if err := r.Cancel(); err != nil {
		t.Fatal(err)
	}
	start(t, variant{}.job(), variant{}.options(home, engine.Restore{})) // the lock is free and nothing is left
}

func TestNothingToResume(t *testing.T) {
	home := t.TempDir()
	_, err := variant{}.job().Start(t.Context(), variant{}.options(home, engine.Restore{Path: engine.Latest}))
	if !errors.Is(err, meta.ErrNotFound) {
		t.Errorf("Start = %v, want %v", err, meta.ErrNotFound)
	}
	start(t, variant{}.job(), variant{}.options(home, engine.Resume()))
}

// TestDamage flips a byte of the newest checkpoint's metadata, and of each of its data files, which are all verified first.
func TestDamage(t *testing.T) {
	home := t.TempDir()
	paths := stopped(t, home)
	names := []string{last(paths)}
	for name := range tree(t, home) {
		if strings.HasSuffix(name, ".delta") {
			names = append(names, filepath.Join(home, name))
		}
	}
	if len(names) < 2 {
		t.Fatalf("no data files in %v", tree(t, home))
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)/2] ^= 4
		overwrite(t, name, b)
		for _, path := range []string{engine.Latest, last(paths)} {
			_, err = variant{}.job().Start(t.Context(), variant{}.options(home, engine.Restore{Path: path, Verify: engine.VerifyEager}))
			if !errors.Is(err, meta.ErrDamaged) {
				t.Errorf("Start with damaged %s = %v, want %v", filepath.Base(name), err, meta.ErrDamaged)
			}
			contains(t, err, filepath.Base(name))
		}
		b[len(b)/2] ^= 4
		overwrite(t, name, b)
	}
	start(t, variant{}.job(), variant{}.options(home, engine.Restore{Path: engine.Latest}))
}

// TestDamagedOlder resumes from an intact checkpoint beside a damaged one: nothing is deleted that it may name.
func TestDamagedOlder(t *testing.T) {
	home := t.TempDir()
	paths := stopped(t, home)
	overwrite(t, paths[0], []byte("broken"))
	var orphan string
	for name := range tree(t, home) {
		if base, ok := strings.CutSuffix(name, ".delta"); ok {
			orphan = filepath.Join(home, base[:len(base)-16]+"00000000000000ff.delta")
		}
	}
	if err := os.WriteFile(orphan, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	o := variant{}.options(home, engine.Resume())
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	r := start(t, variant{}.job(), o)
	if _, err := os.Stat(orphan); err != nil {
		t.Errorf("%v: it may be what the damaged checkpoint names", err)
	}
	for range 3 { // the damaged one is retired
		if _, err := r.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "what crashes have left") || !strings.Contains(log.String(), paths[0]) {
		t.Errorf("the log does not name %s:\n%s", paths[0], &log)
	}
	start(t, variant{}.job(), variant{}.options(home, engine.Resume()))
	if _, err := os.Stat(orphan); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v: no checkpoint is damaged any more", err)
	}
}

func overwrite(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestMissingDataFile is not damage: the error says what is not there.
func TestMissingDataFile(t *testing.T) {
	home := t.TempDir()
	stopped(t, home)
	var gone string
	for name := range tree(t, home) {
		if strings.HasSuffix(name, ".delta") && name > gone {
			gone = name
		}
	}
	if err := os.Remove(filepath.Join(home, gone)); err != nil {
		t.Fatal(err)
	}
	for _, r := range []engine.Restore{{Path: engine.Latest}, engine.Resume()} { // what lacks a file is not nothing
		_, err := variant{}.job().Start(t.Context(), variant{}.options(home, r))
		if !errors.Is(err, meta.ErrNotFound) || errors.Is(err, fs.ErrExist) {
			t.Fatalf("Start = %v, want %v", err, meta.ErrNotFound)
		}
		contains(t, err, filepath.Base(gone))
	}
}

// TestUnknownVersion is intact but of a newer release.
func TestUnknownVersion(t *testing.T) {
	home := t.TempDir()
	path := last(stopped(t, home))
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	overwrite(t, path, newerVersion(b))
	_, err = variant{}.job().Start(t.Context(), variant{}.options(home, engine.Restore{Path: path}))
	if !errors.Is(err, meta.ErrVersion) {
		t.Errorf("Start = %v, want %v", err, meta.ErrVersion)
	}
	contains(t, err, "_metadata")
}

// TestRewind refuses a checkpoint that is not the newest, and goes back to it when told to.
func TestRewind(t *testing.T) {
	home := t.TempDir()
	paths := stopped(t, home)
	before := tree(t, home)
	_, err := variant{}.job().Start(t.Context(), variant{}.options(home, engine.Restore{Path: paths[0]}))
	if !errors.Is(err, meta.ErrNotNewest) {
		t.Fatalf("Start = %v, want %v", err, meta.ErrNotNewest)
	}
	contains(t, err, paths[0], last(paths))
	for _, v := range []variant{{window: time.Hour}, {splits: 1}} { // what does not fit is refused before anything is retired
		if _, err := v.job().Start(t.Context(), v.options(home, engine.Restore{Path: paths[1], Rewind: true})); !errors.Is(err, meta.ErrIncompatible) {
			t.Errorf("Start = %v, want %v", err, meta.ErrIncompatible)
		}
	}
	if !maps.Equal(tree(t, home), before) {
		t.Error("the refused starts have changed the directory")
	}
	var from string
	o := variant{}.options(home, engine.Restore{Path: paths[0], Rewind: true})
	o.Hooks.Restored = func(c engine.Checkpoint) { from = c.Path }
	r := start(t, variant{}.job(), o)
	if from != paths[0] {
		t.Errorf("started from %s, want %s", from, paths[0])
	}
	cp, err := r.Stop(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if cp.ID <= 3 {
		t.Errorf("checkpoint %d after a rewind: ids must grow", cp.ID)
	}
}

// TestRewindOnOwnStorage goes back in the directory, as on the machine's disk: nothing is imported.
func TestRewindOnOwnStorage(t *testing.T) {
	o := engine.Options{Checkpoints: engine.Checkpoints{Dir: "state", Retained: 2}.On(vfs.NewMem())}
	r := start(t, sumJob(newFeed[event](1), newLog()), o)
	older, err := r.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	var from string
	o.Restore = engine.Restore{Path: older.Path, Rewind: true}
	o.Hooks.Restored = func(c engine.Checkpoint) { from = c.Path }
	if start(t, sumJob(newFeed[event](1), newLog()), o); from != older.Path {
		t.Errorf("started from %s, want %s", from, older.Path)
	}
}

// TestImport starts from a copy of a job's directory somewhere else: the copy stays as it is, byte for byte.
func TestImport(t *testing.T) {
	from, home := t.TempDir(), t.TempDir()
	stopped(t, from)
	copied := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.CopyFS(copied, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(from); err != nil {
		t.Fatal(err)
	}
	before := tree(t, copied)
	r := start(t, variant{}.job(), variant{}.options(home, engine.Restore{Path: filepath.Join(copied, "variant")}))
	if n := r.Stats().RecordsIn; n != 40 {
		t.Errorf("%d records counted, want the 40 of the checkpoint", n)
	}
	if _, err := r.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(tree(t, copied), before) {
		t.Error("the checkpoint outside has changed")
	}
	if err := os.RemoveAll(copied); err != nil { // and is not needed any more
		t.Fatal(err)
	}
	start(t, variant{}.job(), variant{}.options(home, engine.Restore{Path: engine.Latest}))
}

// TestIgnoreExtra drops what no operator claims, when told to.
func TestIgnoreExtra(t *testing.T) {
	home := t.TempDir()
	stopped(t, home)
	for _, v := range []variant{{uid: "other"}, {splits: 1, uid: "other"}} {
		r := start(t, v.job(), v.options(home, engine.Restore{Path: engine.Latest, IgnoreExtra: true}))
		if _, err := r.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func last[T any](s []T) T { return s[len(s)-1] }

// newerVersion is the same metadata as a newer release would write it: another version, and a right checksum.
func newerVersion(b []byte) []byte {
	b = bytes.Clone(b)
	binary.LittleEndian.PutUint32(b[8:], meta.Version+7)
	binary.LittleEndian.PutUint64(b[len(b)-8:], xxhash.Sum64(b[:len(b)-8]))
	return b
}
