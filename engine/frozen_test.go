package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/mmapstate"
	"github.com/pagetide/pagetide/snapshotter"
)

var update = flag.Bool("update", false, "write the frozen checkpoints of a new version")

// frozen writes the checkpoints of this version, each in a folder of its name, which is a job's directory. Beside the
// checkpoint lies export.jsonl: every state of it, as export prints it. Only -update writes, and only the folders of a
// version that has none yet: what is there is read for ever.
var frozen = map[string]func(t *testing.T, dir string){
	"chain":    freezeChain,
	"embedded": freezeJob,
	"empty":    freezeEmpty,
	"job":      freezeJob,
	"tables":   freezeTables,
}

// frozenDir has those of this version. Those of older ones lie beside it.
var frozenDir = filepath.Join(frozenDirs, fmt.Sprintf("v%d", meta.Version))

const frozenDirs = "testdata/frozen"

func TestFrozen(t *testing.T) {
	if *update {
		freeze(t)
	}
	dirs, err := filepath.Glob(filepath.Join(frozenDirs, "*", "*"))
	if err != nil || len(dirs) < len(frozen)*meta.Version {
		t.Fatalf("%v: %v, want at least %d", err, dirs, len(frozen))
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(filepath.Dir(dir))+"/"+filepath.Base(dir), func(t *testing.T) {
			cp := loadFrozen(t, dir)
			if err := cp.Verify(t.Context(), nil); err != nil {
				t.Error(err)
			}
			want, err := os.ReadFile(filepath.Join(dir, "export.jsonl"))
			if err != nil {
				t.Fatal(err)
			}
			if got := exportAll(t, cp); !bytes.Equal(got, want) {
				t.Errorf("export differs:\n%s\nwant:\n%s", got, want)
			}
			for _, o := range cp.Meta.Operators {
				restoreAsItIs(t, cp, o)
			}
		})
	}
}

// TestFrozenInPython has a reader in another language, written from FORMAT.md, read the same.
func TestFrozenInPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("LEFT OUT: python3 is not there; make reader says so with an error")
	}
	dirs, _ := filepath.Glob(filepath.Join(frozenDirs, "*", "*"))
	for _, dir := range dirs {
		t.Run(filepath.Base(filepath.Dir(dir))+"/"+filepath.Base(dir), func(t *testing.T) {
			cp := loadFrozen(t, dir)
			cmd := exec.CommandContext(t.Context(), python, "../snapshotter/testdata/reader.py", cp.Path)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			got, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v\n%s", err, &stderr)
			}
			if want := exportAll(t, cp); !bytes.Equal(got, want) {
				t.Errorf("reader.py prints\n%s\nexport prints\n%s", got, want)
			}
		})
	}
}

func loadFrozen(t *testing.T, dir string) *snapshotter.Checkpoint {
	t.Helper()
	cp, err := snapshotter.Load(dir, snapshotter.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cp.Close() })
	return cp
}

// exportAll prints every state, each under a line that names it.
func exportAll(t *testing.T, cp *snapshotter.Checkpoint) (all []byte) {
	t.Helper()
	for _, o := range cp.Meta.Operators {
		v, err := mmapstate.OpenView(cp, o.No)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range v.States() {
			all = fmt.Appendf(all, "{\"operator\":%q,\"state\":%q}\n", o.UID, s.Name)
			for e, err := range s.All(t.Context(), nil) {
				if err != nil {
					t.Fatal(err)
				}
				if all = append(e.Append(all), '\n'); !json.Valid(e.Append(nil)) {
					t.Errorf("state %s: no JSON: %s", s.Name, e.Append(nil))
				}
			}
		}
	}
	return all
}

// restoreAsItIs loads every page of an operator into a store.
func restoreAsItIs(t *testing.T, cp *snapshotter.Checkpoint, o meta.Operator) {
	t.Helper()
	s, err := mmapstate.Open(mmapstate.Options{Operator: o.No}, cp)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Check(), s.Close()); err != nil {
		t.Error(err)
	}
}

// freeze writes all folders.
func freeze(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(frozenDir); err == nil {
		t.Fatalf("%s is there: what was released stays; a change of the format takes another version", frozenDir)
	}
	for _, name := range slices.Sorted(maps.Keys(frozen)) {
		dir := filepath.Join(frozenDir, name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		frozen[name](t, dir)
		if err := os.Remove(filepath.Join(dir, ".owner")); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "export.jsonl"), exportAll(t, loadFrozen(t, dir)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// freezeEmpty is what a job has before its first record.
func freezeEmpty(t *testing.T, dir string) {
	save(t, dir, []*mmapstate.Store{mmapstate.New(mmapstate.Options{HashSeed: 1})}, func(int) {}, 1)
}

// save takes checkpoints of stores that change in between.
func save(t *testing.T, dir string, stores []*mmapstate.Store, change func(round int), rounds int) {
	t.Helper()
	d, err := snapshotter.Open(dir, snapshotter.Options{Name: filepath.Base(dir)})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for round := range rounds {
		change(round)
		p, err := d.Begin()
		if err != nil {
			t.Fatal(err)
		}
		m := &meta.Metadata{Notes: map[string]string{"round": fmt.Sprint(round)}, Args: []string{"--round", fmt.Sprint(round)}}
		var cuts []meta.Cut
		for i, s := range stores {
			cut, err := s.Freeze()
			if err != nil {
				t.Fatal(err)
			}
			m.Operators = append(m.Operators, meta.Operator{No: meta.OperatorNo(i), UID: fmt.Sprint("op-", i), Kind: "store", Parallelism: 1})
			p.Add(cut)
			cuts = append(cuts, cut)
		}
		ends := make(chan error)
		go func() {
			_, err := p.Publish(context.Background(), m)
			ends <- err
		}()
		for _, c := range cuts { // side by side: none ends before all are gathered
			go func() { ends <- c.Wait(context.Background()) }()
		}
		for range len(cuts) + 1 {
			err = errors.Join(err, <-ends)
		}
		_, retireErr := d.Retire(t.Context())
		if err := errors.Join(err, retireErr); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range stores {
		s.Close()
	}
}
