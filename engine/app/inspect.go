package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter"
)

// restFlags are the flags of commands on checkpoints at rest.
type restFlags struct {
	file    string
	defines []string
	json    bool
}

func (f *restFlags) declare(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON on stdout")
	f.declareWhere(cmd)
}

// declareWhere declares what it takes to find a checkpoint.
func (f *restFlags) declareWhere(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVarP(&f.file, "config", "c", "", "read settings from `FILE` instead of pagetide.yaml")
	fs.StringArrayVarP(&f.defines, "define", "D", nil, "set `KEY=VALUE`; of use is state.backend.data-dir")
}

// open opens the checkpoint that the user named.
func (f *restFlags) open(path string) (*snapshotter.Checkpoint, error) {
	c, err := loadConfig(runFlags{file: f.file, defines: f.defines}, Job{Name: jobFolder(path)})
	if err != nil {
		return nil, err
	}
	if _, err := parseDir(path); err != nil {
		return nil, usage(err, "")
	}
	cp, err := loadCheckpoint(path, c)
	if errors.Is(err, meta.ErrNotFound) && holdsMetadata(path) {
		return nil, &problem{exitCheckpoint, err, hintData(c.name)}
	}
	if err != nil {
		return nil, atRest(err)
	}
	return cp, nil
}

// jobFolder is the name of the job's directory that a checkpoint lies in: data directories are divided likewise.
func jobFolder(path string) string {
	if dir, err := snapshotter.ParseDir(path); err == nil {
		path = dir
	}
	if abs, err := filepath.Abs(path); err == nil {
		path = abs // of ".", too
	}
	if filepath.Base(path) == meta.FileName {
		path = filepath.Dir(path)
	}
	if real, err := filepath.EvalSymlinks(path); err == nil && isChk(filepath.Base(real)) {
		path = real
	}
	if strings.HasPrefix(filepath.Base(path), "chk-") {
		path = filepath.Dir(path)
	}
	if name := filepath.Base(path); checkName(name) == nil {
		return name
	}
	return "job"
}

// atRest explains what is wrong with a checkpoint.
func atRest(err error) *problem {
	switch {
	case errors.Is(err, meta.ErrLocked):
		return &problem{exitLocked, err, hintLocked}
	case errors.Is(err, meta.ErrVersion):
		return &problem{exitCheckpoint, err, "a newer release wrote it; use that one"}
	case errors.Is(err, meta.ErrDamaged):
		return &problem{exitCheckpoint, err, hintOlder}
	case errors.Is(err, meta.ErrNotFound):
		return &problem{exitCheckpoint, err, hintPath}
	case errors.Is(err, meta.ErrIncompatible):
		return &problem{exitCheckpoint, err, ""}
	case errors.Is(err, context.Canceled):
		return &problem{exitCancelled, errors.New("interrupted"), ""}
	}
	return &problem{exitFailed, err, ""}
}

func (p *program) inspectCommand() *cobra.Command {
	var f restFlags
	cmd := &cobra.Command{
		Use:               "inspect PATH",
		Short:             "Show what a checkpoint holds",
		Args:              p.onePath,
		ValidArgsFunction: p.completeCheckpoint,
		RunE: func(_ *cobra.Command, args []string) error {
			cp, err := f.open(args[0])
			if err != nil {
				return err
			}
			defer cp.Close() // read only
			if err := inspect(cp).write(p.stdout, f.json); err != nil {
				return &problem{exitFailed, fmt.Errorf("show checkpoint: %w", err), ""}
			}
			return nil
		},
	}
	f.declare(cmd)
	return cmd
}

func (p *program) onePath(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usage(fmt.Errorf("%s takes the path of one checkpoint, found %d arguments", cmd.Name(), len(args)),
			fmt.Sprintf("%s %s --help", p.name, cmd.Name()))
	}
	if args[0] == "" {
		return usage(fmt.Errorf("%s needs the path of a checkpoint, found an empty one", cmd.Name()), "")
	}
	return nil
}

// inspection is what inspect shows.
type inspection struct {
	Path       string    `json:"path"`
	Job        string    `json:"job"`
	JobID      string    `json:"job_id"`
	Checkpoint uint64    `json:"checkpoint"`
	Attempt    uint32    `json:"attempt"`
	Created    time.Time `json:"created"`
	Format     int       `json:"format"`
	KeyGroups  int       `json:"key_groups"`
	Args       []string  `json:"args"`

	DeltaBytes    int64 `json:"delta_bytes"`
	StoredBytes   int64 `json:"stored_bytes"`
	EmbeddedBytes int64 `json:"embedded_bytes,omitempty"` // those stored in the metadata itself
	LiveBytes     int64 `json:"live_bytes"`

	Operators []operatorInfo `json:"operators"`
	Splits    []splitInfo    `json:"splits"`
	Pending   []pendingInfo  `json:"pending"`
	Files     []fileInfo     `json:"files"`
}

