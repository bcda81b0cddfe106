package engine_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/enginetest"
)

// spanning shows the span of a window and the sum of its records.
type spanning struct{}

func (spanning) Add(sum *int64, n int64)       { *sum += n }
func (spanning) Merge(into *int64, from int64) { *into += from }
func (spanning) Result(key string, w engine.Span, sum int64) string {
	return fmt.Sprintf("%s..%s %d", w.Start.Sub(engine.TimeOf(t0)), w.End.Sub(engine.TimeOf(t0)), sum)
}

// told is what a harness is told to do: push a record so many seconds after t0, or else set the watermark.
type told struct {
	at int
	n  int64 // 0: a watermark
}

func TestSessions(t *testing.T) {
	const gap = 10 * time.Second
	own := func(n int64) time.Duration { return time.Duration(n) * time.Second }
	tests := map[string]struct {
		assign engine.Assigner
		late   time.Duration
		do     []told
		want   []string
	}{
		"one":                                {engine.Session(gap), 0, []told{{0, 1}, {9, 2}, {18, 4}, {27, 0}, {28, 0}}, []string{"0s..28s 7"}},
		"gap is exactly reached":             {engine.Session(gap), 0, []told{{0, 1}, {10, 2}, {60, 0}}, []string{"0s..10s 1", "10s..20s 2"}},
		"in reverse":                         {engine.Session(gap), 0, []told{{30, 1}, {24, 2}, {18, 4}, {12, 8}, {60, 0}}, []string{"12s..40s 15"}},
		"apart, in reverse":                  {engine.Session(gap), 0, []told{{60, 1}, {40, 2}, {20, 4}, {0, 8}, {99, 0}}, []string{"0s..10s 8", "20s..30s 4", "40s..50s 2", "1m0s..1m10s 1"}},
		"a bridge of two":                    {engine.Session(gap), 0, []told{{0, 1}, {15, 2}, {8, 4}, {60, 0}}, []string{"0s..25s 7"}},
		"a bridge of the oldest":             {engine.Session(gap), 0, []told{{0, 1}, {15, 2}, {40, 4}, {8, 8}, {60, 0}}, []string{"0s..25s 11", "40s..50s 4"}},
		"a bridge of three":                  {engine.SessionBy(own), 0, []told{{0, 5}, {10, 6}, {20, 7}, {2, 20}, {60, 0}}, []string{"0s..27s 38"}},
		"a bridge below the last":            {engine.SessionBy(own), 0, []told{{0, 5}, {10, 6}, {20, 7}, {50, 1}, {2, 20}, {60, 0}}, []string{"0s..27s 38", "50s..51s 1"}},
		"within":                             {engine.SessionBy(own), 0, []told{{0, 30}, {5, 1}, {29, 2}, {60, 0}}, []string{"0s..31s 33"}},
		"earlier, and longer":                {engine.SessionBy(own), 0, []told{{10, 5}, {0, 40}, {60, 0}}, []string{"0s..40s 45"}},
		"between two":                        {engine.SessionBy(own), 0, []told{{0, 5}, {20, 5}, {10, 3}, {60, 0}}, []string{"0s..5s 5", "10s..13s 3", "20s..25s 5"}},
		"late":                               {engine.Session(gap), 0, []told{{20, 1}, {15, 0}, {5, 2}, {60, 0}}, []string{"20s..30s 1"}},
		"behind the watermark, but open":     {engine.Session(gap), 0, []told{{20, 1}, {15, 0}, {7, 2}, {60, 0}}, []string{"7s..17s 2", "20s..30s 1"}},
		"behind the watermark, but taken in": {engine.SessionBy(own), 0, []told{{0, 30}, {15, 0}, {5, 2}, {60, 0}}, []string{"0s..30s 32"}},
		"lateness fires again":               {engine.Session(gap), time.Minute, []told{{0, 1}, {30, 0}, {5, 2}, {2, 4}, {90, 0}}, []string{"0s..10s 1", "0s..15s 3", "0s..15s 7"}},
		"lateness, new":                      {engine.Session(gap), time.Minute, []told{{30, 0}, {5, 2}, {90, 0}}, []string{"5s..15s 2"}},
		"lateness joins what has fired":      {engine.Session(gap), time.Minute, []told{{0, 1}, {15, 2}, {30, 0}, {8, 4}, {90, 0}}, []string{"0s..10s 1", "15s..25s 2", "0s..25s 7"}},
		"lateness opens what has fired":      {engine.Session(gap), time.Minute, []told{{0, 1}, {12, 0}, {9, 2}, {14, 0}, {18, 0}, {90, 0}}, []string{"0s..10s 1", "0s..19s 3"}},
		"lateness joins fired and open":      {engine.Session(gap), time.Minute, []told{{0, 1}, {15, 2}, {12, 0}, {8, 4}, {90, 0}}, []string{"0s..10s 1", "0s..25s 7"}},
		"lateness is over":                   {engine.Session(gap), time.Minute, []told{{0, 1}, {69, 0}, {1, 2}, {71, 0}, {0, 4}, {90, 0}}, []string{"0s..10s 1", "0s..11s 3"}},
		"lateness, and the next one goes on": {engine.Session(gap), time.Minute, []told{{0, 1}, {12, 0}, {20, 2}, {25, 4}, {5, 8}, {90, 0}}, []string{"0s..10s 1", "0s..15s 9", "20s..35s 6"}},
	}
	for name, tt := range tests {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restart %t", name, restart), func(t *testing.T) {
				h := enginetest.Operator(t, func(in engine.Stream[int64]) engine.Stream[string] {
					byKey := engine.KeyBy(in, func(int64) string { return "k" })
					return engine.Aggregate(engine.Window(byKey, tt.assign, engine.AllowedLateness(tt.late)), "sessions", spanning{})
				})
				for _, v := range tt.do {
					if at := t0.Add(time.Duration(v.at) * time.Second); v.n == 0 {
						h.Watermark(at)
					} else {
						h.Push(at, v.n)
					}
					if restart {
						h.Restart()
					}
				}
				h.Want(tt.want...)
			})
		}
	}
}

