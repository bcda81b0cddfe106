// Command plot draws the pictures in benchmarks/ from what the benchmarks have written; the name of the file says which.
//
//	go run ./plot ../out/state.json ..
//	go run ./plot ../out/checkpoint.json ..
package main

import (
	"cmp"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/pagetide/pagetide/benchmarks/peers/result"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: plot state.json|checkpoint.json folder")
		os.Exit(2)
	}
	plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"}
	draw := statePictures
	if filepath.Base(os.Args[1]) == "checkpoint.json" {
		draw = checkpointPictures
	}
	if err := draw(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "plot:", err)
		os.Exit(1)
	}
}

// save writes a picture, if there is one.
func save(p *plot.Plot, folder, name string) error {
	if p == nil {
		return nil
	}
	return p.Save(18*vg.Centimeter, 11*vg.Centimeter, filepath.Join(folder, name))
}

func statePictures(from, to string) error {
	run, err := result.Read(from)
	if err != nil {
		return err
	}
	for _, pic := range []struct{ name, title, workload, shape string }{
		{"state-rmw.svg", "Read-modify-write, 8-byte keys, 16-byte values, uniform", "rmw", "word"},
		{"state-read.svg", "Read, 8-byte keys, 16-byte values, uniform", "read", "word"},
		{"state-rmw-string.svg", "Read-modify-write, 24-byte string keys, 100-byte values, uniform", "rmw", "string"},
	} {
		p, err := scaling(run, pic.title, pic.workload, pic.shape)
		if err != nil {
			return err
		}
		if err := save(p, to, pic.name); err != nil {
			return err
		}
	}
	p, err := freezes(run)
	if err != nil {
		return err
	}
	return save(p, to, "state-freeze.svg")
}

// stores are drawn in this order, so that each has the same colour in every picture.
var stores = []struct{ name, label string }{
	{"pagetide", "Pagetide, batched"}, {"pagetide-single", "Pagetide, single"}, {"gomap", "Go map"}, {"pebble", "Pebble"},
	{"badger", "Badger"}, {"bbolt", "bbolt"}, {"rocksdb", "RocksDB"},
}

// scaling draws ns/op over the number of keys, nil if nothing of the kind was measured.
func scaling(run result.Run, title, workload, shape string) (*plot.Plot, error) {
	p := blank(title, "keys", "ns/op")
	drawn := false
	for i, s := range stores {
		var points plotter.XYs
		for _, c := range run.Cells {
			if c.Store == s.name && c.Workload == workload && c.Shape == shape && c.Dist == "uniform" {
				points = append(points, plotter.XY{X: float64(c.Keys), Y: c.Median})
			}
		}
		if len(points) == 0 {
			continue
		}
		drawn = true
		slices.SortFunc(points, func(a, b plotter.XY) int { return cmp.Compare(a.X, b.X) })
		if err := line(p, i, s.label, points); err != nil {
			return nil, err
		}
	}
	if !drawn {
		return nil, nil
	}
	p.X.Tick.Marker = decades(func(x float64) string { return result.Label(int(math.Round(x))) })
	p.Y.Tick.Marker = decades(func(y float64) string { return fmt.Sprint(math.Round(y)) })
	widen(p)
	return p, nil
}

// freezes draws quantiles of the freeze and of spinning over the size of the state.
func freezes(run result.Run) (*plot.Plot, error) {
	p, err := overSize("Freeze (the barrier) over the size of the state", "ns", run.Freezes,
		func(f result.Freeze) int64 { return f.StateBytes }, []curve[result.Freeze]{
			{"freeze, p99.99", func(f result.Freeze) float64 { return f.P9999 }},
			{"spin, p99.99", func(f result.Freeze) float64 { return f.SpinP9999 }},
			{"freeze, median", func(f result.Freeze) float64 { return f.P50 }},
			{"first touch, p99", func(f result.Freeze) float64 { return f.TouchP99 }},
		})
	if p != nil {
		p.Y.Min = 10
	}
	return p, err
}

func blank(title, x, y string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = color.White
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.Legend.Top, p.Legend.Left, p.Legend.XOffs = true, true, 11*vg.Centimeter // right of the data
	p.Title.Padding = vg.Points(8)
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = color.Gray{225}, color.Gray{225}
	p.Add(grid)
	return p
}

func line(p *plot.Plot, i int, label string, points plotter.XYs) error {
	l, dots, err := plotter.NewLinePoints(points)
	if err != nil {
		return err
	}
	l.Color, dots.Color = plotutil.Color(i), plotutil.Color(i)
	l.Width = vg.Points(1.5)
	dots.Shape = draw.CircleGlyph{}
	p.Add(l, dots)
	p.Legend.Add(label, l, dots)
	return nil
}

// widen makes room for the legend to the right of the data.
func widen(p *plot.Plot) {
	most := p.X.Max
	p.X.Max *= math.Pow(p.X.Max/p.X.Min, 0.55)
	p.X.Tick.Marker = upTo{p.X.Tick.Marker, most}
}

// upTo leaves out ticks beyond a value.
type upTo struct {
	plot.Ticker
	most float64
}

func (u upTo) Ticks(from, to float64) []plot.Tick { return u.Ticker.Ticks(from, min(to, u.most)) }

// decades marks powers of ten with a label and what lies between without.
func decades(label func(float64) string) plot.Ticker {
	return plot.TickerFunc(func(from, to float64) (ticks []plot.Tick) {
		for x := math.Pow(10, math.Floor(math.Log10(from))); x <= to*1.001; x *= 10 {
			for m := 1.0; m < 10; m++ {
				if v := m * x; v >= from*0.999 && v <= to*1.001 {
					t := plot.Tick{Value: v}
					if m == 1 {
						t.Label = label(v)
					}
					ticks = append(ticks, t)
				}
			}
		}
		return ticks
	})
}
