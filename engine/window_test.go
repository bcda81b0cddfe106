package engine_test

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/meta"
)

// windowJob runs records through a window and returns what comes out, in order.
func windowJob(t *testing.T, o engine.Options, recs []event, build func(engine.Keyed[string, event]) engine.Stream[string]) ([]string, error) {
	t.Helper()
	rows := newLog()
	job := engine.NewJob("windows")
	src := engine.From(job, "in", engine.SliceSource(recs...), engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(time.Hour)))
	engine.To(build(engine.KeyBy(src, func(e event) string { return e.Key })), "out", rows)
	err := job.Run(t.Context(), o)
	return rows.rows(), err
}

func all(f func(key string, w engine.Span, recs iter.Seq[event], out engine.Out[string]) error, a engine.Assigner) func(engine.Keyed[string, event]) engine.Stream[string] {
	return func(in engine.Keyed[string, event]) engine.Stream[string] {
		return engine.ProcessWindow(engine.Window(in, a), "windows",
			func(_ *engine.Context, key string, w engine.Span, recs iter.Seq[event], out engine.Out[string]) error {
				return f(key, w, recs, out)
			})
	}
}

// TestProcessWindowFails with the key and the window, be it an error or a panic.
func TestProcessWindowFails(t *testing.T) {
	recs := []event{{Key: "k", N: 1, At: t0}}
	for _, end := range []func() error{func() error { return errors.New("bad") }, func() error { panic("bad") }} {
		_, err := windowJob(t, engine.Options{Restart: engine.Restart{None: true}}, recs,
			all(func(string, engine.Span, iter.Seq[event], engine.Out[string]) error { return end() }, engine.Tumbling(time.Hour)))
		contains(t, err, `"windows"`, "key k", "window [2026-01-01T00:00:00Z, 2026-01-01T01:00:00Z)", "bad")
	}
}

// TestProcessWindowRecords can be walked twice and in part, but not when the function has returned.
func TestProcessWindowRecords(t *testing.T) {
	var recs []event
	for i := range int64(10) {
		recs = append(recs, event{Key: "k", N: i, At: t0})
	}
	var kept iter.Seq[event]
	_, err := windowJob(t, engine.Options{Restart: engine.Restart{None: true}}, recs,
		all(func(_ string, w engine.Span, recs iter.Seq[event], _ engine.Out[string]) error {
			for e := range recs {
				if e.N == 3 {
					break
				}
			}
			if n := len(slices.Collect(recs)); n != 10 {
				return fmt.Errorf("%d records", n)
			}
			kept = recs
			return nil
		}, engine.Tumbling(time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if v := recover(); v == nil {
			t.Error("records can be walked when their window is gone")
		}
	}()
	for range kept {
	}
}

// TestWindowsOutOfRange are errors, never lost.
func TestWindowsOutOfRange(t *testing.T) {
	far := event{Key: "k", At: engine.MaxTime.Add(-2 * time.Hour).UTC()}
	none := func(string, engine.Span, iter.Seq[event], engine.Out[string]) error { return nil }
	for _, a := range []engine.Assigner{
		engine.Tumbling(3 * time.Hour), engine.Sliding(3*time.Hour, time.Hour), engine.Session(3 * time.Hour), engine.Tumbling(1<<63 - 1),
		engine.SessionBy(func(event) time.Duration { return 1<<63 - 1 }),
	} {
		_, err := windowJob(t, engine.Options{}, []event{far}, all(none, a))
		if !engine.IsPermanent(err) {
			t.Errorf("%s: %v, want a permanent error", a, err)
		}
		contains(t, err, "1678 to 2261", "record")
	}
	_, err := windowJob(t, engine.Options{}, []event{far}, func(in engine.Keyed[string, event]) engine.Stream[string] {
		return engine.Aggregate(engine.Window(in, engine.Session(time.Hour), engine.AllowedLateness(time.Hour)), "windows", listing{})
	})
	contains(t, err, "1678 to 2261", "record", "its window of 1h0m0s, kept for 1h0m0s more,")
}

// TestSessionsAreOfAnyOrder: records that are in time make the same sessions however they come.
func TestSessionsAreOfAnyOrder(t *testing.T) {
	build := func(in engine.Keyed[string, event]) engine.Stream[string] {
		sessions := engine.Window(in, engine.SessionBy(func(e event) time.Duration { return time.Duration(e.N) * time.Second }))
		return engine.Aggregate(sessions, "sessions", listing{})
	}
	rapid.Check(t, func(r *rapid.T) {
		recs := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) event {
			return event{Key: "k", N: rapid.Int64Range(1, 60).Draw(r, "gap"), At: t0.Add(time.Duration(rapid.IntRange(0, 300).Draw(r, "at")) * time.Second)}
		}), 0, 30).Draw(r, "records")
		sorted := slices.SortedFunc(slices.Values(recs), func(a, b event) int { return a.At.Compare(b.At) })
		var want []string
		var open *modelWindow
		for _, e := range sorted { // in order, a session is over when the next record comes at its end or later
			at, end := engine.TimeOf(e.At), engine.TimeOf(e.At)+engine.Time(e.N)*engine.Time(time.Second)
			if open != nil && at >= open.span.End {
				want, open = append(want, open.row(&windowModel{})), nil
			}
			if open == nil {
				open = &modelWindow{key: "k", span: engine.Span{Start: at, End: end}}
			}
			open.events, open.span.End = append(open.events, e), max(open.span.End, end)
		}
		if open != nil {
			want = append(want, open.row(&windowModel{}))
		}
		slices.Sort(want)
		got, err := windowJob(t, engine.Options{}, recs, build)
		if err != nil || !slices.Equal(got, want) {
			r.Fatalf("%v; got %v, want %v", err, got, want)
		}
	})
}