type operatorInfo struct {
	UID         string      `json:"uid"`
	Kind        string      `json:"kind"`
	Fingerprint string      `json:"fingerprint"`
	Parallelism int         `json:"parallelism"`
	Watermark   string      `json:"watermark,omitempty"`
	HeldBy      *heldInfo   `json:"held_by,omitempty"` // what open windows and timers wait for
	Shards      int         `json:"shards"`
	Pages       int64       `json:"pages"`
	Bytes       int64       `json:"bytes"`
	States      []stateInfo `json:"states"`
}

// heldInfo is the split behind an operator with the least time.
type heldInfo struct {
	Source    string    `json:"source"`
	Split     string    `json:"split"`
	State     string    `json:"state"`
	Watermark string    `json:"watermark,omitempty"`
	Heard     time.Time `json:"heard"` // of its last record
}

type stateInfo struct {
	Name     string `json:"name"`
	Kind     string `json:"kind"`
	Key      string `json:"key_type"`
	Type     string `json:"type,omitempty"`
	Entries  uint64 `json:"entries"`
	Earliest string `json:"earliest,omitempty"` // of an index
}

type splitInfo struct {
	Source   string `json:"source"`
	Split    string `json:"split"`
	Position string `json:"position"`
	Latest   string `json:"latest_event,omitempty"`
	Done     bool   `json:"done"`
}

type pendingInfo struct {
	Sink       string `json:"sink"`
	Checkpoint uint64 `json:"checkpoint"`
	Subtask    int    `json:"subtask"`
	Handle     string `json:"handle"`
}

type fileInfo struct {
	Name       string `json:"name"`
	Checkpoint uint64 `json:"checkpoint"`
	Size       int64  `json:"size"`
}

func (r inspection) write(w io.Writer, asJSON bool) error {
	if !asJSON {
		return r.print(w)
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

func inspect(cp *snapshotter.Checkpoint) inspection {
	m, sizes := cp.Meta, cp.Sizes()
	r := inspection{
		Path: cp.Path, Job: m.Name, JobID: m.Job.String(), Checkpoint: uint64(m.ID), Attempt: uint32(m.Attempt),
		Created: time.Unix(0, m.Created).UTC(), Format: meta.Version, KeyGroups: int(m.KeyGroups), Args: m.Args,
		DeltaBytes: sizes.Delta, StoredBytes: sizes.Stored, EmbeddedBytes: int64(len(m.Embedded)), LiveBytes: sizes.Live,
	}
	for _, o := range m.Operators {
		info := inspectOperator(o)
		if s, ok := engine.HeldBy(m, o.UID); ok {
			info.HeldBy = &heldInfo{s.Source, s.ID, string(s.State), watermark(s.Watermark), s.Heard.UTC()}
		}
		r.Operators = append(r.Operators, info)
	}
	for _, s := range m.Sources {
		for _, p := range s.Splits {
			r.Splits = append(r.Splits, splitInfo{s.UID, p.ID, p.Position, watermark(engine.Time(p.MaxTime)), p.Done})
		}
	}
	for _, s := range m.Sinks {
		for _, t := range s.Txns {
			r.Pending = append(r.Pending, pendingInfo{s.UID, uint64(t.Checkpoint), int(t.Subtask), printable(t.Handle)})
		}
	}
	for _, f := range m.Files {
		if !f.Embedded() {
			r.Files = append(r.Files, fileInfo{f.Name, uint64(f.Checkpoint), f.Size})
		}
	}
	return r
}

func inspectOperator(o meta.Operator) operatorInfo {
	info := operatorInfo{UID: o.UID, Kind: o.Kind, Fingerprint: o.Fingerprint, Parallelism: int(o.Parallelism),
		Watermark: watermark(engine.Time(o.Watermark)), Shards: len(o.Shards)}
	entries, earliest := map[uint16]uint64{}, map[uint16]int64{}
	for _, sh := range o.Shards {
		info.Pages += int64(sh.Pages)
		for _, st := range sh.States {
			if at, ok := earliest[st.No]; st.Entries > 0 && (!ok || st.Earliest < at) {
				earliest[st.No] = st.Earliest
			}
			entries[st.No] += st.Entries
		}
	}
	info.Bytes = info.Pages * meta.PageSize
	for _, st := range o.States {
		s := stateInfo{Name: st.Name, Kind: st.Kind.String(), Key: st.Key, Type: st.Type, Entries: entries[st.No]}
		if at, ok := earliest[st.No]; ok && st.Kind == meta.KindIndex {
			s.Earliest = watermark(engine.Time(at))
		}
		info.States = append(info.States, s)
	}
	return info
}

// printable shows a sink's handle, whose bytes are its own, in at most 80 characters of one line.
func printable(handle []byte) string {
	s := strings.Trim(fmt.Sprintf("%q", handle), `"`)
	if len(s) > 80 {
		s = s[:77] + "..."
	}
	return s
}
