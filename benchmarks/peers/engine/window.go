package main

import (
	"context"
	"time"

	"github.com/pagetide/pagetide/engine"
)

// windowUsers are the keys of windows: with a million records to a second of event time each pane of 100 ms takes 100
// records of a key.
const windowUsers = 1000

// windows measures counts in windows of 10 s, tumbling and sliding by 100 ms.
func (b *bench) windows() {
	at := clicks(windowUsers)
	over := func(name string, a engine.Assigner) *contender {
		return run(b, name, guarantee, newSource(at, 1), windowUsers, b.every, windowGraph(a))
	}
	r := b.rotate("windows, 1k keys",
		over("tumbling 10s", engine.Tumbling(10*time.Second)),
		over("sliding 10s by 100ms", engine.Sliding(10*time.Second, 100*time.Millisecond)),
		loop("loop, tumbling 10s", "none: a loop counting in a Go map that is emptied after each window", windowUsers, windowLoop(at)))
	tumbling, sliding := r["tumbling 10s"].PerCore, r["sliding 10s by 100ms"].PerCore
	b.result("engine.window.tumbling.records_per_s_core", tumbling, "")
	b.ratio("engine.window.sliding_10s_100ms.ratio_to_tumbling", sliding, tumbling)
}

func windowGraph(a engine.Assigner) func(*engine.Job, engine.Source[click]) {
	return func(job *engine.Job, in engine.Source[click]) {
		src := engine.From(job, "clicks", in, engine.EventTime(func(c click) time.Time { return c.At.UTC() }, engine.OutOfOrder(0)))
		byUser := engine.KeyBy(src, func(c click) uint64 { return c.User })
		counts := engine.Aggregate(engine.Window(byUser, a), "count", counting{})
		engine.To(counts, "out", engine.SinkFunc(func(context.Context, []int64) error { return nil }))
	}
}

type counting struct{}

func (counting) Add(acc *int64, _ click)                         { *acc++ }
func (counting) Merge(into *int64, from int64)                   { *into += from }
func (counting) Result(_ uint64, _ engine.Span, acc int64) int64 { return acc }

func windowLoop(at func(int64) click) func(i, end int64) {
	counts, window, sum := map[uint64]int64{}, engine.Time(0), int64(0)
	return func(i, end int64) {
		for ; i < end; i++ {
			c := at(i)
			if w := c.At / engine.Time(10*time.Second); w != window {
				for _, n := range counts {
					sum += n
				}
				clear(counts)
				window = w
			}
			counts[c.User]++
		}
	}
}