// TestWindowRuleAtRestore refuses another lateness and early results where there were none; how often those come may change.
func TestWindowRuleAtRestore(t *testing.T) {
	dir := t.TempDir()
	try := func(o ...engine.WindowOption) error {
		in := newFeed[event](1)
		job := engine.NewJob("rules")
		src := engine.From[event](job, "in", in, engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(0)))
		byKey := engine.KeyBy(src, func(e event) string { return e.Key })
		engine.To(engine.Aggregate(engine.Window(byKey, engine.Session(time.Hour), o...), "windows", listing{}), "out", newLog())
		r, err := job.Start(t.Context(), engine.Options{Checkpoints: engine.Checkpoints{Dir: dir}, Restore: engine.Resume()})
		if err != nil {
			return err
		}
		_, err = r.Stop(t.Context())
		return err
	}
	if err := errors.Join(try(engine.FireEvery(time.Second)), try(engine.FireEvery(time.Minute))); err != nil {
		t.Fatal(err)
	}
	for _, o := range [][]engine.WindowOption{{}, {engine.FireEvery(time.Minute), engine.AllowedLateness(time.Hour)}} {
		if err := try(o...); !errors.Is(err, meta.ErrIncompatible) {
			t.Errorf("%d options: %v, want %v", len(o), err, meta.ErrIncompatible)
		}
	}
}

// TestExplainWindows shows what windows are and what they keep.
func TestExplainWindows(t *testing.T) {
	job := engine.NewJob("explained")
	src := engine.From(job, "in", engine.SliceSource[event](), engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(0)))
	byKey := engine.KeyBy(src, func(e event) string { return e.Key })
	lists := all(func(string, engine.Span, iter.Seq[event], engine.Out[string]) error { return nil }, engine.Tumbling(time.Hour).InProcessingTime())
	engine.To(lists(byKey), "a", newLog())
	w := engine.Window(byKey, engine.Session(time.Minute), engine.AllowedLateness(time.Hour), engine.FireEvery(time.Second))
	engine.To(engine.Aggregate(w, "sessions", listing{}), "b", newLog())
	engine.To(engine.WindowJoin(byKey, byKey, engine.Sliding(2, 1), "join", engine.FullOuter, pairIn), "c", newLog())
	x, err := job.Explain(engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`process window "windows", of 1 by key string: tumbling 1h0m0s in processing time` + "\n       records: engine_test.event\n",
		`window "sessions", of 1 by key string: session 1m0s, up to 1h0m0s late, with early results` + "\n       early results every 1s of processing time\n",
		`window join "join", of 1 by key string and 1 by key string: full outer join sliding 2ns by 1ns` + "\n       records: engine_test.event and engine_test.event\n",
	} {
		contains(t, errors.New(x.String()), want)
	}
}

// TestRestoredBehind restores windows into a subtask whose time has passed their ends, because another one was ahead. They
// fire before the first record comes, once.
func TestRestoredBehind(t *testing.T) {
	for name, tt := range map[string]struct {
		assign engine.Assigner
		o      []engine.WindowOption
		want   func(key string) []string
	}{
		"session": {engine.Session(time.Minute), nil, func(key string) []string { return []string{key + " 1m0s..2m0s 1"} }},
		"session, late": {engine.Session(time.Minute), []engine.WindowOption{engine.AllowedLateness(time.Hour)}, func(key string) []string {
			return []string{key + " 1m0s..2m0s 1", key + " 1m0s..2m30s 3"}
		}},
		"tumbling, late": {engine.Tumbling(time.Minute), []engine.WindowOption{engine.AllowedLateness(time.Hour)}, func(key string) []string {
			return []string{key + " 1m0s..2m0s 1", key + " 1m0s..2m0s 3"}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir, rows := t.TempDir(), newLog()
			in := newFeed[event](1)
			build := func() *engine.Job {
				job := engine.NewJob("behind")
				src := engine.From[event](job, "in", in, engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(0)))
				byKey := engine.KeyBy(src, func(e event) string { return e.Key })
				sums := engine.ProcessWindow(engine.Window(byKey, tt.assign, tt.o...), "windows",
					func(_ *engine.Context, key string, w engine.Span, recs iter.Seq[event], out engine.Out[string]) error {
						sum := int64(0)
						for e := range recs {
							sum += e.N
						}
						out.Emit(key + " " + spanning{}.Result(key, w, sum))
						return nil
					})
				engine.To(sums, "out", rows)
				return job
			}
			o := engine.Options{Parallelism: 2, Checkpoints: engine.Checkpoints{Dir: dir}}
			r := start(t, build(), o)
			var want []string
			for i := range 100 {
				key := fmt.Sprint("k", i)
				in.add(0, event{Key: key, N: 1, At: t0.Add(time.Minute)})
				want = append(want, tt.want(key)...)
			}
			took(t, r, 100)
			cp, err := r.Stop(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			oneAhead(t, cp.Path)
			for i := range 100 {
				in.add(0, event{Key: fmt.Sprint("k", i), N: 2, At: t0.Add(90 * time.Second)})
			}
			in.end()
			o.Parallelism, o.Restore.Path = 1, cp.Path
			if err := build().Run(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			slices.Sort(want)
			equal(t, rows.rows(), want)
		})
	}
}
