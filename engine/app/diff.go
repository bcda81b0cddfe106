package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter"
)

// comparison is what diff shows.
type comparison struct {
	Before    string         `json:"before"` // paths
	After     string         `json:"after"`
	Operators []operatorDiff `json:"operators"`
}

type operatorDiff struct {
	UID         string `json:"uid"`
	PagesBefore int64  `json:"pages_before"`
	PagesAfter  int64  `json:"pages_after"`
	Added       int64  `json:"pages_added"`
	Removed     int64  `json:"pages_removed"`
	Changed     int64  `json:"pages_changed"`
	Lines       int64  `json:"lines_changed"` // in changed pages
	Shards      int    `json:"shards_changed"`

	same map[meta.KeyGroup]bool // nothing has changed in their pages
}

func (p *program) diffCommand() *cobra.Command {
	var f restFlags
	var keys bool
	cmd := &cobra.Command{
		Use:   "diff BEFORE AFTER",
		Short: "Show how two checkpoints differ",
		Long: "Show how two checkpoints differ: their pages, with the lines of 64 bytes that have changed, and with --keys the entries too.\n\n" +
			"Pages that both have from the same data files are not read. With --keys each entry that has come (+), gone (-) or changed (~)\n" +
			"is shown as export prints it; with --json as well, each is a line of JSON, and nothing else is printed.",
		Example: "  " + p.name + " diff pagetide-data/JOB/chk-4 pagetide-data/JOB/chk-5 --keys",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usage(fmt.Errorf("diff takes the paths of two checkpoints, found %d arguments", len(args)), p.name+" diff --help")
			}
			return nil
		},
		ValidArgsFunction: p.completeCheckpoint,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.diff(cmd.Context(), f, keys, args[0], args[1])
		},
	}
	f.declare(cmd)
	cmd.Flags().BoolVar(&keys, "keys", false, "compare the entries of all states, too")
	return cmd
}

func (p *program) diff(ctx context.Context, f restFlags, keys bool, before, after string) error {
	var both [2]*snapshotter.Checkpoint
	for i, path := range []string{before, after} {
		cp, err := f.open(path)
		if err != nil {
			return err
		}
		defer cp.Close() // read only
		both[i] = cp
	}
	ctx, stop := p.interruptible(ctx)
	defer stop()
	c := comparison{Before: both[0].Path, After: both[1].Path}
	bar := newBar(p)
	pages, err := snapshotter.Diff(ctx, both[0], both[1], func(done, total int64) { bar.show(done*meta.PageSize, total*meta.PageSize) })
	bar.clear()
	if err != nil {
		return atRest(err)
	}
	c.Operators = byOperator(pages, both)
	if !f.json {
		if err := c.printPages(p.stdout); err != nil {
			return err
		}
	}
	if !keys {
		return c.report(p.stdout, f.json)
	}
	d := keyDiff{p: p, ctx: ctx, json: f.json}
	if err := d.compare(both, c.Operators); err != nil {
		return err
	}
	return d.report()
}

// byOperator adds up the differences of shards. Operators without pages are there, too.
func byOperator(pages []snapshotter.Difference, both [2]*snapshotter.Checkpoint) (all []operatorDiff) {
	at := map[string]int{}
	for _, cp := range both {
		for _, uid := range uidsOf(cp.Meta) {
			if _, ok := at[uid]; !ok {
				at[uid] = len(all)
				all = append(all, operatorDiff{UID: uid, same: map[meta.KeyGroup]bool{}})
			}
		}
	}
	for _, d := range pages {
		o := &all[at[d.UID]]
		o.PagesBefore, o.PagesAfter = o.PagesBefore+d.Pages[0], o.PagesAfter+d.Pages[1]
		o.Added, o.Removed, o.Changed, o.Lines = o.Added+d.Added, o.Removed+d.Removed, o.Changed+d.Changed, o.Lines+d.Lines
		if o.same[d.Group] = d.None(); !d.None() {
			o.Shards++
		}
	}
	return all
}

func (c comparison) report(w io.Writer, asJSON bool) error {
	if !asJSON {
		return nil
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return notShown(encoder.Encode(c))
}

func notShown(err error) error {
	if err == nil {
		return nil
	}
	return &problem{exitFailed, fmt.Errorf("show difference: %w", err), ""}
}

func (c comparison) printPages(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "from %s to %s\n", c.Before, c.After)
	var rows [][]string
	for _, o := range c.Operators {
		rows = append(rows, []string{o.UID, grouped(o.PagesBefore), grouped(o.PagesAfter), grouped(o.Added), grouped(o.Removed), grouped(o.Changed),
			grouped(o.Lines), bytesText(o.Lines * meta.LineSize), fmt.Sprint(o.Shards)})
	}
	section(&b, "pages", []string{"UID", "BEFORE", "AFTER", "ADDED", "REMOVED", "CHANGED", "LINES", "BYTES", "SHARDS"}, rows)
	_, err := io.WriteString(w, b.String())
	return notShown(err)
}
