package engine_test

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/enginetest"
	"github.com/pagetide/pagetide/snapshotter"
)

// heldJob has two sources, of which one holds the windows open.
func heldJob(fast, slow engine.Source[event], out engine.Sink[string]) *engine.Job {
	job := engine.NewJob("held")
	times := engine.EventTime(atOf, engine.OutOfOrder(time.Minute)).Idle(time.Hour)
	both := engine.Union(engine.From(job, "fast", fast, times), engine.Map(engine.From(job, "slow", slow, times), func(e event) event { return e }))
	byKey := engine.KeyBy(both, func(e event) string { return e.Key })
	engine.To(engine.Aggregate(engine.Window(byKey, engine.Tumbling(5*time.Minute)), "sum", sum{}), "out", out)
	return job
}

func operator(t *testing.T, r *engine.Running, uid string) engine.OperatorStats {
	t.Helper()
	for _, op := range r.Stats().Operators {
		if op.UID == uid {
			return op
		}
	}
	t.Fatalf("no operator %q", uid)
	return engine.OperatorStats{}
}

// splitWatermarks are those of the metrics.
func splitWatermarks(s engine.Stats) map[string]float64 {
	all := map[string]float64{}
	for _, m := range s.Metrics() {
		if m.Name == "currentWatermark" {
			all[m.UID+" "+m.Split] = m.Value
		}
	}
	return all
}

// TestHeldBy says which split keeps a window open, what that split does, and since when it is silent.
func TestHeldBy(t *testing.T) {
	for _, p := range []int{1, 2} {
		clock := enginetest.NewClock(t0)
		fast, slow := newFeed[event](1), newFeed[event](2)
		r := start(t, heldJob(fast, slow, newLog()), engine.Options{Clock: clock, Parallelism: p})
		fast.add(0, event{Key: "k", At: t0.Add(time.Hour)})
		slow.add(0, event{Key: "k", At: t0.Add(2 * time.Hour)})
		clock.Advance(time.Minute)
		slow.add(1, event{Key: "k", At: t0.Add(10 * time.Minute)})
		readAll(t, r, 3)
		readAll(t, r, 3)
		held := operator(t, r, "sum").Inputs[0].HeldBy
		if held.Source != "slow" || held.ID != "1" || held.State != engine.SplitReads || held.Watermark != engine.TimeOf(t0.Add(9*time.Minute))-1 {
			t.Errorf("parallelism %d: held by %+v, want split 1 of slow", p, held)
		}
		if !held.Heard.Equal(t0.Add(time.Minute)) {
			t.Errorf("parallelism %d: last heard of at %s, want a minute after the start", p, held.Heard)
		}
		if in := operator(t, r, "sum").Inputs[0]; in.From == "" || in.Watermark != held.Watermark {
			t.Errorf("parallelism %d: input from %q at %s, want %s", p, in.From, in.Watermark, held.Watermark)
		}
		if kept := heldInCheckpoint(t, r, "sum"); kept != held {
			t.Errorf("parallelism %d: the checkpoint says %+v, want %+v", p, kept, held)
		}
		if got := splitWatermarks(r.Stats()); len(got) != 3 || got["slow 1"] != float64(held.Watermark)/1e6 {
			t.Errorf("parallelism %d: watermarks of splits %v, want three, that of slow 1 at %s", p, got, held.Watermark)
		}
		slow.end()
		reads := func(s engine.SplitStats) bool { return s.State != engine.SplitEnded }
		for held.Source == "slow" || slices.ContainsFunc(operator(t, r, "slow").Splits, reads) {
			readAll(t, r, 3)
			held = operator(t, r, "sum").Inputs[0].HeldBy
		}
		if held.Source != "fast" {
			t.Errorf("parallelism %d: held by %+v, want fast", p, held)
		}
		for held.ID != "" { // in an hour the last one is idle
			clock.Advance(time.Hour)
			readAll(t, r, 3)
			held = operator(t, r, "sum").Inputs[0].HeldBy
		}
		if s := operator(t, r, "fast").Splits[0]; s.State != engine.SplitIdle {
			t.Errorf("parallelism %d: %+v, want idle", p, s)
		}
	}
}

