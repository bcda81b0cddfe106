package engine_test

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/pagetide/pagetide/engine"
)

func ExampleGenerate() {
	job := engine.NewJob("load")
	start := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	o := engine.GenerateOptions{Rate: 2, Start: start, Count: 4} // two a second; the start has passed, so all are due
	ticks := engine.From(job, "ticks", engine.Generate(o, func(i int64, due time.Time) string {
		return fmt.Sprint("request ", i, " at ", due.Format("15:04:05.0"))
	}))
	engine.To(ticks, "out", engine.Stdout[string]())
	if err := job.Run(context.Background(), engine.Options{}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// request 0 at 12:00:00.0
	// request 1 at 12:00:00.5
	// request 2 at 12:00:01.0
	// request 3 at 12:00:01.5
}

func ExampleFromChannel() {
	orders := make(chan string)
	go func() {
		defer close(orders)
		for _, o := range []string{"tea", "milk", "sugar"} {
			orders <- o
		}
	}()
	job := engine.NewJob("orders")
	engine.To(engine.From(job, "orders", engine.FromChannel(orders, 10_000)), "out", engine.Stdout[string]())
	if err := job.Run(context.Background(), engine.Options{}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// tea
	// milk
	// sugar
}

// A service gives pages of what it has, and a cursor for the next page: the cursor is the position.
func ExampleSourceFunc() {
	page := func(cursor int) (items []string, next int, more bool) {
		all := []string{"a", "b", "c", "d", "e"}
		end := min(cursor+2, len(all))
		return all[cursor:end], end, end < len(all)
	}
	letters := engine.SourceFunc(func(_ context.Context, from engine.Position, b *engine.Batch[string]) (engine.Position, error) {
		cursor := 0
		if from != "" {
			var err error
			if cursor, err = strconv.Atoi(string(from)); err != nil {
				return from, engine.Permanent(err)
			}
		}
		items, next, more := page(cursor)
		for _, item := range items {
			*b.Next() = item
		}
		if !more {
			return engine.Position(strconv.Itoa(next)), io.EOF
		}
		return engine.Position(strconv.Itoa(next)), nil
	})
	job := engine.NewJob("letters")
	engine.To(engine.From(job, "letters", letters), "out", engine.Stdout[string]())
	if err := job.Run(context.Background(), engine.Options{}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// a
	// b
	// c
	// d
	// e
}

func ExampleStdout() {
	job := engine.NewJob("print")
	in := engine.From(job, "in", engine.SliceSource(1, 2, 3))
	engine.To(in, "out", engine.Stdout[int]())
	if err := job.Run(context.Background(), engine.Options{}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 1
	// 2
	// 3
}

// A source of one's own that waits for a time asks the job's clock, so that a test can let time pass.
func ExampleClockOf() {
	clock := engine.ClockOf(context.Background()) // in a Reader: of the context that Open is given
	ring, stop := clock.Alarm(clock.Now().Add(-time.Minute))
	defer stop()
	<-ring
	fmt.Println("has passed")
	// Output: has passed
}
