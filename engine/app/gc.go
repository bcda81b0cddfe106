package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter"
)

// garbageInfo is one line of gc.
type garbageInfo struct {
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`
	Why   string `json:"why"`
}

// collection is what gc has found, and perhaps deleted.
type collection struct {
	DryRun  bool          `json:"dry_run"`
	Dirs    []string      `json:"directories"`
	Garbage []garbageInfo `json:"garbage"`
	Bytes   int64         `json:"bytes"`
	Error   string        `json:"error,omitempty"`
}

func (p *program) gcCommand() *cobra.Command {
	var f restFlags
	var dry bool
	cmd := &cobra.Command{
		Use:   "gc DIR",
		Short: "Delete what crashes have left beside checkpoints",
		Long: "Delete what crashes, or an rm -r of a checkpoint, have left: data files of the job that none of its checkpoints names, and\n" +
			"empty folders. DIR is a job's directory, or the one of all jobs. A directory in use, or with a checkpoint that cannot be\n" +
			"read, is left alone.",
		Example: "  " + p.name + " gc --dry-run pagetide-data",
		Args:    p.onePath,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.gc(cmd.Context(), f, args[0], dry)
		},
	}
	f.declare(cmd)
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only list what would be deleted, and why")
	return cmd
}

func (p *program) gc(ctx context.Context, f restFlags, path string, dry bool) error {
	if _, err := f.dirOptions(path); err != nil {
		return err
	}
	c := collection{DryRun: dry, Dirs: []string{}, Garbage: []garbageInfo{}}
	dirs, err := jobDirs(path)
	for _, dir := range dirs {
		err = errors.Join(err, c.collect(ctx, f, dir))
	}
	if err != nil {
		c.Error = err.Error()
	}
	wrote := p.wrote(c.write(p.stdout, f.json))
	if err != nil {
		return atRest(err)
	}
	return wrote
}

// jobDirs are the jobs' directories in a directory, or it itself.
func jobDirs(path string) ([]string, error) {
	path, err := snapshotter.ParseDir(path)
	if err != nil {
		return nil, err
	}
	if isJobDir(path) {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", meta.ErrNotFound, err)
	}
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, e := range entries {
		if dir := filepath.Join(path, e.Name()); isJobDir(dir) {
			dirs = append(dirs, dir)
		}
	}
	if dirs == nil {
		return nil, fmt.Errorf("%s is not the directory of a job, and holds none: %w", path, meta.ErrNotFound)
	}
	return dirs, nil
}

func isJobDir(path string) bool { return exists(filepath.Join(path, "_job")) }

// collect lists one job's garbage, and deletes it unless it is only asked for.
func (c *collection) collect(ctx context.Context, f restFlags, path string) (err error) {
	o, err := f.dirOptions(path)
	if err != nil {
		return err
	}
	if o.DataDir != "" && !exists(o.DataDir) {
		o.DataDir = "" // this job has none
	}
	d, err := snapshotter.OpenExisting(path, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	c.Dirs = append(c.Dirs, path)
	list, err := d.Garbage(ctx)
	if err != nil {
		return err
	}
	if !c.DryRun {
		if err := d.SweepOrphans(ctx); err != nil {
			return err
		}
	}
	for _, g := range list {
		c.Garbage = append(c.Garbage, garbageInfo(g))
		c.Bytes += g.Bytes
	}
	return nil
}

func (c collection) write(w io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(c)
	}
	var b strings.Builder
	var rows [][]string
	for _, g := range c.Garbage {
		rows = append(rows, []string{g.Path, bytesText(g.Bytes), g.Why})
	}
	if rows != nil {
		table(&b, []string{"PATH", "SIZE", "WHY"}, rows)
	}
	verb := "deleted"
	if c.DryRun {
		verb = "to be deleted"
	}
	if len(c.Dirs) > 0 {
		fmt.Fprintf(&b, "%d %s in %s, %s\n", len(c.Garbage), verb, strings.Join(c.Dirs, ", "), bytesText(c.Bytes))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
