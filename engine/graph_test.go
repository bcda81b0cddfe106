package engine_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/meta"
)

// anyCalls declares things with a Setup and does nothing.
func anyCalls(declare func(*engine.Setup)) func(*engine.Setup) engine.Func[string, event, string] {
	return func(s *engine.Setup) engine.Func[string, event, string] {
		declare(s)
		return func(*engine.Context, string, event, engine.Out[string]) error { return nil }
	}
}

type textCell struct {
	N    int64
	Name string
}

type textSum struct{}

func (textSum) Add(*textCell, event)                              {}
func (textSum) Merge(*textCell, textCell)                         {}
func (textSum) Result(k string, _ engine.Span, _ textCell) string { return k }

type gapKey struct {
	A int8
	B int64
}

// TestGraphMistakes makes one mistake at a time: Start says what and where.
func TestGraphMistakes(t *testing.T) {
	type parts struct {
		job   *engine.Job
		src   engine.Stream[event]
		byKey engine.Keyed[string, event]
	}
	sink := func(in engine.Stream[string]) { engine.To(in, "out", newLog()) }
	tests := map[string]struct {
		build func(p parts)
		says  []string
	}{
		"empty uid": {func(p parts) {
			sink(engine.Process(p.byKey, "", anyCalls(func(*engine.Setup) {})))
		}, []string{"process has an empty uid"}},
		"duplicate uid": {func(p parts) {
			sink(engine.Process(p.byKey, "in", anyCalls(func(*engine.Setup) {})))
		}, []string{`uid "in" is taken by the source at`}},
		"unused stream": {func(p parts) {
			engine.Map(p.src, func(e event) event { return e })
			sink(engine.Process(p.byKey, "proc", anyCalls(func(*engine.Setup) {})))
		}, []string{"the stream of map", "is not used"}},
		"window without an aggregate": {func(p parts) {
			engine.Window(p.byKey, engine.Tumbling(time.Hour))
		}, []string{"window without an aggregate"}},
		"two aggregates": {func(p parts) {
			w := engine.Window(p.byKey, engine.Tumbling(time.Hour))
			sink(engine.Aggregate(w, "a", sum{}))
			engine.Aggregate(w, "b", sum{})
		}, []string{"has an aggregate already"}},
		"window of no size": {func(p parts) {
			sink(engine.Aggregate(engine.Window(p.byKey, engine.Tumbling(0)), "a", sum{}))
		}, []string{"want a positive size"}},
		"window that slides too far": {func(p parts) {
			sink(engine.Aggregate(engine.Window(p.byKey, engine.Sliding(time.Minute, time.Hour)), "a", sum{}))
		}, []string{"window of 1m0s that slides by 1h0m0s"}},
		"slide beside the size": {func(p parts) {
			sink(engine.Aggregate(engine.Window(p.byKey, engine.Sliding(10*time.Second, 3333333333)), "win", sum{}))
		}, []string{"window of 10s that slides by 3.333333333s: both are multiples of no more than 1ns"}},
		"window without event time": {func(p parts) {
			src := engine.From(p.job, "plain", engine.SliceSource[event]())
			byKey := engine.KeyBy(src, func(e event) string { return e.Key })
			sink(engine.Aggregate(engine.Window(byKey, engine.Tumbling(time.Hour)), "a", sum{}))
			engine.To(p.src, "rest", nowhere[event]())
		}, []string{"window over a stream without event time"}},
		"join without event time": {func(p parts) {
			src := engine.From(p.job, "plain", engine.SliceSource[event]())
			byKey := engine.KeyBy(src, func(e event) string { return e.Key })
			sink(engine.IntervalJoin(p.byKey, byKey, "join", engine.Inner, engine.Within(0, 0), pair))
		}, []string{`interval join "join": a stream without event time`}},
		"join over nothing": {func(p parts) {
			sink(engine.IntervalJoin(p.byKey, p.byKey, "join", engine.Inner, engine.Within(2, 1), pair))
		}, []string{`interval join "join": the interval from 2ns to 1ns is empty`}},
		"join of no kind": {func(p parts) {
			sink(engine.IntervalJoin(p.byKey, p.byKey, "join", 0, engine.Within(0, 0), pair))
		}, []string{`interval join "join": no such join kind 0`}},
		"streams of two jobs": {func(p parts) {
			other := engine.NewJob("other")
			src := engine.From(other, "in", engine.SliceSource[event]())
			engine.To(engine.Union(p.src, src), "all", nowhere[event]())
		}, []string{"union at", "joins streams of the jobs", `"other"`}},
		"cell that is not flat": {func(p parts) {
			sink(engine.Process(p.byKey, "proc", anyCalls(func(s *engine.Setup) { engine.NewCell[textCell](s, "c") })))
		}, []string{`process "proc"`, `cell "c"`, "Name"}},
		"cell with a time.Time": {func(p parts) {
			sink(engine.Process(p.byKey, "proc", anyCalls(func(s *engine.Setup) { engine.NewCell[struct{ At time.Time }](s, "c") })))
		}, []string{`cell "c"`, "At"}},
		"accumulator that is not flat": {func(p parts) {
			sink(engine.Aggregate(engine.Window(p.byKey, engine.Tumbling(time.Hour)), "agg", textSum{}))
		}, []string{`window "agg"`, "accumulator", "Name"}},
		"key with a float": {func(p parts) {
			byKey := engine.KeyBy(p.src, func(e event) float64 { return 0 })
			engine.To(engine.Process(byKey, "proc", func(*engine.Setup) engine.Func[float64, event, event] { return nil }), "out", nowhere[event]())
		}, []string{`process "proc"`, "key", "float"}},
		"key with padding": {func(p parts) {
			byKey := engine.KeyBy(p.src, func(e event) gapKey { return gapKey{} })
			engine.To(engine.Process(byKey, "proc", func(*engine.Setup) engine.Func[gapKey, event, event] { return nil }), "out", nowhere[event]())
		}, []string{`process "proc"`, "key", "padding"}},
		"timer of another key": {func(p parts) {
			sink(engine.Process(p.byKey, "proc", anyCalls(func(s *engine.Setup) {
				engine.NewTimer(s, "t", func(*engine.Context, int64, engine.Time, engine.Out[string]) error { return nil })
			})))
		}, []string{`process "proc"`, `timer "t"`, "int64", "string"}},
		"timer of another output": {func(p parts) {
			sink(engine.Process(p.byKey, "proc", anyCalls(func(s *engine.Setup) {
				engine.NewTimer(s, "t", func(*engine.Context, string, engine.Time, engine.Out[int]) error { return nil })
			})))
		}, []string{`process "proc"`, `timer "t"`, "int", "string"}},
		"state name twice": {func(p parts) {
			sink(engine.Process(p.byKey, "proc", anyCalls(func(s *engine.Setup) {
				engine.NewCell[int64](s, "c")
				engine.NewListState[int64](s, "c")
			})))
		}, []string{`process "proc"`, `"c" is used twice`}},
		"state without a name": {func(p parts) {
			sink(engine.Process(p.byKey, "proc", anyCalls(func(s *engine.Setup) { engine.NewCell[int64](s, "") })))
		}, []string{`process "proc"`, "empty name"}},
		"state that cannot be encoded": {func(p parts) {
			sink(engine.Process(p.byKey, "proc", anyCalls(func(s *engine.Setup) { engine.NewValueState[chan int](s, "v") })))
		}, []string{`value state "v"`}},
		"unknown side output": {func(p parts) {
			out := engine.Process(p.byKey, "proc", anyCalls(func(s *engine.Setup) { engine.NewSide(s, engine.Side[int]("a")) }))
			sink(out)
			engine.To(engine.SideOutput(out, engine.Side[string]("a")), "side", newLog())
		}, []string{`process "proc" has no side output "a" of string`}},
		"negative bound": {func(p parts) {
			src := engine.From(p.job, "neg", engine.SliceSource[event](), engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(-1)))
			engine.To(src, "rest", nowhere[event]())
			engine.To(p.src, "rest2", nowhere[event]())
		}, []string{`source "neg"`, "negative"}},
		"parallelism of none": {func(p parts) {
			engine.To(p.src.Parallelism(0), "out", nowhere[event]())
		}, []string{`source "in": parallelism 0: want 1 to 4096`}},
		"state per key without keys": {func(p parts) {
			sink(engine.ProcessEach(p.src, "each", func(s *engine.Setup) engine.EachFunc[event, string] {
				engine.NewCell[int64](s, "c")
				engine.NewTimer(s, "t", func(*engine.Context, string, engine.Time, engine.Out[string]) error { return nil })
				return nil
			}))
		}, []string{`process each "each": cell "c" belongs to a key`, `process each "each": timer "t" belongs to a key`}},
		"operator list with a TTL": {func(p parts) {
			sink(engine.ProcessEach(p.src, "each", func(s *engine.Setup) engine.EachFunc[event, string] {
				engine.NewOperatorList[int64](s, "l", engine.TTL(time.Hour))
				return nil
			}))
		}, []string{`process each "each": operator list "l" takes no TTL`}},
		"nil source": {func(p parts) {
			engine.To(engine.From[event](p.job, "none", nil), "rest", nowhere[event]())
			engine.To(p.src, "rest2", nowhere[event]())
		}, []string{`source "none" is nil`}},
		"nil sink": {func(p parts) {
			engine.To[event](p.src, "none", nil)
		}, []string{`sink "none" is nil`}},
	}
	at := regexp.MustCompile(`^engine/graph_test\.go:\d+: `)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			job := engine.NewJob("graph")
			src := engine.From(job, "in", engine.SliceSource(events(1)...), engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(0)))
			tt.build(parts{job, src, engine.KeyBy(src, func(e event) string { return e.Key })})
			_, err := job.Start(t.Context(), engine.Options{})
			contains(t, err, tt.says...)
			if err == nil {
				return
			}
			for line := range strings.Lines(err.Error()) {
				if !at.MatchString(line) {
					t.Errorf("mistake without its place: %s", line)
				}
			}
		})
	}
}

// TestMistakesComeTogether makes several at once, in the graph and in the options.
func TestMistakesComeTogether(t *testing.T) {
	job := engine.NewJob("a/b")
	src := engine.From(job, "", engine.SliceSource(events(1)...))
	engine.Filter(src, func(event) bool { return true })
	_, err := job.Start(t.Context(), engine.Options{Parallelism: -1})
	contains(t, err, `job name "a/b"`, "source has an empty uid", "the stream of filter", "parallelism -1")
}

func TestEmptyJob(t *testing.T) {
	_, err := engine.NewJob("empty").Start(t.Context(), engine.Options{})
	contains(t, err, `job "empty" has no source`)
}

func TestStartTwice(t *testing.T) {
	job := sumJob(engine.SliceSource(events(1)...), newLog())
	if err := job.Run(t.Context(), engine.Options{}); err != nil {
		t.Fatal(err)
	}
	err := job.Run(t.Context(), engine.Options{})
	contains(t, err, `job "sums" was started before`)
	if errors.Is(err, meta.ErrExists) {
		t.Error("a second start is not an earlier run")
	}
}
