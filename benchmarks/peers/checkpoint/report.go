package main

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
)

// report writes tables and then the RESULT lines.
func (b *bench) report(w io.Writer) {
	b.pauseTable(w)
	b.restoreTable(w)
	b.peerTable(w)
	for _, s := range b.run.Skipped {
		fmt.Fprintf(w, "skipped: %s\n", s)
	}
	for _, r := range b.run.Results {
		fmt.Fprintf(w, "RESULT %s %s %s\n", r.Name, number(r.Value), r.Unit)
	}
}

func (b *bench) pauseTable(w io.Writer) {
	if len(b.run.Pauses) == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "\nstate\tbatch p50\tp99\tp99.99\tmost\tbeside a checkpoint: p50\tp99\tp99.99\tmost\tratio of p99\t\n")
	for _, p := range b.run.Pauses {
		fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.2f\t\n", p.Label,
			p.Without.P50, p.Without.P99, p.Without.P9999, p.Without.Most, p.With.P50, p.With.P99, p.With.P9999, p.With.Most, p.Ratio)
	}
	t.Flush()
	fmt.Fprintf(w, "microseconds for %d updates, as fast as they go, a checkpoint each second\n", batch)
}

func (b *bench) restoreTable(w io.Writer) {
	if len(b.run.Restores) == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "\nstate\tfirst record, ms\tcold key p50, us\tp99\twith cold files p50\tp99\tall of it, s\tthe disk, s\tcold files\t\n")
	for _, r := range b.run.Restores {
		fmt.Fprintf(t, "%s\t%.1f\t%.0f\t%.0f\t%.0f\t%.0f\t%.2f\t%.2f\t%v\t\n", r.Label, r.FirstRecord, r.ColdKeyP50, r.ColdKeyP99, r.ColdFileP50, r.ColdFileP99, r.Full, r.Disk, r.Cold)
	}
	t.Flush()
}

func (b *bench) peerTable(w io.Writer) {
	if len(b.run.Peers) == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "\n\tstate, MiB\tcheckpoint, s\twritten, MiB\treopen to first value, ms\t\n")
	for _, p := range b.run.Peers {
		fmt.Fprintf(t, "%s %s\t%d\t%.3f\t%.1f\t%.1f\t\n", p.Name, p.Version, p.StateBytes>>20, p.Checkpoint, float64(p.Written)/(1<<20), p.Reopen)
	}
	t.Flush()
	for _, p := range b.run.Peers {
		fmt.Fprintf(w, "%s: %s\n", p.Name, p.Text)
	}
}

// number writes a value with as many digits as mean something.
func number(x float64) string {
	switch {
	case x >= 1000:
		return strconv.FormatFloat(x, 'f', 0, 64)
	case x >= 100:
		return strconv.FormatFloat(x, 'f', 1, 64)
	}
	return strconv.FormatFloat(x, 'f', 3, 64)
}
