package app

import (
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/meta"
)

// A hint fits what the run was asked for.
func TestHints(t *testing.T) {
	incompatible := fmt.Errorf("operator: %w", meta.ErrIncompatible)
	exists := fmt.Errorf("dir %w", meta.ErrExists)
	identity := &meta.DamageError{File: "state/job/_job"}
	data := &meta.DamageError{File: "state/job/0-1-2.delta"}
	metadata := &meta.DamageError{File: "saved/_metadata", HasSum: true}
	rows := &meta.DamageError{File: "rows.csv"}
	denied := &fs.PathError{Op: "mkdir", Path: "state", Err: syscall.EACCES}
	for _, tt := range []struct {
		name    string
		err     error
		restore engine.Restore
		code    int
		want    string
	}{
		{"other job, fresh", incompatible, engine.Restore{}, exitCheckpoint, "choose another --name"},
		{"other job, restored", incompatible, engine.Restore{Path: "a b"}, exitCheckpoint, "pagetide inspect 'a b' shows what it holds, -n leaves out"},
		{"other job, resumed", incompatible, engine.Restore{Path: engine.Latest}, exitCheckpoint, "pagetide inspect state/job shows"},
		{"in the way", exists, engine.Restore{}, exitRefused, "--fresh instead of --resume discards it"},
		{"in the way of a restore", exists, engine.Restore{Path: "saved"}, exitRefused, "-D state.checkpoints.dir=DIR restores into another"},
		{"damaged identity", identity, engine.Restore{Path: "saved"}, exitCheckpoint, "-D state.checkpoints.dir=DIR takes another directory"},
		{"damaged and fresh", data, engine.Restore{}, exitCheckpoint, "-D state.checkpoints.dir=DIR takes another directory"},
		{"damaged data", data, engine.Restore{Path: "saved"}, exitCheckpoint, "pagetide verify saved checks"},
		{"damaged metadata", metadata, engine.Restore{Path: "saved"}, exitCheckpoint, "an older checkpoint"},
		{"unwritable", denied, engine.Restore{}, exitRefused, "-D state.checkpoints.dir=DIR takes another directory"},
		{"another file", rows, engine.Restore{Path: "rows.csv"}, exitCheckpoint, "give the path of a _metadata file"},
	} {
		s := &session{p: &program{name: defaultName}, job: Job{Name: "job"}, dir: "state/job"}
		s.config.options.Restore, s.flags.from = tt.restore, tt.restore.Path
		if p := s.refused(tt.err); p.code != tt.code || !strings.Contains(p.hint, tt.want) {
			t.Errorf("%s: exit %d, hint %q, want %d and %q", tt.name, p.code, p.hint, tt.code, tt.want)
		}
	}
	elsewhere := (&session{dir: "state/job"}).refused(&fs.PathError{Op: "open", Path: "input", Err: syscall.EACCES})
	if elsewhere.code != exitRefused || elsewhere.hint != "" {
		t.Errorf("no permission elsewhere: exit %d, hint %q", elsewhere.code, elsewhere.hint)
	}
	full := (&session{}).failed(fmt.Errorf("write: %w", syscall.ENOSPC))
	if full.code != exitFailed || !strings.HasPrefix(full.hint, "make room") {
		t.Errorf("full disk: exit %d, hint %q", full.code, full.hint)
	}
}

func TestFailedCheckpointIsNamedOnce(t *testing.T) {
	e := event{Event: "checkpoint_failed", Checkpoint: &checkpointInfo{ID: 7}, Error: "checkpoint 7: disk full"}
	if want := "checkpoint 7 failed, the job goes on: disk full"; e.text() != want {
		t.Errorf("%q, want %q", e.text(), want)
	}
}
