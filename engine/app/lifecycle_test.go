package app

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

func (w *world) stop() { w.signals <- syscall.SIGTERM }

// stopLater stops a job that has state by then.
func (w *world) stopLater() {
	w.stdout.until(2, `"full_bytes"`)
	w.stop()
}

// says wants a text on stdout.
func (w *world) says(want string) {
	w.t.Helper()
	if !strings.Contains(w.stdout.String(), want) {
		w.t.Errorf("stdout lacks %q:\n%s", want, w.stdout)
	}
}

func TestStopWithSavepoint(t *testing.T) {
	w := newWorld(t)
	where := []string{"-D", "state.savepoints.dir=mine", "-D", "execution.checkpointing.interval=20ms"}
	if code := w.during(w.stopLater, append(where, "keyed")...); code != exitDone {
		t.Fatalf("exit %d:\n%s", code, w.stderr)
	}
	made, _ := filepath.Glob("mine/keyed-savepoint-*")
	if len(made) != 1 || !strings.Contains(w.stderr.String(), "and a savepoint of it in mine") || !strings.Contains(w.stderr.String(), ": "+made[0]+"\n") {
		t.Fatalf("savepoints %v:\n%s", made, w.stderr)
	}
	w.says(`"savepoint":"` + filepath.Join(made[0], meta.FileName) + `"`)
	if !strings.Contains(w.lastLine(), "is kept; resume with: pagetide run -s pagetide-data/keyed/chk-") {
		t.Errorf("last line %q", w.lastLine())
	}
	if err := os.Rename(made[0], "moved"); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll("pagetide-data"); err != nil { // it stands alone
		t.Fatal(err)
	}
	w.expect(exitDone, "", "verify", "moved")
	if code := w.during(w.stop, "-s", "moved", "keyed"); code != exitDone {
		t.Fatalf("run -s moved: exit %d:\n%s", code, w.stderr)
	}
	w.says(`"event":"importing"`)
	w.says(`"event":"restored"`)
	w.expect(exitRefused, "already holds an earlier run", "run", "-s", "moved", "keyed") // which has gone on from there
	w.expect(exitDone, "", "verify", "moved")

	w.write("file", "")
	if code := w.during(w.stop, "--resume", "-D", "state.savepoints.dir=file/below", "keyed"); code != exitFailed {
		t.Errorf("exit %d without the savepoint that was asked for:\n%s", code, w.stderr)
	}
	if !strings.Contains(w.lastLine(), "is kept; resume with") || strings.Count(w.stderr.String(), "savepoint file/below") != 1 {
		t.Errorf("stderr:\n%s", w.stderr)
	}
	w.expect(exitRefused, "setting state.savepoints.dir: hdfs://x/y: no storage", "run", "-D", "state.savepoints.dir=hdfs://x/y", "count")
}

func TestSavepointCommand(t *testing.T) {
	w := newWorld(t)
	if code := w.during(w.stopLater, "-D", "execution.checkpointing.interval=20ms", "keyed"); code != exitDone {
		t.Fatalf("exit %d:\n%s", code, w.stderr)
	}
	path := w.keptPath()
	w.expect(exitDone, "", "savepoint", path, "backup/one")
	w.says("backup/one: checkpoint ")
	w.says("start from it with: pagetide run -s backup/one keyed")
	w.expect(exitRefused, "hint: give the name of a folder that is not there yet", "savepoint", path, "backup/one")
	w.expect(exitDone, "", "savepoint", "--json", "pagetide-data/keyed", "backup/two")
	var made savepointInfo
	if err := json.Unmarshal([]byte(w.stdout.String()), &made); err != nil || made.Path != filepath.Join("backup/two", meta.FileName) || made.Files == 0 {
		t.Errorf("%v, %+v", err, made)
	}
	w.expect(exitRefused, "savepoint takes the path", "savepoint", path)
	w.expect(exitRefused, "no storage", "savepoint", path, "hdfs://x/y")
	w.expect(exitCheckpoint, "nowhere", "savepoint", "nowhere", "x")

	files, _ := filepath.Glob("pagetide-data/keyed/*.delta")
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	whole[len(whole)/2] ^= 1
	w.write(files[0], string(whole))
	w.expect(exitCheckpoint, files[0], "savepoint", path, "backup/three") // damage does not get into a backup
	if left, _ := filepath.Glob("backup/*"); len(left) != 2 {
		t.Errorf("savepoints %v, want two", left)
	}
	if code := w.during(w.stop, "-s", "backup/two", "-D", "state.checkpoints.dir=other", "keyed"); code != exitDone {
		t.Errorf("exit %d:\n%s", code, w.stderr)
	}
}

