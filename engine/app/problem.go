package app

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/meta"
)

// The exit codes.
const (
	exitDone       = 0   // finished or stopped
	exitFailed     = 1   // the job failed
	exitRefused    = 2   // usage, settings, a start that was refused
	exitLocked     = 3   // another process owns the directory
	exitCheckpoint = 4   // the checkpoint is missing, damaged, incompatible or not the newest
	exitCancelled  = 130 // cancelled
)

// problem is an error with what follows from it.
type problem struct {
	code int
	err  error
	hint string // empty: none
}

func (p *problem) Error() string { return p.err.Error() }
func (p *problem) Unwrap() error { return p.err }

func (p *problem) print(w io.Writer) {
	fmt.Fprintf(w, "pagetide: %s%s\n", strings.ReplaceAll(p.err.Error(), "\n", "\n  "), indented(stackOf(p.err)))
	if p.hint != "" {
		fmt.Fprintf(w, "hint: %s\n", p.hint)
	}
}

func usage(err error, hint string) *problem { return &problem{exitRefused, err, hint} }

// unknown says that a name is not among those that exist, with the nearest and all.
func unknown(what, name string, all []string, hint string) *problem {
	text := fmt.Sprintf("unknown %s %q", what, name)
	if near := nearest(name, all); near != "" {
		text += fmt.Sprintf("; did you mean %s?", near)
	}
	if len(all) > 0 {
		text += fmt.Sprintf(" (%ss: %s)", what, strings.Join(all, ", "))
	}
	return usage(errors.New(text), hint)
}

// nearest is the first of all that cobra would suggest for the name.
func nearest(name string, all []string) string {
	var parent cobra.Command
	parent.SuggestionsMinimumDistance = 2
	for _, s := range all {
		parent.AddCommand(&cobra.Command{Use: s, Run: func(*cobra.Command, []string) {}})
	}
	if near := parent.SuggestionsFor(name); len(near) > 0 && name != "" {
		return near[0]
	}
	return ""
}

// refused explains why a job did not start. Panics, and errors that are about the job's own input, are failures of the job; those
// about the checkpoint say so by their sentinel; the rest is what the user asked for.
func (s *session) refused(err error) *problem {
	if p := s.aboutCheckpoint(err); p != nil {
		return p
	}
	if stackOf(err) != "" || engine.IsPermanent(err) {
		return &problem{exitFailed, err, ""}
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok && unusable(e.Err) && (within(e.Path, s.dir) || within(s.dir, e.Path)) {
		return &problem{exitRefused, err, fmt.Sprintf("-D %s=DIR takes another directory", settingDir)}
	}
	return &problem{exitRefused, err, ""}
}

// unusable tells whether an error is that of a directory in a place where none can be made.
func unusable(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.ENOTDIR)
}

// within tells whether a path is a directory or in it.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

// failed explains why a job that did start has failed.
func (s *session) failed(err error) *problem {
	if p := s.aboutCheckpoint(err); p != nil && (p.code == exitCheckpoint || p.code == exitLocked) {
		return p
	}
	hint := ""
	switch {
	case errors.Is(err, engine.ErrPoison):
		hint = "the same record failed each time; mend the job or the record, then resume"
	case errors.Is(err, syscall.ENOSPC):
		hint = "make room, then resume: what was committed stays, and the rest is done again"
	}
	return &problem{exitFailed, err, hint}
}

// aboutCheckpoint is nil for errors that are not about checkpoints at rest.
func (s *session) aboutCheckpoint(err error) *problem {
	switch {
	case errors.Is(err, meta.ErrLocked):
		return &problem{exitLocked, err, hintLocked}
	case errors.Is(err, meta.ErrExists) && engine.IsPermanent(err): // said by a sink
		return &problem{exitRefused, err, "resume the run that it belongs to, or choose another place"}
	case errors.Is(err, meta.ErrExists) && s.flags.from != "":
		return &problem{exitRefused, err, fmt.Sprintf("%s continues that run; -D %s=DIR restores into another directory", s.command("--resume"), settingDir)}
	case errors.Is(err, meta.ErrExists):
		return &problem{exitRefused, err, fmt.Sprintf("%s continues it; --fresh instead of --resume discards it", s.command("--resume"))}
	case errors.Is(err, meta.ErrNotNewest):
		return &problem{exitCheckpoint, err, "--rewind goes back to it: newer checkpoints are retired, and output after it comes again"}
	case errors.Is(err, meta.ErrVersion):
		return &problem{exitCheckpoint, err, "a newer release wrote it; restore it with that one"}
	case errors.Is(err, meta.ErrIncompatible):
		return &problem{exitCheckpoint, err, s.hintIncompatible()}
	case errors.Is(err, meta.ErrDamaged):
		return &problem{exitCheckpoint, err, s.hintDamaged(err)}
	case errors.Is(err, meta.ErrNotFound):
		return &problem{exitCheckpoint, err, s.hintMissing()}
	}
	return nil
}

func (s *session) hintIncompatible() string {
	if s.source() == "" {
		return fmt.Sprintf("choose another --name, or another directory with -D %s=DIR", settingDir)
	}
	hint := fmt.Sprintf("run the job as it was when the checkpoint was taken; %s inspect %s shows what it holds", s.p.name, quote(s.source()))
	if !s.flags.ignoreExtra {
		hint += ", -n leaves out what nothing claims"
	}
	return hint
}

func (s *session) hintDamaged(err error) string {
	d, ok := errors.AsType[*meta.DamageError](err)
	if s.source() == "" || ok && filepath.Clean(filepath.Dir(d.File)) == filepath.Clean(s.dir) && !strings.HasSuffix(d.File, ".delta") {
		return fmt.Sprintf("-D %s=DIR takes another directory; a checkpoint of this one can be restored there, with -s PATH", settingDir)
	}
	switch {
	case ok && filepath.Base(d.File) == meta.FileName: // of which verify could not say more
		return hintOlder
	case ok && !d.HasSum && d.Offset == 0 && !strings.HasSuffix(d.File, ".delta"): // no metadata, and never was
		return hintPath
	}
	return fmt.Sprintf("%s verify %s checks every file of the checkpoint", s.p.name, quote(s.source()))
}

// hintOther is for a checkpoint of another name: that of another job of the program, or one that --name once gave.
func (s *session) hintOther(name, path string) string {
	if name != s.job.Name && slices.Contains(s.p.jobNames(), name) {
		return fmt.Sprintf("%s run -s %s continues job %s", s.p.name, quoteAll([]string{path, name}), name)
	}
	return fmt.Sprintf("--name %s continues under the checkpoint's name", quote(name))
}

// source is the path that the run restores from; empty for a fresh start.
func (s *session) source() string {
	if path := s.config.options.Restore.Path; path != engine.Latest {
		return path
	}
	return s.dir
}

func (s *session) hintMissing() string {
	switch {
	case holdsMetadata(s.source()):
		return hintData(s.config.name)
	case s.flags.from == engine.Latest:
		return fmt.Sprintf("%s starts fresh if there is no checkpoint", s.command("--resume"))
	}
	return hintPath
}

const hintLocked = "wait until it ends, or stop it with SIGTERM, which takes a last checkpoint"

const hintOlder = "an older checkpoint of the job, if one is retained, can be restored with -s PATH --rewind"

const hintPath = "give the path of a _metadata file, of its folder, or of a job's directory"

// hintData is for a checkpoint that is there without its data files.
func hintData(name string) string {
	return fmt.Sprintf("data files that lie elsewhere are found in DIR/%s with -D %s=DIR", name, settingDataDir)
}
