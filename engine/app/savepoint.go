package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/pagetide/pagetide/snapshotter"
)

// savepointInfo is what savepoint has made.
type savepointInfo struct {
	Path       string `json:"path"`
	Job        string `json:"job"`
	Checkpoint uint64 `json:"checkpoint"`
	Files      int    `json:"files"`
	Bytes      int64  `json:"bytes"`
}

func (p *program) savepointCommand() *cobra.Command {
	var f restFlags
	cmd := &cobra.Command{
		Use:   "savepoint PATH FOLDER",
		Short: "Copy a checkpoint whole into a folder of your own",
		Long: "Copy a checkpoint whole, and verified, into a new folder. Nothing touches the folder again; it can be moved, and run -s\n" +
			"starts from it. Output that the checkpoint has prepared and not committed yet stays where it is.\n" +
			"A running job makes a savepoint of its own when it is stopped and state.savepoints.dir is set.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 || args[0] == "" || args[1] == "" {
				return usage(errors.New("savepoint takes the path of a checkpoint and that of a new folder"), p.name+" savepoint --help")
			}
			return nil
		},
		ValidArgsFunction: p.completeCheckpoint,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.savepoint(cmd, f, args[0], args[1])
		},
	}
	f.declare(cmd)
	return cmd
}

func (p *program) savepoint(cmd *cobra.Command, f restFlags, path, folder string) error {
	if _, err := parseDir(folder); err != nil {
		return usage(err, "")
	}
	cp, err := f.open(path)
	if err != nil {
		return err
	}
	defer cp.Close() // read only
	bar := newBar(p)
	err = cp.Verify(cmd.Context(), bar.show) // what is kept for long should be worth it
	var made string
	if err == nil {
		made, err = cp.Export(cmd.Context(), folder, snapshotter.ExportOptions{Progress: bar.show})
	}
	bar.clear()
	switch {
	case errors.Is(err, fs.ErrExist):
		return usage(err, "give the name of a folder that is not there yet")
	case err != nil:
		return atRest(err)
	}
	sizes := cp.Sizes()
	info := savepointInfo{made, cp.Meta.Name, uint64(cp.Meta.ID), sizes.Files, sizes.Stored}
	return p.wrote(info.write(p, f.json))
}

func (s savepointInfo) write(p *program, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(p.stdout).Encode(s)
	}
	_, err := fmt.Fprintf(p.stdout, "%s: checkpoint %d of job %s, %d data files with %s; start from it with: %s run -s %s %s\n",
		filepath.Dir(s.Path), s.Checkpoint, s.Job, s.Files, bytesText(s.Bytes), p.name, quote(filepath.Dir(s.Path)), p.jobOr(s.Job, "JOB"))
	return err
}
