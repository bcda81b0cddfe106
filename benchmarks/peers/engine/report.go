package main

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
)

// report writes tables and then the RESULT lines.
func (b *bench) report(w io.Writer) {
	b.rateTable(w)
	b.latencyTable(w)
	for _, s := range b.run.Skipped {
		fmt.Fprintf(w, "skipped: %s\n", s)
	}
	for _, r := range b.run.Results {
		fmt.Fprintf(w, "RESULT %s %s", r.Name, number(r.Value))
		if r.Unit != "" {
			fmt.Fprintf(w, " %s", r.Unit)
		}
		fmt.Fprintln(w)
	}
}

func (b *bench) rateTable(w io.Writer) {
	if len(b.run.Rates) == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprint(t, "\npipeline\tby\trecords/s/core\tns of CPU\trecords/s\tcores\tallocations\tstate, MiB\twhat is guaranteed\n")
	for _, r := range b.run.Rates {
		fmt.Fprintf(t, "%s\t%s %s\t%s\t%.1f\t%s\t%.2f\t%.4f\t%.1f\t%s\n", r.Pipeline, r.Name, r.Version, number(r.PerCore), 1e9/r.PerCore,
			number(r.PerSecond), r.Cores, r.Allocs, float64(r.State)/(1<<20), r.Text)
	}
	t.Flush()
	fmt.Fprintln(w, "medians of the rounds, per record; a core is a second of processor time of all threads of the process")
}

func (b *bench) latencyTable(w io.Writer) {
	if len(b.run.Latencies) == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "\npipeline\t\trecords/s\tp50\tp99\tp99.99\tmost\t\n")
	for _, l := range b.run.Latencies {
		fmt.Fprintf(t, "%s\t%s\t%s\t%.0f\t%.0f\t%.0f\t%.0f\t\n", l.Pipeline, l.Name, number(l.Rate), l.P50, l.P99, l.P9999, l.Most)
	}
	t.Flush()
	fmt.Fprintln(w, "microseconds from when a record was due; medians of the rounds")
}

// number writes a value with as many digits as mean something.
func number(x float64) string {
	switch {
	case x >= 1000:
		return strconv.FormatFloat(x, 'f', 0, 64)
	case x >= 100:
		return strconv.FormatFloat(x, 'f', 1, 64)
	case x < 0.1:
		return strconv.FormatFloat(x, 'f', 6, 64)
	}
	return strconv.FormatFloat(x, 'f', 3, 64)
}
