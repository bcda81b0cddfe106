package engine_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/enginetest"
)

// whats counts what somebody did.
type whats struct{}

func (whats) Add(n *int64, _ stamped)       { *n++ }
func (whats) Merge(into *int64, from int64) { *into += from }
func (whats) Result(user string, w engine.Span, n int64) string {
	return fmt.Sprintf("%s from %s to %s: %d", user, clockTime(w.Start), clockTime(w.End), n)
}

func clockTime(t engine.Time) string { return t.UTC().Format("15:04") }

func ExampleSession() {
	job := engine.NewJob("sessions")
	clicks := stampedStream(job, "clicks", stamped{"ann", "a", noon(0)}, stamped{"ann", "b", noon(4)}, stamped{"ann", "c", noon(20)})
	sessions := engine.Window(byUser(clicks), engine.Session(5*time.Minute))
	engine.To(engine.Aggregate(sessions, "sessions", whats{}), "out", Print[string]())
	if err := job.Run(context.Background(), engine.Options{}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// ann from 12:00 to 12:09: 2
	// ann from 12:20 to 12:25: 1
}

// Readers stay for longer than others.
func ExampleSessionBy() {
	job := engine.NewJob("sessions")
	clicks := stampedStream(job, "clicks", stamped{"ann", "read", noon(0)}, stamped{"ann", "skip", noon(20)}, stamped{"ann", "skip", noon(23)})
	sessions := engine.Window(byUser(clicks), engine.SessionBy(func(s stamped) time.Duration {
		if s.What == "read" {
			return 30 * time.Minute
		}
		return 2 * time.Minute
	}))
	engine.To(engine.Aggregate(sessions, "sessions", whats{}), "out", Print[string]())
	if err := job.Run(context.Background(), engine.Options{}); err != nil {
		fmt.Println(err)
	}
	// Output: ann from 12:00 to 12:30: 3
}

func ExampleCount() {
	job := engine.NewJob("pairs")
	orders := stampedStream(job, "orders", stamped{"ann", "tea", noon(0)}, stamped{"ann", "cake", noon(1)}, stamped{"ann", "milk", noon(9)})
	engine.To(engine.Aggregate(engine.Window(byUser(orders), engine.Count(2)), "pairs", whats{}), "out", Print[string]())
	if err := job.Run(context.Background(), engine.Options{}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// ann from 12:00 to 12:01: 2
	// ann from 12:09 to 12:09: 1
}

func ExampleProcessWindow() {
	job := engine.NewJob("lists")
	orders := stampedStream(job, "orders", stamped{"ann", "tea", noon(0)}, stamped{"ann", "cake", noon(1)}, stamped{"ann", "milk", noon(70)})
	hours := engine.Window(byUser(orders), engine.Tumbling(time.Hour))
	lists := engine.ProcessWindow(hours, "lists",
		func(ctx *engine.Context, user string, w engine.Span, orders iter.Seq[stamped], out engine.Out[string]) error {
			var all []string
			for o := range orders {
				all = append(all, o.What)
			}
			slices.Sort(all)
			out.Emit(fmt.Sprintf("%s from %s: %s", user, clockTime(w.Start), strings.Join(all, ", ")))
			return nil
		})
	engine.To(lists, "out", Print[string]())
	if err := job.Run(context.Background(), engine.Options{}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// ann from 12:00: cake, tea
	// ann from 13:00: milk
}

// A record that comes an hour late corrects the result of its window.
func ExampleAllowedLateness() {
	job := engine.NewJob("late")
	var recs []stamped
	for i := range 300 { // some batches: time moves on after each
		recs = append(recs, stamped{"ann", "visits", noon(i)})
	}
	recs = append(recs, stamped{"ann", "visited", noon(200)})
	visits := stampedStream(job, "visits", recs...)
	hours := engine.Window(byUser(visits), engine.Tumbling(time.Hour), engine.AllowedLateness(2*time.Hour))
	engine.To(engine.Aggregate(hours, "hours", whats{}), "out", Print[string]())
	if err := job.Run(context.Background(), engine.Options{}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// ann from 12:00 to 13:00: 60
	// ann from 13:00 to 14:00: 60
	// ann from 14:00 to 15:00: 60
	// ann from 15:00 to 16:00: 60
	// ann from 15:00 to 16:00: 61
	// ann from 16:00 to 17:00: 60
}

// The count of an hour is shown each minute in which it has changed, and at its end.
func ExampleFireEvery() {
	clock, feed := enginetest.NewClock(noon(0)), enginetest.NewFeed[stamped](1)
	job := engine.NewJob("early")
	visits := engine.From(job, "visits", feed, engine.EventTime(func(s stamped) time.Time { return s.At }, engine.OutOfOrder(time.Minute)))
	hours := engine.Window(byUser(visits), engine.Tumbling(time.Hour), engine.FireEvery(time.Minute))
	engine.To(engine.Aggregate(hours, "hours", whats{}), "out", Print[string]())
	r, err := job.Start(context.Background(), engine.Options{Clock: clock})
	if err != nil {
		fmt.Println(err)
		return
	}
	for n := range 3 {
		feed.Add(0, stamped{"ann", "visits", noon(n)})
		for r.Stats().RecordsIn <= int64(n) {
			if _, err := r.Checkpoint(context.Background()); err != nil {
				fmt.Println(err)
				return
			}
		}
		clock.Advance(time.Minute)
	}
	feed.End()
	if err := r.Wait(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// ann from 12:00 to 13:00: 1
	// ann from 12:00 to 13:00: 2
	// ann from 12:00 to 13:00: 3
	// ann from 12:00 to 13:00: 3
}

// What came within an hour, whenever it happened.
func ExampleAssigner_InProcessingTime() {
	job := engine.NewJob("arrivals")
	visits := engine.From(job, "visits", engine.SliceSource(stamped{"ann", "visits", noon(5)}, stamped{"ann", "visits", noon(700)}))
	hours := engine.Window(byUser(visits), engine.Tumbling(time.Hour).InProcessingTime())
	engine.To(engine.Aggregate(hours, "hours", whats{}), "out", Print[string]())
	if err := job.Run(context.Background(), engine.Options{Clock: enginetest.NewClock(noon(30))}); err != nil {
		fmt.Println(err)
	}
	// Output: ann from 12:00 to 13:00: 2
}

// What each user ordered and paid in the same hour.
func ExampleWindowJoin() {
	job := engine.NewJob("hours")
	orders := stampedStream(job, "orders", stamped{"ann", "tea", noon(0)}, stamped{"bob", "cake", noon(1)})
	payments := stampedStream(job, "payments", stamped{"ann", "2.50", noon(50)}, stamped{"bob", "3.00", noon(70)})
	both := engine.WindowJoin(byUser(orders), byUser(payments), engine.Tumbling(time.Hour), "hours", engine.LeftOuter,
		func(user string, w engine.Span, order, payment *stamped) string {
			if payment == nil {
				return fmt.Sprintf("%s from %s: %s, not paid", user, clockTime(w.Start), order.What)
			}
			return fmt.Sprintf("%s from %s: %s for %s", user, clockTime(w.Start), order.What, payment.What)
		})
	engine.To(both, "out", Print[string]())
	if err := job.Run(context.Background(), engine.Options{}); err != nil {
		fmt.Println(err)
	}
	// Unordered output:
	// ann from 12:00: tea for 2.50
	// bob from 12:00: cake, not paid
}
