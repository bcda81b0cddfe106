package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/pagetide/pagetide/benchmarks/peers/result"
)

var order = []string{"pagetide", "pagetide-single", "gomap", "pebble", "badger", "bbolt", "rocksdb"}

// report writes tables and then the RESULT lines.
func (b *bench) report(w io.Writer) {
	for _, s := range b.run.Settings {
		fmt.Fprintf(w, "%s %s: %s\n", s.Store, s.Version, s.Text)
	}
	b.cellTable(w)
	b.freezeTable(w)
	for _, s := range b.run.Skipped {
		fmt.Fprintf(w, "skipped: %s\n", s)
	}
	b.results(w)
}

// cellTable writes a row for each workload: ns/op of each store, and how many times Pagetide's that is.
func (b *bench) cellTable(w io.Writer) {
	if len(b.run.Cells) == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\nshape\tkeys\tworkload\tdist\t%s\t\n", strings.Join(order, "\t"))
	for i := 0; i < len(b.run.Cells); {
		c := b.run.Cells[i]
		row := map[string]result.Cell{}
		for ; i < len(b.run.Cells) && same(b.run.Cells[i], c); i++ {
			row[b.run.Cells[i].Store] = b.run.Cells[i]
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s", c.Shape, result.Label(c.Keys), c.Workload, c.Dist)
		for _, name := range order {
			cell, ok := row[name]
			switch own, has := row["pagetide"]; {
			case !ok:
				fmt.Fprint(t, "\t-")
			case name == "pagetide" || !has:
				fmt.Fprintf(t, "\t%s", ns(cell.Median))
			default:
				fmt.Fprintf(t, "\t%s (%.2fx)", ns(cell.Median), cell.Median/own.Median)
			}
		}
		fmt.Fprint(t, "\t\n")
	}
	t.Flush()
	fmt.Fprintln(w, "ns/op, median of the rounds, what passed or what the process used, whichever is less; in brackets times pagetide's")
}

func same(a, b result.Cell) bool {
	return a.Shape == b.Shape && a.Keys == b.Keys && a.Workload == b.Workload && a.Dist == b.Dist
}

func (b *bench) freezeTable(w io.Writer) {
	if len(b.run.Freezes) == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "\nstate\tfreeze p50\tp99\tp99.99\tspin p99.99\tratio\tfirst touch p50\tp99\tp99.99\tlater p50\tclock\t\n")
	for _, f := range b.run.Freezes {
		fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%.0f\t%.0f\t%.2f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t\n", f.Label, f.P50, f.P99, f.P9999, f.SpinP9999,
			f.Ratio, f.TouchP50, f.TouchP99, f.TouchP9999, f.AgainP50, f.Clock)
	}
	t.Flush()
	fmt.Fprintln(w, "ns; ratio: p99.99 of freeze to that of spinning; the clock is part of every number")
}

func (b *bench) results(w io.Writer) {
	own := map[string]float64{}
	for _, c := range b.run.Cells {
		name := fmt.Sprintf("state.%s.%s.%s", c.Workload, c.Dist, result.Label(c.Keys))
		if c.Shape != words.name {
			name += "." + c.Shape
		}
		fmt.Fprintf(w, "RESULT %s.%s %s ns/op\n", name, c.Store, ns(c.Median))
		if c.Store == "pagetide" {
			own[name] = c.Median
		} else if own[name] > 0 {
			fmt.Fprintf(w, "RESULT %s.ratio.%s %.2f x\n", name, c.Store, c.Median/own[name])
		}
	}
	for _, f := range b.run.Freezes {
		fmt.Fprintf(w, "RESULT state.freeze.ratio_to_spin.%s %.2f x\n", f.Label, f.Ratio)
		fmt.Fprintf(w, "RESULT state.freeze.p9999.%s %.0f ns\n", f.Label, f.P9999)
	}
	if n := len(b.run.Freezes); n > 0 {
		fmt.Fprintf(w, "RESULT state.firsttouch.p99 %.0f ns\n", b.run.Freezes[n-1].TouchP99) // of the largest state
	}
	for _, s := range []string{words.name, strings24.name} {
		name := "state.memory.ratio_to_payload.10M_20M"
		if s != words.name {
			name += "." + s
		}
		if m := b.meanMemory(s); m > 0 {
			fmt.Fprintf(w, "RESULT %s %.3f x\n", name, m)
		}
	}
}

// ns writes nanoseconds with as many digits as mean something.
func ns(x float64) string {
	if x < 100 {
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.0f", x)
}