// TestWindowMistakes are told together with their places.
func TestWindowMistakes(t *testing.T) {
	job := engine.NewJob("mistakes")
	timed := engine.From(job, "in", engine.SliceSource[event](), engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(0)))
	untimed := engine.From(job, "untimed", engine.SliceSource[event]())
	key := func(e event) string { return e.Key }
	for i, a := range []engine.Assigner{
		engine.Session(0), engine.SessionBy[event](nil), engine.SessionBy(func(int) time.Duration { return 1 }), engine.Count(0),
	} {
		engine.To(engine.Aggregate(engine.Window(engine.KeyBy(timed, key), a), fmt.Sprint("a", i), listing{}), fmt.Sprint("o", i), newLog())
	}
	engine.Window(engine.KeyBy(untimed, key), engine.Session(1))
	engine.Window(engine.KeyBy(timed, key), engine.Session(1), engine.AllowedLateness(-1))
	engine.Window(engine.KeyBy(timed, key), engine.Count(1), engine.AllowedLateness(1))
	engine.Window(engine.KeyBy(timed, key), engine.Count(1), engine.FireEvery(0))
	engine.Window(engine.KeyBy(timed, key), engine.Count(1).InProcessingTime())
	engine.Window(engine.KeyBy(timed, key), engine.Session(1).InProcessingTime(), engine.AllowedLateness(1))
	err := job.Run(t.Context(), engine.Options{})
	for _, want := range []string{
		"sessions with a gap of 0s: want a positive one", "the gap of sessions is a func(int) time.Duration, the stream is of engine_test.event",
		"window of 0 records", "without event time", "allowed lateness of -1ns", "no time to be late for: it takes no AllowedLateness",
		"early results every 0s", "they take no InProcessingTime", "in processing time nothing is late",
	} {
		contains(t, err, want)
	}
}

// TestBadGap ends the job at a record that says a gap that is none.
func TestBadGap(t *testing.T) {
	job := engine.NewJob("gap")
	src := engine.From(job, "in", engine.SliceSource(event{Key: "k", N: 7, At: t0}), engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(0)))
	byKey := engine.KeyBy(src, func(e event) string { return e.Key })
	sessions := engine.Window(byKey, engine.SessionBy(func(e event) time.Duration { return time.Duration(e.N - 7) }))
	engine.To(engine.Aggregate(sessions, "sessions", listing{}), "out", newLog())
	err := job.Run(context.Background(), engine.Options{})
	if !engine.IsPermanent(err) {
		t.Errorf("%v is not permanent", err)
	}
	contains(t, err, `"sessions"`, "N:7", "the gap of its session is 0s")
}
