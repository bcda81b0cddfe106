package engine_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
)

// manyMistakes makes mistakes of all kinds in one job. Each has a comment "// mistake: text" at its line.
func manyMistakes() *engine.Job {
	job := engine.NewJob("a/b") // mistake: want a plain folder name
	at, key := func(e event) time.Time { return e.At }, func(e event) string { return e.Key }
	src := engine.From(job, "in", engine.SliceSource[event](), engine.EventTime(at, engine.OutOfOrder(0)))
	byKey := engine.KeyBy(src, key)
	noTime := engine.From(job, "no-time", engine.SliceSource[event]())
	noTimeByKey := engine.KeyBy(noTime, key)
	outs := 0
	out := func(in engine.Stream[string]) {
		outs++
		engine.To(in, fmt.Sprint("out", outs), newLog())
	}
	rest := func(in engine.Stream[event]) { out(engine.Map(in, key)) }

	engine.Filter(src, func(event) bool { return true }) // mistake: the stream of filter
	none := anyCalls(func(*engine.Setup) {})
	out(engine.Process(byKey, "", none))   // mistake: process has an empty uid
	out(engine.Process(byKey, "in", none)) // mistake: uid "in" is taken by the source at

	rest(engine.From[event](job, "nil", nil))                                                                    // mistake: source "nil" is nil
	rest(engine.From(job, "negative", engine.SliceSource[event](), engine.EventTime(at, engine.OutOfOrder(-1)))) // mistake: source "negative": negative duration
	engine.To[event](src, "nil sink", nil)                                                                       // mistake: sink "nil sink" is nil

	out(engine.Map[event, string](src, nil))                                                                           // mistake: map at
	rest(engine.Filter(src, nil))                                                                                      // mistake: filter at
	out(engine.FlatMap[event, string](src, nil))                                                                       // mistake: flatmap at
	engine.KeyBy[string](src, nil)                                                                                     // mistake: key by: no function
	out(engine.Process[string, event, string, engine.Func[string, event, string]](byKey, "f0", nil))                   // mistake: process "f0": no constructor
	out(engine.ProcessWindow[string, event, string](engine.Window(byKey, engine.Tumbling(1)), "f1", nil))              // mistake: process window "f1": no function
	out(engine.WindowJoin[string, event, event, string](byKey, byKey, engine.Tumbling(1), "f2", engine.Inner, nil))    // mistake: window join "f2": no function
	out(engine.IntervalJoin[string, event, event, string](byKey, byKey, "f3", engine.Inner, engine.Within(0, 0), nil)) // mistake: interval join "f3": no function
	rest(engine.From(job, "f4", engine.SliceSource[event](), engine.EventTime[event](nil, engine.Monotonous())))       // mistake: source "f4": no function that takes event time
	rest(engine.From(job, "f5", engine.SourceFunc[event](nil)))                                                        // mistake: source "f5" is nil
	engine.To(src, "f6", engine.SinkFunc[event](nil))                                                                  // mistake: sink "f6" is nil

	ordered := engine.EventTime(at, engine.Monotonous())
	otherType := engine.Watermarks(func(w engine.Time, _ string, _ engine.Time) engine.Time { return w })
	twice, byOthers := []engine.Times[event]{ordered, ordered}, engine.EventTime(at, otherType)
	rest(engine.From(job, "two times", engine.SliceSource[event](), twice...))            // mistake: source "two times": more than one event time
	rest(engine.From(job, "others", engine.SliceSource[event](), byOthers))               // mistake: source "others" of engine_test.event has watermarks by a
	rest(engine.From(job, "nameless", engine.SliceSource[event](), ordered.Align("", 1))) // mistake: source "nameless" is aligned with a group without a name

	other := engine.From(engine.NewJob("other"), "in", engine.SliceSource[event]())
	rest(engine.Union(src, other)) // mistake: joins streams of the jobs "a/b" and "other"

	engine.Window(byKey, engine.Tumbling(time.Hour))                                                       // mistake: window without an aggregate
	out(engine.Aggregate(engine.Window(byKey, engine.Tumbling(0)), "empty", sum{}))                        // mistake: want a positive size
	out(engine.Aggregate(engine.Window(byKey, engine.Sliding(1, 2)), "slide", sum{}))                      // mistake: want a positive slide, at most the size
	out(engine.Aggregate(engine.Window(noTimeByKey, engine.Tumbling(1)), "timeless", sum{}))               // mistake: window over a stream without event time
	out(engine.Aggregate(engine.Window(byKey, engine.Tumbling(1)), "text", textSum{}))                     // mistake: window "text": accumulator
	out(engine.Aggregate(engine.Window(byKey, engine.Session(0)), "gapless", sum{}))                       // mistake: sessions with a gap of 0s: want a positive one
	out(engine.Aggregate(engine.Window(byKey, engine.SessionBy(gapOfText)), "gap of text", sum{}))         // mistake: the gap of sessions is a func(string) time.Duration
	out(engine.Aggregate(engine.Window(byKey, engine.Tumbling(2).Offset(2)), "o0", sum{}))                 // mistake: want an offset shorter than 2ns
	out(engine.Aggregate(engine.Window(byKey, engine.Sliding(2, 1).Offset(-1)), "o1", sum{}))              // mistake: want an offset shorter than 1ns
	out(engine.Aggregate(engine.Window(byKey, engine.Session(1).Offset(1)), "o2", sum{}))                  // mistake: they take no Offset
	out(engine.Aggregate(engine.Window(byKey, engine.Count(0)), "none", sum{}))                            // mistake: want at least 1
	out(engine.Aggregate(engine.Window(byKey, engine.Count(1), engine.AllowedLateness(1)), "late", sum{})) // mistake: it takes no AllowedLateness
	out(engine.Aggregate(engine.Window(byKey, engine.Tumbling(1), engine.FireEvery(0)), "early", sum{}))   // mistake: early results every 0s
	again := engine.Window(byKey, engine.Tumbling(1))
	out(engine.Aggregate(again, "once", sum{}))
	out(engine.Aggregate(again, "again", sum{})) // mistake: has an aggregate already
	inWindow := func(string, engine.Span, *event, *event) string { return "" }
	out(engine.WindowJoin(byKey, byKey, engine.Count(1), "j0", engine.Inner, inWindow))         // mistake: window join "j0": count windows cannot be joined
	out(engine.IntervalJoin(noTimeByKey, byKey, "j1", engine.Inner, engine.Within(0, 0), pair)) // mistake: interval join "j1": a stream without event time
	out(engine.IntervalJoin(byKey, byKey, "j2", engine.Inner, engine.Within(2, 1), pair))       // mistake: interval join "j2": the interval from 2ns to 1ns is empty
	out(engine.IntervalJoin(byKey, byKey, "j3", 0, engine.Within(0, 0), pair))                  // mistake: interval join "j3": no such join kind 0

	out(engine.Process(byKey, "states", anyCalls(func(s *engine.Setup) {
		engine.NewCell[int64](s, "")                                                                                  // mistake: state with an empty name
		engine.NewCell[textCell](s, "c")                                                                              // mistake: cell "c"
		engine.NewListState[int64](s, "c")                                                                            // mistake: the name "c" is used twice
		engine.NewValueState[chan int](s, "v")                                                                        // mistake: value state "v"
		engine.NewMapState[float64, int64](s, "m")                                                                    // mistake: map state "m"
		engine.NewCell[int64](s, "ttl", engine.TTL(-1))                                                               // mistake: its TTL is not positive
		engine.NewTimer(s, "key", func(*engine.Context, int64, engine.Time, engine.Out[string]) error { return nil }) // mistake: timer "key": its callback takes key int64
		engine.NewTimer[string, string](s, "nil", nil)                                                                // mistake: timer "nil": no function to call
		engine.NewTimer(s, "out", func(*engine.Context, string, engine.Time, engine.Out[int]) error { return nil })   // mistake: timer "out": its callback emits int
	})))
	out(engine.Process(noTimeByKey, "timeless timer", anyCalls(func(s *engine.Setup) {
		call := func(*engine.Context, string, engine.Time, engine.Out[string]) error { return nil }
		engine.NewTimer(s, "clock", call, engine.ProcessingTime)
		engine.NewTimer(s, "event", call) // mistake: timer "event": it is in event time, which the stream does not have
	})))
	out(engine.ProcessEach(src, "each", func(s *engine.Setup) engine.EachFunc[event, string] {
		engine.NewCell[int64](s, "c")                                // mistake: process each "each": cell "c" belongs to a key, which the stream does not have
		engine.NewOperatorList[int64](s, "l", engine.TTL(time.Hour)) // mistake: takes no TTL
		return nil
	}))
	out(engine.Map(src, key).Parallelism(0)) // mistake: parallelism 0: want 1 to
	ask := func(context.Context, event) (string, error) { return "", nil }
	out(engine.Async(src, "", engine.AsyncOptions{}, ask))                                                   // mistake: async has an empty uid
	out(engine.Async[event, string](src, "a1", engine.AsyncOptions{}, nil))                                  // mistake: async "a1": no function to call
	out(engine.Async(src, "a2", engine.AsyncOptions{Capacity: -1}, ask))                                     // mistake: async "a2": capacity -1
	out(engine.Async(src, "a3", engine.AsyncOptions{Timeout: -1}, ask))                                      // mistake: async "a3": timeout -1ns is negative
	out(engine.Async(src, "a4", engine.AsyncOptions{Retry: engine.AsyncRetry{Multiplier: 0.5}}, ask))        // mistake: async "a4": retry multiplier 0.5
	out(engine.Async(src, "a5", engine.AsyncOptions{}, ask, func(event) (string, error) { return "", nil })) // mistake: async "a5": a function for calls that time out, and no timeout
	chans := engine.Map(src, func(event) chan int { return nil })
	out(engine.Async(chans, "a6", engine.AsyncOptions{}, func(context.Context, chan int) (string, error) { return "", nil })) // mistake: async "a6": records that are called for "calls"
	sided := engine.Process(byKey, "sides", none)
	out(sided)
	out(engine.SideOutput(sided, engine.Side[string]("none"))) // mistake: process "sides" has no side output "none"

	byGap := engine.KeyBy(src, func(event) gapKey { return gapKey{} })
	gap := func(*engine.Setup) engine.Func[gapKey, event, string] { return nil }
	out(engine.Process(byGap, "gap", gap)) // mistake: key
	return job
}

func gapOfText(string) time.Duration { return 1 }

// TestMistakesAreReportedTogether: Start says all of them, each where it was made, and no others.
func TestMistakesAreReportedTogether(t *testing.T) {
	_, err := manyMistakes().Start(t.Context(), engine.Options{})
	if err == nil {
		t.Fatal("the job starts")
	}
	want := marks(t, "mistakes_test.go", "// mistake: ")
	for said := range strings.Lines(err.Error()) {
		where, what, _ := strings.Cut(strings.TrimSpace(said), ": ")
		where = filepath.Base(where)
		if text, ok := want[where]; !ok || !strings.Contains(what, text) {
			t.Errorf("unexpected: %s", said)
		}
		delete(want, where)
	}
	for where, text := range want {
		t.Errorf("%s: nothing said, want %q", where, text)
	}
}