// TestMetrics lists the names: they are what dashboards are made of.
func TestMetrics(t *testing.T) {
	in := newFeed[event](1)
	r := start(t, sumJob(in, newLog()), engine.Options{Checkpoints: engine.Checkpoints{Dir: t.TempDir()}})
	in.add(0, event{Key: "k", At: t0}, event{Key: "k", At: t0.Add(time.Hour)})
	readAll(t, r, 2)
	readAll(t, r, 2)
	s := r.Stats()
	s.Restored = t0
	var names []string
	values := map[string]engine.Metric{}
	for _, m := range s.Metrics() {
		names = append(names, fmt.Sprint(m.UID, " ", m.Subtask, " ", m.Name, " ", m.Kind, " ", m.Unit))
		if m.Subtask < 0 {
			values[fmt.Sprint(m.UID, " ", m.Name)] = m
		}
	}
	var want []string
	for _, name := range []string{
		"numRestarts gauge ", "totalNumberOfCheckpoints counter ", "numberOfInProgressCheckpoints gauge ",
		"numberOfCompletedCheckpoints counter ", "numberOfFailedCheckpoints counter ", "lastCheckpointRestoreTimestamp gauge ms",
		"lastCompletedCheckpointId gauge ", "lastCheckpointDuration gauge ms", "lastCheckpointSize gauge bytes",
		"lastCheckpointFullSize gauge bytes", "lastCheckpointCompletedTimestamp gauge ms", "lastCheckpointExternalPath gauge ",
	} {
		want = append(want, " -1 "+name)
	}
	common := []string{
		"numRecordsIn counter records", "numRecordsOut counter records", "numLateRecordsDropped counter records",
		"numFiredTimers counter timers", "checkpointStartDelayNanos gauge ns", "checkpointAlignmentTime gauge ns",
		"busyTimeMsPerSecond gauge ms", "idleTimeMsPerSecond gauge ms", "backPressuredTimeMsPerSecond gauge ms",
	}
	for uid, marks := range map[string][][]string{
		"in":  {{"currentWatermark gauge ms", "currentOutputWatermark gauge ms"}, {"currentOutputWatermark gauge ms"}},
		"sum": {{"currentInput1Watermark gauge ms", "currentInputWatermark gauge ms", "currentOutputWatermark gauge ms"}, {"currentInputWatermark gauge ms", "currentOutputWatermark gauge ms"}},
		"out": {{"currentInput1Watermark gauge ms", "currentInputWatermark gauge ms"}, {"currentInputWatermark gauge ms"}},
	} {
		for i, subtask := range []string{"-1", "0"} {
			for _, name := range slices.Concat(common, marks[i]) {
				want = append(want, uid+" "+subtask+" "+name)
			}
		}
	}
	slices.Sort(names)
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Errorf("metrics\n%q\nwant\n%q", names, want)
	}
	mark := float64(t0.Add(59*time.Minute).UnixMilli()) - 1e-6
	for name, want := range map[string]float64{
		"in numRecordsIn": 2, "in numRecordsOut": 2, "sum numRecordsIn": 2, "out numRecordsIn": 1, " lastCompletedCheckpointId": float64(s.Last.ID),
		"sum numFiredTimers": 1, "out numFiredTimers": 0,
		"sum currentInput1Watermark": mark, "out currentInputWatermark": mark, " numberOfCompletedCheckpoints": float64(s.Completed),
		" lastCheckpointRestoreTimestamp": float64(t0.UnixMilli()),
	} {
		if got := values[name].Value; got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if got := values[" lastCheckpointExternalPath"].Text; got != s.Last.Path || got == "" {
		t.Errorf("the path is %q, want %q", got, s.Last.Path)
	}
}

