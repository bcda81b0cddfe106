package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/mmapstate"
)

func (p *program) exportCommand() *cobra.Command {
	var f stateFlags
	var output string
	cmd := &cobra.Command{
		Use:   "export PATH",
		Short: "Print all entries of a checkpoint's state, as JSON Lines",
		Long: "Print all entries of a checkpoint's state, as JSON Lines: by key group, then by the bytes of the key, an index by time.\n\n" +
			"  value   {\"key\":KEY,\"value\":VALUE}        windows have a \"start\" too, states with a TTL the \"time\" of the last write\n" +
			"  list    {\"key\":KEY,\"value\":[VALUE,...]}  with a TTL \"times\" beside the elements\n" +
			"  map     {\"key\":KEY,\"value\":{FIELD:VALUE,...}}\n" +
			"  index   {\"time\":TIME,\"key\":KEY}\n\n" +
			"What has expired and was not removed yet is there: how long entries live, the job knows alone.",
		Example:           "  " + p.name + " export pagetide-data/JOB --uid OPERATOR --state STATE -o state.jsonl",
		Args:              p.onePath,
		ValidArgsFunction: p.completeCheckpoint,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.export(cmd.Context(), f, args[0], output)
		},
	}
	f.declare(p, cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "", "write to `FILE`, which is there only once it is whole")
	return cmd
}

func (p *program) export(ctx context.Context, f stateFlags, path, output string) error {
	cp, s, err := f.open(p, path)
	if err != nil {
		return err
	}
	defer cp.Close() // read only
	ctx, stop := p.interruptible(ctx)
	defer stop()
	if output == "" {
		return p.exportTo(ctx, p.stdout, s)
	}
	unfinished := output + ".tmp"
	file, err := os.Create(unfinished)
	if err != nil {
		return &problem{exitFailed, fmt.Errorf("export: %w", err), ""}
	}
	err = p.exportTo(ctx, file, s)
	if closed := file.Close(); err == nil && closed != nil {
		err = &problem{exitFailed, fmt.Errorf("export: %w", closed), ""}
	}
	if err == nil {
		err = os.Rename(unfinished, output)
	}
	if err != nil {
		os.Remove(unfinished) // the first error is the one to tell
	}
	return err
}

// exportTo writes the entries, with progress.
func (p *program) exportTo(ctx context.Context, w io.Writer, s *mmapstate.StateView) error {
	out := bufio.NewWriterSize(w, 1<<16)
	bar := p.barBeside(w)
	defer bar.clear()
	var line []byte
	for e, err := range s.All(ctx, func(done, total int64) { bar.show(done*meta.PageSize, total*meta.PageSize) }) {
		if err != nil {
			return errors.Join(atRest(err), out.Flush())
		}
		line = append(e.Append(line[:0]), '\n')
		if _, err := out.Write(line); err != nil {
			return &problem{exitFailed, fmt.Errorf("export: %w", err), ""}
		}
	}
	if err := out.Flush(); err != nil {
		return &problem{exitFailed, fmt.Errorf("export: %w", err), ""}
	}
	return nil
}
