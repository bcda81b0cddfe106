package engine_test

import (
	"context"
	"fmt"
	"time"

	"github.com/pagetide/pagetide/engine"
)

// A file that says of itself how far it is complete: its rows come in any order, and a mark tells that all before it were
// there.
func ExampleWatermarks() {
	complete := engine.Watermarks(func(w engine.Time, r reading, at engine.Time) engine.Time {
		if r.Sensor == "mark" {
			return at
		}
		return w
	})
	in := engine.SliceSource(
		reading{"a", at(7), 1}, reading{"a", at(1), 2}, reading{"mark", at(10), 0},
		reading{"a", at(13), 3}, reading{"a", at(11), 4}, reading{"mark", at(20), 0},
	)
	job := engine.NewJob("marked")
	all := engine.From(job, "in", in, engine.EventTime(reading.When, complete))
	readings := engine.Filter(all, func(r reading) bool { return r.Sensor != "mark" })
	bySensor := engine.KeyBy(readings, func(r reading) string { return r.Sensor })
	means := engine.Aggregate(engine.Window(bySensor, engine.Tumbling(10*time.Minute)), "mean", mean{})
	engine.To(means, "out", Print[string]())
	if err := job.Run(context.Background(), engine.Options{}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// a from 12:00: mean 1 of 2
	// a from 12:10: mean 3 of 2
}

// Two sources that cover the same day are read side by side, so that a join of them does not hold all of the one that is
// read faster.
func ExampleTimes_Align() {
	times := engine.EventTime(reading.When, engine.Monotonous()).Align("readings", 5*time.Minute).Idle(time.Minute)
	job := engine.NewJob("aligned")
	north := engine.From(job, "north", engine.SliceSource(reading{"n", at(1), 1}, reading{"n", at(30), 2}), times)
	south := engine.From(job, "south", engine.SliceSource(reading{"s", at(2), 3}), times)
	count := 0
	engine.To(engine.Union(north, south), "out", engine.SinkFunc(func(_ context.Context, batch []reading) error {
		count += len(batch)
		return nil
	}))
	err := job.Run(context.Background(), engine.Options{})
	fmt.Println(count, err)
	// Output: 3 <nil>
}
