package engine_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
)

// everything is a job with each kind of node.
func everything() *engine.Job {
	job := engine.NewJob("everything")
	seen := engine.EventTime(func(v visit) time.Time { return v.At }, engine.OutOfOrder(time.Minute))
	user := func(v visit) string { return v.User }
	a := engine.From(job, "a", engine.SliceSource[visit](), seen)
	b := engine.From(job, "b", engine.SliceSource[visit](), seen)
	both := engine.Union(engine.Map(a, func(v visit) visit { return v }), engine.Filter(b, func(visit) bool { return true }))
	states := engine.Process(engine.KeyBy(both, user), "states", func(s *engine.Setup) engine.Func[string, visit, string] {
		engine.NewCell[struct{ N int64 }](s, "cell", engine.TTL(time.Hour))
		engine.NewValueState[visit](s, "value", engine.TTL(time.Hour, engine.ProcessingTime, engine.RenewOnRead))
		engine.NewListState[string](s, "list")
		engine.NewMapState[int32, []string](s, "map")
		engine.NewTimer(s, "timer", func(*engine.Context, string, engine.Time, engine.Out[string]) error { return nil })
		engine.NewSide(s, errorsSeen)
		return func(*engine.Context, string, visit, engine.Out[string]) error { return nil }
	})
	nothing := func(context.Context, []string) error { return nil }
	engine.To(states, "out", engine.SinkFunc(nothing))
	engine.To(engine.SideOutput(states, errorsSeen), "errors", engine.Sink[string](newLog()))
	days := engine.Window(engine.KeyBy(a, user), engine.Sliding(24*time.Hour, time.Hour))
	engine.To(engine.Aggregate(days, "days", perDay{}), "days-out", engine.SinkFunc(nothing))
	engine.To(days.Late(), "late", engine.SinkFunc(func(context.Context, []visit) error { return nil }))
	joined := engine.IntervalJoin(engine.KeyBy(a, user), engine.KeyBy(b, user), "join", engine.LeftOuter, engine.Within(0, time.Minute),
		func(string, *visit, *visit) string { return "" })
	engine.To(joined, "joined", engine.Sink[string](newLog()))
	plain := engine.From(job, "c", engine.SliceSource("x"))
	engine.To(engine.FlatMap(plain, func(string, engine.Out[string]) error { return nil }), "plain", engine.SinkFunc(nothing))
	return job
}

type perDay struct{}

func (perDay) Add(acc *int64, _ visit)                  { *acc++ }
func (perDay) Merge(into *int64, n int64)               { *into += n }
func (perDay) Result(string, engine.Span, int64) string { return "" }

func TestExplain(t *testing.T) {
	for _, p := range []int{1, 2} {
		x, err := everything().Explain(engine.Options{Parallelism: p})
		if err != nil {
			t.Fatal(err)
		}
		golden(t, fmt.Sprintf("explain-%d.txt", p), x.String())
		golden(t, fmt.Sprintf("explain-%d.mmd", p), x.Mermaid())
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is\n%s\nwant\n%s", name, got, want)
	}
}

func TestExplainReturnsMistakes(t *testing.T) {
	job := engine.NewJob("mistaken")
	engine.From(job, "", engine.SliceSource("x"))
	_, err := job.Explain(engine.Options{})
	contains(t, err, "source has an empty uid", "is not used")
}

func ExampleJob_Explain() {
	job := engine.NewJob("sessions")
	engine.To(engine.Process(visits(job), "sessions", newSession), "out", Print[string]())
	x, err := job.Explain(engine.Options{Parallelism: 4})
	if err != nil {
		fmt.Println(err)
	}
	fmt.Print(x)
	// Output:
	// job "sessions"
	//
	// task 1, 4 subtasks
	//   1  source "visits": event time
	//
	// task 2, 4 subtasks
	//   2  process "sessions", of 1 by key string
	//        cell "end": engine.Time
	//        timer "quiet"
	//   3  sink "out", of 2: at least once
}