func TestDiscardCommand(t *testing.T) {
	w := newWorld(t)
	w.leaveBehind("keyed")
	path := w.keptPath()
	w.expect(exitDone, "", "savepoint", path, "backup")
	w.write("backup/notes.txt", "mine")
	w.expect(exitDone, "", "discard", "backup")
	w.says("deleted savepoint of checkpoint ")
	w.says("the folder stays, it holds notes.txt")

	w.expect(exitCheckpoint, "name one checkpoint", "discard", "pagetide-data/keyed")
	w.expect(exitCheckpoint, "not found", "discard", "nowhere")
	w.expect(exitRefused, "discard takes the path of one checkpoint", "discard")
	lock, err := vfs.OS().Lock("pagetide-data/keyed")
	if err != nil {
		t.Fatal(err)
	}
	w.expect(exitLocked, "with pid", "discard", path)
	w.expect(exitLocked, "with pid", "gc", "pagetide-data")
	lock.Close()
	w.expect(exitDone, "", "discard", "--json", path)
	w.says(`"checkpoint":`)
	// The empty folder keeps the number from being given out again.
	left, _ := filepath.Glob("pagetide-data/keyed/*")
	if len(left) != 2 || filepath.Base(left[0]) != "_job" || !strings.HasPrefix(filepath.Base(left[1]), "chk-") {
		t.Errorf("left %v", left)
	}
}

func TestGC(t *testing.T) {
	w := newWorld(t)
	if code := w.during(w.stopLater, "-D", "execution.checkpointing.interval=20ms", "-D", "state.backend.data-dir=data", "keyed"); code != exitDone {
		t.Fatalf("exit %d:\n%s", code, w.stderr)
	}
	w.expect(exitDone, "", "gc", "pagetide-data")
	w.says("0 deleted in pagetide-data/keyed, 0 B")
	path := w.keptPathOf("keyed")
	if err := os.RemoveAll(filepath.Dir(path)); err != nil { // rm -r chk-N, then gc
		t.Fatal(err)
	}
	files, _ := filepath.Glob("data/keyed/*.delta")
	if len(files) == 0 {
		t.Fatal("no data files")
	}
	w.expect(exitDone, "", "gc", "--dry-run", "-D", "state.backend.data-dir=data", "pagetide-data/keyed")
	w.says("data file that no checkpoint names")
	w.says("to be deleted in pagetide-data/keyed")
	if again, _ := filepath.Glob("data/keyed/*.delta"); len(again) != len(files) {
		t.Error("the dry run has deleted something")
	}
	if err := os.MkdirAll("other/keyed", 0o700); err != nil {
		t.Fatal(err)
	}
	w.expect(exitDone, "", "gc", "--dry-run", "-D", "state.backend.data-dir=other", "pagetide-data/keyed")
	if wrote, _ := filepath.Glob("other/keyed/*"); len(wrote) != 0 {
		t.Errorf("the dry run has written %v", wrote)
	}
	w.expect(exitDone, "", "gc", "--json", "-D", "state.backend.data-dir=data", "pagetide-data")
	var c collection
	if err := json.Unmarshal([]byte(w.stdout.String()), &c); err != nil || len(c.Garbage) != len(files) || c.Bytes == 0 || c.DryRun {
		t.Errorf("%v, %+v", err, c)
	}
	if again, _ := filepath.Glob("data/keyed/*.delta"); len(again) != 0 {
		t.Errorf("left %v", again)
	}
	w.expect(exitCheckpoint, "is not the directory of a job, and holds none", "gc", "data")
	w.expect(exitCheckpoint, "not found", "gc", "nowhere")
	w.expect(exitRefused, "takes the path", "gc")
}

// keptPathOf is the newest checkpoint on disk.
func (w *world) keptPathOf(job string) string {
	w.t.Helper()
	paths, _ := filepath.Glob("pagetide-data/" + job + "/chk-*/_metadata")
	if len(paths) == 0 {
		w.t.Fatal("no checkpoint")
	}
	return paths[len(paths)-1]
}
