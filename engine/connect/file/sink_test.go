package file_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/connect/file"
	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
	"github.com/pagetide/pagetide/snapshotter/vfs/vfstest"
)

const outDir = "/a/out"

func task(attempt meta.Attempt, index int) engine.Task {
	return engine.Task{Job: "test", JobID: 0xabc, UID: "out", Attempt: attempt, Index: index, Parallelism: 2}
}

func sinkOn(fsys vfs.FS, o ...file.SinkOption) engine.Sink[row] {
	return file.JSONLinesSink[row](outDir, append(o, file.OnFS(fsys))...)
}

func open(t *testing.T, s engine.Sink[row], task engine.Task) engine.Writer[row] {
	t.Helper()
	w, err := s.Open(t.Context(), task)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func put(t *testing.T, w engine.Writer[row], ids ...int) {
	t.Helper()
	for _, id := range ids {
		if err := w.Write(t.Context(), []row{{ID: id}}); err != nil {
			t.Fatal(err)
		}
	}
}

func prepare(t *testing.T, w engine.Writer[row], checkpoint uint64) engine.Txn {
	t.Helper()
	txn, err := w.Prepare(t.Context(), checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	return txn
}

func commit(t *testing.T, s engine.Sink[row], txns ...engine.Txn) {
	t.Helper()
	for _, txn := range txns {
		if err := s.Commit(t.Context(), txn); err != nil {
			t.Fatal(err)
		}
	}
}

// list is the sink's directory: visible names, and hidden ones.
func list(t *testing.T, fsys vfs.FS) (visible, hidden []string) {
	t.Helper()
	names, err := fsys.List(outDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, ".") {
			hidden = append(hidden, name)
		} else {
			visible = append(visible, name)
		}
	}
	return visible, hidden
}

// visibleRows are the lines of all committed files, in the order of their names.
func visibleRows(t *testing.T, fsys vfs.FS) []string {
	t.Helper()
	var rows []string
	names, _ := list(t, fsys)
	for _, name := range names {
		if content := read(t, fsys, name); content != "" {
			rows = append(rows, strings.Split(strings.TrimSuffix(content, "\n"), "\n")...)
		}
	}
	return rows
}

func read(t *testing.T, fsys vfs.FS, name string) string {
	t.Helper()
	f, err := fsys.Open(path.Join(outDir, name))
	if err != nil {
		t.Error(err)
		return ""
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		t.Error(err)
		return ""
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil && err != io.EOF {
		t.Error(err)
		return ""
	}
	return string(b)
}

func wantRows(ids ...int) []string {
	var rows []string
	for _, id := range ids {
		rows = append(rows, fmt.Sprintf(`{"id":%d,"name":""}`, id))
	}
	return rows
}

func TestSinkCommits(t *testing.T) {
	fsys := vfs.NewMem()
	s := sinkOn(fsys)
	if err := s.Recover(t.Context(), task(1, 0), nil); err != nil {
		t.Fatal(err)
	}
	first, second := open(t, s, task(1, 0)), open(t, s, task(1, 1))
	put(t, second, 2, 3)
	put(t, first, 1)
	txns := []engine.Txn{prepare(t, second, 7), prepare(t, first, 7)}
	if visible, hidden := list(t, fsys); len(visible) != 0 || len(hidden) != 2 {
		t.Fatalf("before Commit: %q and %q, want two hidden files", visible, hidden)
	}
	commit(t, s, txns...)
	commit(t, s, txns...)
	if txn := prepare(t, first, 8); txn != nil {
		t.Errorf("Prepare without rows = %q, want nil", txn)
	}
	put(t, first, 4)
	commit(t, s, prepare(t, first, 10))
	put(t, second, 5)
	for _, w := range []engine.Writer[row]{first, second} {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
	visible, hidden := list(t, fsys)
	want := []string{
		"part-000000000007-0000-0000000000000abc-out-1.jsonl",
		"part-000000000007-0001-0000000000000abc-out-1.jsonl",
		"part-000000000010-0000-0000000000000abc-out-1.jsonl",
	}
	if !slices.Equal(visible, want) || len(hidden) != 0 {
		t.Errorf("files %q and %q, want %q and none", visible, hidden, want)
	}
	if got := visibleRows(t, fsys); !slices.Equal(got, wantRows(1, 2, 3, 4)) {
		t.Errorf("rows %q", got)
	}
}

// recorded is a run over a crash file system, and what each published checkpoint promises.
type recorded struct {
	*vfs.Crash
	prepared map[string][]engine.Txn // by mark
	rows     map[string][]string
}

// record runs five checkpoints of two subtasks. The second is given up, so the third carries its transactions; most
// commits of the third are still to come when the fourth is published, so that one carries them. The fifth has no rows,
// so nothing but the commits before it keeps their renames.
func record(t *testing.T) recorded {
	r := recorded{vfs.NewCrash(), map[string][]engine.Txn{"": nil}, map[string][]string{"": nil}}
	s := sinkOn(r)
	if err := s.Recover(t.Context(), task(1, 0), nil); err != nil {
		t.Fatal(err)
	}
	w := []engine.Writer[row]{open(t, s, task(1, 0)), open(t, s, task(1, 1))}
	var open []engine.Txn
	var ids []int
	for id := range 4 {
		for i := range w {
			put(t, w[i], 10*id+i)
			ids = append(ids, 10*id+i)
			open = append(open, prepare(t, w[i], uint64(id+1)))
		}
		if id == 1 {
			continue
		}
		mark := fmt.Sprint("published ", id+1)
		r.prepared[mark], r.rows[mark] = slices.Clone(open), wantRows(ids...)
		r.Mark(mark)
		if id == 2 {
			commit(t, s, open[0])
			continue
		}
		commit(t, s, open...)
		open = nil
	}
	r.prepared["published 5"], r.rows["published 5"] = nil, wantRows(ids...)
	r.Mark("published 5")
	put(t, w[0], 99)
	for i := range w {
		w[i].Close()
	}
	return r
}

// TestSinkCrash cuts the power after every call and recovers; each recovery is cut after every call as well.
func TestSinkCrash(t *testing.T) {
	run := record(t)
	tally := vfstest.NewTally(t, "crash", "the sink's own")
	again := vfstest.NewTally(t, "crash", "the sink's own, and again while it recovers")
	power := vfstest.Crashes{Disk: run.Crash, Seed: 1, Sample: 5}
	power.Check(tally, func(left *vfs.Mem, marks []string) error {
		mark := ""
		if len(marks) > 0 {
			mark = marks[len(marks)-1]
		}
		second := vfs.NewCrashFrom(left)
		if err := recoverTo(t, second, run.prepared[mark], run.rows[mark]); err != nil {
			return fmt.Errorf("%s: %w", mark, err)
		}
		// The next checkpoint has no handles, so what recovery committed must have come to stay.
		for what, left := range second.States(second.Len(), 3) {
			again.Try()
			if err := recoverTo(t, left, nil, run.rows[mark]); err != nil {
				return fmt.Errorf("%s; the next checkpoint, %s: %w", mark, what, err)
			}
		}
		run.cutRecovery(t, again, second, mark)
		return nil
	})
}

// cutRecovery cuts the power after every call of a recovery.
func (r recorded) cutRecovery(t *testing.T, tally *vfstest.Tally, second *vfs.Crash, mark string) {
	for k := range second.Len() + 1 {
		tally.Point()
		for what, left := range second.States(k, 2) {
			tally.Try()
			if err := recoverTo(t, left, r.prepared[mark], r.rows[mark]); err != nil {
				tally.Wrong("%s; recovery cut after call %d, %s: %v", mark, k, what, err)
			}
		}
	}
}

func recoverTo(t *testing.T, fsys vfs.FS, prepared []engine.Txn, want []string) error {
	t.Helper()
	if err := sinkOn(fsys).Recover(t.Context(), task(2, 0), prepared); err != nil {
		return err
	}
	if got := visibleRows(t, fsys); !slices.Equal(got, want) {
		return fmt.Errorf("rows %q, want %q", got, want)
	}
	if _, hidden := list(t, fsys); len(hidden) != 0 {
		return fmt.Errorf("%q are left", hidden)
	}
	return nil
}

// TestSinkDiscardLasts crashes after a fresh start has thrown an earlier run's rows away.
func TestSinkDiscardLasts(t *testing.T) {
	m := vfs.NewMem()
	s := sinkOn(m)
	w := open(t, s, task(1, 0))
	put(t, w, 1)
	commit(t, s, prepare(t, w, 1))
	c := vfs.NewCrashFrom(m)
	fresh := task(2, 0)
	fresh.Fresh, fresh.Discard = true, fresh.JobID
	if err := sinkOn(c, file.RequireEmpty()).Recover(t.Context(), fresh, nil); err != nil {
		t.Fatal(err)
	}
	for what, left := range c.States(c.Len(), 1) {
		if rows := visibleRows(t, left); len(rows) != 0 {
			t.Errorf("%s: rows %q are back", what, rows)
		}
	}
}

func TestSinkLeavesOthersAlone(t *testing.T) {
	fsys := vfs.NewMem()
	strangers := []string{
		".part-0000000000000abc-other-1-0-0.tmp", // another sink of the job
		".part-0000000000000abd-out-1-0-0.tmp",   // the same sink of another job
		".part-0000000000000abc-out-1-0.tmp",     // not a name of ours
		".part-0000000000000abc-out-1-0-0.tmp.swp", ".keep", "notes.txt",
		"part-000000000007-0000-0000000000000abd-out-1.jsonl",
	}
	if err := vfs.MkdirAll(fsys, outDir); err != nil {
		t.Fatal(err)
	}
	for _, name := range append(strangers, ".part-0000000000000abc-out-1-0-0.tmp") {
		f, err := fsys.Create(path.Join(outDir, name))
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	start := task(2, 0)
	start.Fresh = true
	if err := sinkOn(fsys).Recover(t.Context(), start, nil); err != nil {
		t.Fatal(err)
	}
	visible, hidden := list(t, fsys)
	got := append(visible, hidden...)
	slices.Sort(got)
	slices.Sort(strangers)
	if !slices.Equal(got, strangers) {
		t.Errorf("left %q, want %q", got, strangers)
	}
}

func TestSinkRequireEmpty(t *testing.T) {
	const other = "part-000000000007-0000-0000000000000abd-out-1.jsonl"
	const own = "part-000000000007-0000-0000000000000abc-out-1.jsonl"
	tests := []struct {
		name           string
		fresh, discard bool
		has            []string
		refused        bool
	}{
		{"resumed", false, false, []string{own, other}, false},
		{"fresh", true, false, []string{own}, true},
		{"fresh beside dot files", true, false, []string{".x", "notes"}, false},
		{"discarded", true, true, []string{own, ".part-0000000000000abc-out-1-0-0.tmp"}, false},
		{"discarded beside others", true, true, []string{own, other}, true},
		{"beside any part", true, true, []string{"part-x"}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fsys := vfs.NewMem()
			if err := vfs.MkdirAll(fsys, outDir); err != nil {
				t.Fatal(err)
			}
			for _, name := range tt.has {
				if _, err := fsys.Create(path.Join(outDir, name)); err != nil {
					t.Fatal(err)
				}
			}
			start := task(1, 0)
			start.Fresh = tt.fresh
			if tt.discard {
				start.Discard, start.JobID = start.JobID, 0xdef // the run that starts has another id
			}
			err := sinkOn(fsys, file.RequireEmpty()).Recover(t.Context(), start, nil)
			if refused := errors.Is(err, meta.ErrExists) && engine.IsPermanent(err); refused != tt.refused || err != nil && !refused {
				t.Errorf("Recover = %v, want refused %v", err, tt.refused)
			}
		})
	}
}

func TestSinkHostileHandles(t *testing.T) {
	good := ".part-0000000000000abc-out-1-0-0.tmp -> part-000000000001-0000-0000000000000abc-out-1.jsonl"
	tests := []string{
		"", " -> ", good + "x", "x" + good, good + "\n",
		strings.Replace(good, ".part", "../.part", 1),
		strings.Replace(good, "> part", "> /etc/part", 1),
		strings.Replace(good, "out-1.jsonl", "../x-1.jsonl", 1),
		strings.Replace(good, "out-1.jsonl", "other-1.jsonl", 1),
		strings.Replace(good, "-0000-", "-0001-", 1),
		strings.Replace(good, ".part", "notes", 1),
	}
	for _, txn := range tests {
		fsys := vfs.NewCrash()
		if err := vfs.MkdirAll(fsys, outDir); err != nil {
			t.Fatal(err)
		}
		calls := fsys.Len()
		if err := sinkOn(fsys).Commit(t.Context(), engine.Txn(txn)); err == nil || !engine.IsPermanent(err) {
			t.Errorf("Commit(%q) = %v, want permanent", txn, err)
		}
		if err := sinkOn(fsys).Recover(t.Context(), task(1, 0), []engine.Txn{engine.Txn(txn)}); err == nil || !engine.IsPermanent(err) {
			t.Errorf("Recover(%q) = %v, want permanent", txn, err)
		}
		if fsys.Len() != calls {
			t.Errorf("%q: calls %q", txn, fsys.Calls()[calls:])
		}
	}
}

func TestSinkCommitFindsNeitherOrBoth(t *testing.T) {
	fsys := vfs.NewMem()
	s := sinkOn(fsys)
	w := open(t, s, task(1, 0))
	put(t, w, 1)
	txn := prepare(t, w, 1)
	_, hidden := list(t, fsys)
	from := path.Join(outDir, hidden[0])
	final := path.Join(outDir, "part-000000000001-0000-0000000000000abc-out-1.jsonl")

	if err := fsys.Link(from, final); err != nil { // as a rename by link and removal leaves it
		t.Fatal(err)
	}
	commit(t, s, txn)
	if visible, hidden := list(t, fsys); len(visible) != 1 || len(hidden) != 0 {
		t.Errorf("after a rename that stopped half way: %q, %q", visible, hidden)
	}

	if _, err := fsys.Create(from); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(t.Context(), txn); !errors.Is(err, fs.ErrExist) || !engine.IsPermanent(err) {
		t.Errorf("Commit over other rows = %v, want permanent ErrExist", err)
	}
	if got := visibleRows(t, fsys); !slices.Equal(got, wantRows(1)) {
		t.Errorf("rows %q after a refused commit", got)
	}

	fsys.Remove(from)
	fsys.Remove(final)
	err := s.Commit(t.Context(), txn)
	if !errors.Is(err, fs.ErrNotExist) || !engine.IsPermanent(err) || !strings.Contains(err.Error(), hidden[0]) || !strings.Contains(err.Error(), filepath.FromSlash(final)) {
		t.Errorf("Commit of lost rows = %v, want permanent ErrNotExist naming both", err)
	}
	if err := sinkOn(vfs.NewMem()).Recover(t.Context(), task(2, 0), []engine.Txn{txn}); !errors.Is(err, fs.ErrNotExist) || !engine.IsPermanent(err) {
		t.Errorf("Recover without the folder = %v, want permanent ErrNotExist", err)
	}
}

// TestSinkFaults fails every call once, with a full disk and with a passing error.
func TestSinkFaults(t *testing.T) {
	for _, cause := range []error{syscall.ENOSPC, syscall.ENOTDIR, fs.ErrPermission, syscall.EIO} {
		for k := 1; ; k++ {
			m := vfs.NewMem()
			f := vfs.NewFault(m)
			before := f.Calls()
			f.Fail(k, nil, vfs.Failure{Err: cause, Short: true})
			err := oneCheckpoint(t, sinkOn(f))
			if f.Calls()-before < k {
				break
			}
			if err == nil {
				continue // a failed close of rows given up, or a name that was found otherwise
			}
			if !errors.Is(err, cause) || engine.IsPermanent(err) != (cause != syscall.EIO) || !strings.Contains(err.Error(), outDir) {
				t.Errorf("call %d with %v: %v", k, cause, err)
			}
			if rows := visibleRows(t, m); len(rows) != 0 && !slices.Equal(rows, wantRows(1)) {
				t.Errorf("call %d with %v: rows %q", k, cause, rows)
			}
		}
	}
}

func oneCheckpoint(t *testing.T, s engine.Sink[row]) error {
	ctx := t.Context()
	if err := s.Recover(ctx, task(1, 0), nil); err != nil {
		return err
	}
	w, err := s.Open(ctx, task(1, 0))
	if err != nil {
		return err
	}
	defer w.Close()
	if err := w.Write(ctx, []row{{ID: 1}}); err != nil {
		return err
	}
	txn, err := w.Prepare(ctx, 1)
	if err != nil {
		if _, again := w.Prepare(ctx, 2); again == nil {
			t.Errorf("Prepare succeeded after %v", err)
		}
		return err
	}
	return s.Commit(ctx, txn)
}

// A scheme that there is no storage for is refused before anything is made.
func TestSinkFolderNames(t *testing.T) {
	t.Chdir(t.TempDir())
	for dir, want := range map[string]string{
		"":              "output folder: its name is empty",
		"hdfs://host/x": `output folder hdfs://host/x: no storage for "hdfs:" yet, use a plain path or file://`,
		"s3:x":          `output folder s3:x: no storage for "s3:" yet, use a plain path or file://`,
		"file:x":        "output folder file:x: want file:///path of this machine",
		"file://host/x": "output folder file://host/x: want file:///path of this machine",
	} {
		s := file.JSONLinesSink[row](dir)
		_, openErr := s.Open(t.Context(), task(1, 0))
		_, listErr := file.Committed(dir)
		for _, err := range []error{s.Recover(t.Context(), task(1, 0), nil), openErr, listErr} {
			if err == nil || err.Error() != want {
				t.Errorf("%q: err = %v, want %q", dir, err, want)
			}
		}
	}
	if made, err := filepath.Glob("*"); err != nil || len(made) > 0 {
		t.Errorf("made %q, %v", made, err)
	}
}

func TestSinkFolderIsAFile(t *testing.T) {
	path := write(t, "taken", "")
	for _, dir := range []string{path, filepath.Join(path, "below")} {
		err := oneCheckpoint(t, file.JSONLinesSink[row](dir))
		if !engine.IsPermanent(err) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: err = %v, want a permanent one that names it", dir, err)
		}
	}
}

func TestSinkValueWithoutJSON(t *testing.T) {
	s := file.JSONLinesSink[float64](outDir, file.OnFS(vfs.NewMem()))
	w, err := s.Open(t.Context(), task(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(t.Context(), []float64{1, math.NaN()}); !engine.IsPermanent(err) {
		t.Errorf("Write(NaN) = %v, want permanent", err)
	}
	if txn, err := w.Prepare(t.Context(), 1); err == nil {
		t.Errorf("Prepare after it = %q, want an error", txn)
	}
}

func TestSinkNamesOfUIDs(t *testing.T) {
	uids := []string{"out", "Out", "o-t", "o=2dt", "", "a/b", "..", "ü", strings.Repeat("x", 300), strings.Repeat("x", 299) + "y"}
	fsys := vfs.NewMem()
	for i, uid := range uids {
		s := sinkOn(fsys)
		who := task(1, 0)
		who.UID = uid
		w := open(t, s, who)
		put(t, w, i)
		txn := prepare(t, w, 1)
		if len(txn) > 350 {
			t.Errorf("uid %q makes the handle %q", uid, txn)
		}
		commit(t, s, txn)
	}
	visible, _ := list(t, fsys)
	lower := map[string]bool{}
	for _, name := range visible {
		lower[strings.ToLower(name)] = true
	}
	if len(visible) != len(uids) || len(lower) != len(uids) {
		t.Errorf("%d uids made %d files, %d without case: %q", len(uids), len(visible), len(lower), visible)
	}
}

func TestCommittedOnDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "out")
	s := file.JSONLinesSink[row](dir)
	w := open(t, s, task(1, 0))
	for id := range 3 {
		put(t, w, id)
		commit(t, s, prepare(t, w, uint64(9+id)))
	}
	put(t, w, 9)
	prepare(t, w, 20)
	parts, err := file.Committed(dir)
	if err != nil || len(parts) != 3 || !slices.IsSorted(parts) {
		t.Fatalf("Committed = %q, %v, want three, sorted", parts, err)
	}
	if same, err := file.Committed("file://" + filepath.ToSlash(dir)); runtime.GOOS != "windows" && (err != nil || !slices.Equal(same, parts)) {
		t.Errorf("Committed of the URI = %q, %v, want %q", same, err, parts)
	}
	got, _, err := drain(t, file.JSONLines[row](parts[1]), "")
	if err != nil || !reflect.DeepEqual(got, []row{{ID: 1}}) {
		t.Errorf("second file: %v, %v", got, err)
	}
}

// TestSinkRefusesWhatJSONCannotSay: such a row is the same after every restart.
func TestSinkRefusesWhatJSONCannotSay(t *testing.T) {
	w, err := file.JSONLinesSink[string](outDir, file.OnFS(vfs.NewMem())).Open(t.Context(), task(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	err = w.Write(t.Context(), []string{"not UTF-8: \xff"})
	if err == nil {
		_, err = w.Prepare(t.Context(), 1)
	}
	if !engine.IsPermanent(err) {
		t.Errorf("a row that is no text: %v, want a permanent error", err)
	}
}