// TestMetricsOfSeveralInputs: each has a watermark under its number.
func TestMetricsOfSeveralInputs(t *testing.T) {
	s := engine.Stats{Operators: []engine.OperatorStats{{UID: "join", Inputs: []engine.InputStats{{Watermark: 1e6}, {Watermark: 2e6}}}}}
	got := map[string]float64{}
	for _, m := range s.Metrics() {
		if m.Input > 0 {
			got[m.Name] = m.Value
		}
	}
	if want := map[string]float64{"currentInput1Watermark": 1, "currentInput2Watermark": 2}; !maps.Equal(got, want) {
		t.Errorf("watermarks of inputs %v, want %v", got, want)
	}
}

// TestLateRecordsDropped: what the stream of late records takes is late, and not dropped.
func TestLateRecordsDropped(t *testing.T) {
	for _, taken := range []bool{false, true} {
		in := newFeed[event](1)
		job := engine.NewJob("late")
		recs := engine.From(job, "in", in, engine.EventTime(atOf, engine.Monotonous()))
		w := engine.Window(engine.KeyBy(recs, func(e event) string { return e.Key }), engine.Tumbling(time.Minute))
		if taken {
			engine.To(w.Late(), "late", nowhere[event]())
		}
		engine.To(engine.Aggregate(w, "sum", sum{}), "out", nowhere[string]())
		in.add(0, event{Key: "k", At: t0.Add(time.Hour)})
		r := start(t, job, engine.Options{})
		readAll(t, r, 1)
		in.add(0, event{Key: "k", At: t0})
		in.end()
		if err := r.Wait(); err != nil {
			t.Fatal(err)
		}
		want := map[int]float64{-1: 1, 0: 1}
		if taken {
			want = map[int]float64{-1: 0, 0: 0}
		}
		got := map[int]float64{}
		for _, m := range r.Stats().Metrics() {
			if m.UID == "sum" && m.Name == "numLateRecordsDropped" {
				got[m.Subtask] = m.Value
			}
		}
		op := operator(t, r, "sum")
		if !maps.Equal(got, want) || op.Late != 1 || op.Subtasks[0].Late != 1 || float64(op.Dropped) != want[-1] {
			t.Errorf("late records taken: %t: %v dropped, want %v; the operator says %d of %d", taken, got, want, op.Dropped, op.Late)
		}
	}
}

// TestWatermarkOfSink: a sink has the time of its input once it has written what came before, to the end.
func TestWatermarkOfSink(t *testing.T) {
	for _, p := range []int{1, 2} {
		in := newFeed[event](1)
		var r *engine.Running
		var seen []string // by the writer
		out := engine.SinkFunc(func(context.Context, []string) error {
			seen = append(seen, operator(t, r, "out").Watermark.String())
			return nil
		})
		r = start(t, sumJob(in, out), engine.Options{Parallelism: p})
		in.add(0, event{Key: "k", At: t0}, event{Key: "k", At: t0.Add(time.Hour)})
		readAll(t, r, 2)
		readAll(t, r, 2)
		mark := engine.TimeOf(t0.Add(59*time.Minute)) - 1
		if got := operator(t, r, "out"); got.Watermark != mark || got.Subtasks[p-1].Watermark != mark {
			t.Errorf("parallelism %d: a sink at %s, subtasks %+v, want %s", p, got.Watermark, got.Subtasks, mark)
		}
		in.end()
		if err := r.Wait(); err != nil {
			t.Fatal(err)
		}
		if got := operator(t, r, "out").Watermark; got != engine.MaxTime {
			t.Errorf("parallelism %d: a sink that has ended is at %s", p, got)
		}
		equal(t, seen, []string{"min", mark.String()})
	}
}

// heldInCheckpoint is what a checkpoint taken now says holds an operator up.
func heldInCheckpoint(t *testing.T, r *engine.Running, uid string) engine.SplitStats {
	t.Helper()
	saved, err := r.Savepoint(t.Context(), filepath.Join(t.TempDir(), "held"))
	if err != nil {
		t.Fatal(err)
	}
	cp, err := snapshotter.Load(saved.Path, snapshotter.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer cp.Close() // read only
	held, ok := engine.HeldBy(cp.Meta, uid)
	if !ok {
		t.Error("the checkpoint does not say what holds the operator up")
	}
	return held
}
