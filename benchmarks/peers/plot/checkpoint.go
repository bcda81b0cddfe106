package main

import (
	"fmt"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"

	"github.com/pagetide/pagetide/benchmarks/peers/result"
)

func checkpointPictures(from, to string) error {
	run, err := result.ReadCheckpoints(from)
	if err != nil {
		return err
	}
	p, err := overSize("What a checkpoint does to the batches beside it", "microseconds for 256 updates", run.Pauses,
		func(p result.Pause) int64 { return p.StateBytes }, []curve[result.Pause]{
			{"beside one, p99.99", func(p result.Pause) float64 { return p.With.P9999 }},
			{"without, p99.99", func(p result.Pause) float64 { return p.Without.P9999 }},
			{"beside one, p99", func(p result.Pause) float64 { return p.With.P99 }},
			{"without, p99", func(p result.Pause) float64 { return p.Without.P99 }},
		})
	if err != nil {
		return err
	}
	if err := save(p, to, "checkpoint-pause.svg"); err != nil {
		return err
	}
	p, err = overSize("How soon a restored job works", "milliseconds", run.Restores,
		func(r result.Restore) int64 { return r.StateBytes }, []curve[result.Restore]{
			{"all in memory", func(r result.Restore) float64 { return r.Full * 1000 }},
			{"reading the files", func(r result.Restore) float64 { return r.Disk * 1000 }},
			{"first record", func(r result.Restore) float64 { return r.FirstRecord }},
			{"cold key, p99", func(r result.Restore) float64 { return r.ColdKeyP99 / 1000 }},
		})
	if err != nil {
		return err
	}
	if err := save(p, to, "restore.svg"); err != nil {
		return err
	}
	if p, err = chain(run.Chain); err != nil {
		return err
	}
	return save(p, to, "chain.svg")
}

// chain draws what a long run leaves on disk, nil if there was none.
func chain(links []result.Link) (*plot.Plot, error) {
	if len(links) == 0 {
		return nil, nil
	}
	p := blank("A chain over a long run: 100 k random updates over 1 GiB between two checkpoints", "checkpoint", "")
	p.X.Scale, p.Y.Scale = plot.LinearScale{}, plot.LinearScale{}
	var written, fresh int64
	files, space, ratio := make(plotter.XYs, len(links)), make(plotter.XYs, len(links)), make(plotter.XYs, len(links))
	for i, l := range links {
		written, fresh = written+l.Written, fresh+l.Fresh
		x := float64(i + 1)
		files[i] = plotter.XY{X: x, Y: float64(l.Files)}
		space[i] = plotter.XY{X: x, Y: float64(l.Stored) / float64(l.Live)}
		ratio[i] = plotter.XY{X: x, Y: float64(written) / float64(fresh)}
	}
	for i, c := range []struct {
		label  string
		points plotter.XYs
	}{{"files", files}, {"on disk / live", space}, {"written / fresh", ratio}} {
		l, err := plotter.NewLine(c.points)
		if err != nil {
			return nil, err
		}
		l.Color, l.Width = plotutil.Color(i), vg.Points(1.5)
		p.Add(l)
		p.Legend.Add(c.label, l)
	}
	p.Y.Min = 0
	p.X.Max *= 1.6
	p.X.Tick.Marker = upTo{plot.DefaultTicks{}, float64(len(links))}
	return p, nil
}

type curve[T any] struct {
	label string
	of    func(T) float64
}

// overSize draws curves over the size of the state, nil if there are no points.
func overSize[T any](title, unit string, points []T, size func(T) int64, curves []curve[T]) (*plot.Plot, error) {
	if len(points) == 0 {
		return nil, nil
	}
	p := blank(title, "state, MiB", unit)
	for i, c := range curves {
		var xy plotter.XYs
		for _, point := range points {
			xy = append(xy, plotter.XY{X: float64(size(point)) / (1 << 20), Y: c.of(point)})
		}
		if err := line(p, i, c.label, xy); err != nil {
			return nil, err
		}
	}
	p.X.Tick.Marker = decades(func(x float64) string { return fmt.Sprint(math.Round(x)) })
	p.Y.Tick.Marker = decades(func(y float64) string { return fmt.Sprint(y) })
	widen(p)
	return p, nil
}
