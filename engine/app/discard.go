package app

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pagetide/pagetide/snapshotter"
)

func (p *program) discardCommand() *cobra.Command {
	var f restFlags
	cmd := &cobra.Command{
		Use:   "discard PATH",
		Short: "Delete one checkpoint or savepoint",
		Long: "Delete one checkpoint or savepoint: PATH is a _metadata file or its folder. Data files that another checkpoint of the\n" +
			"job needs stay. A job that runs keeps its checkpoints: stop it first.",
		Args:              p.onePath,
		ValidArgsFunction: p.completeCheckpoint,
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := f.dirOptions(args[0])
			if err != nil {
				return err
			}
			gone, err := snapshotter.Discard(cmd.Context(), args[0], o)
			if err != nil {
				return atRest(err)
			}
			return p.wrote(discarded(gone).write(p.stdout, f.json))
		},
	}
	f.declare(cmd)
	return cmd
}

// dirOptions are those of the job's directory that the user named, or that a checkpoint of it lies in.
func (f *restFlags) dirOptions(path string) (snapshotter.Options, error) {
	c, err := loadConfig(runFlags{file: f.file, defines: f.defines}, Job{Name: jobFolder(path)})
	if err != nil {
		return snapshotter.Options{}, err
	}
	if _, err := parseDir(path); err != nil {
		return snapshotter.Options{}, usage(err, "")
	}
	data := c.options.Checkpoints.DataDir
	if data == "" {
		return snapshotter.Options{}, nil
	}
	dir, err := parseDir(data)
	return snapshotter.Options{DataDir: filepath.Join(dir, c.name)}, err
}

// wrote explains why the answer of a command could not be shown.
func (p *program) wrote(err error) error {
	if err != nil {
		return &problem{exitFailed, fmt.Errorf("show the result: %w", err), ""}
	}
	return nil
}

// discarded shows what discard has done.
type discarded snapshotter.Discarded

func (d discarded) write(w io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(map[string]any{
			"path": d.Path, "checkpoint": d.ID, "savepoint": d.Savepoint, "files": d.Files, "bytes": d.Bytes,
			"elsewhere": append([]string{}, d.Elsewhere...), "left": append([]string{}, d.Left...), "newest": d.Next,
		})
	}
	what := "checkpoint"
	if d.Savepoint {
		what = "savepoint of checkpoint"
	}
	_, err := fmt.Fprintf(w, "deleted %s %d, %s, with %d data files of %s\n%s", what, d.ID, d.Path, d.Files, bytesText(d.Bytes), d.remarks())
	return err
}

func (d discarded) remarks() string {
	var b strings.Builder
	if d.Next > 0 {
		fmt.Fprintf(&b, "checkpoint %d is the newest now: a resumed job goes on from there and repeats output after it\n", d.Next)
	}
	if len(d.Elsewhere) > 0 {
		fmt.Fprintf(&b, "not found, and not deleted: %s; -D %s=DIR says where data files are\n", strings.Join(d.Elsewhere, ", "), settingDataDir)
	}
	if len(d.Left) > 0 {
		fmt.Fprintf(&b, "the folder stays, it holds %s\n", strings.Join(d.Left, ", "))
	}
	return b.String()
}
