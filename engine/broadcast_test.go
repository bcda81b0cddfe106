package engine_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/mmapstate"
	"github.com/pagetide/pagetide/snapshotter"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// decree is put in place of the one of its name, or deletes it.
type decree struct {
	Name string
	N    int64
	Drop bool
	At   time.Time
}

// ruled sums up the events of a key, and shows the sum with all rules at the end of time, or when it is asked to.
type ruled struct {
	sum   engine.Cell[int64]
	rules engine.BroadcastState[string, int64]
	texts engine.BroadcastState[int64, string]
	end   engine.Timer
	seen  func() // called for each rule that a subtask takes in
}

func newRuled(seen func()) func(s *engine.Setup) *ruled {
	return func(s *engine.Setup) *ruled {
		r := &ruled{seen: seen, sum: engine.NewCell[int64](s, "sum")}
		r.rules = engine.NewBroadcastState[string, int64](s, "rules")
		r.texts = engine.NewBroadcastState[int64, string](s, "texts")
		r.end = engine.NewTimer(s, "end", func(ctx *engine.Context, key string, _ engine.Time, out engine.Out[string]) error {
			out.Emit(r.show(ctx, key))
			return nil
		})
		return r
	}
}

func (r *ruled) OnRecord(ctx *engine.Context, key string, e event, out engine.Out[string]) error {
	if e.N < 0 {
		out.Emit(r.show(ctx, key))
		return nil
	}
	*r.sum.Ref(ctx) += e.N
	r.end.Set(ctx, engine.TimeOf(t0.AddDate(1, 0, 0)))
	return nil
}

func (r *ruled) OnBroadcast(ctx *engine.Context, u decree, _ engine.Out[string]) error {
	defer r.seen()
	if old, ok := r.rules.Get(ctx, u.Name); ok {
		r.texts.Delete(ctx, old)
	}
	if u.Drop {
		r.rules.Delete(ctx, u.Name)
		return nil
	}
	r.rules.Put(ctx, u.Name, u.N)
	r.texts.Put(ctx, u.N, u.Name)
	return nil
}

func (r *ruled) show(ctx *engine.Context, key string) string {
	rules, texts := maps.Collect(r.rules.All(ctx)), maps.Collect(r.texts.All(ctx))
	if len(rules) != r.rules.Len(ctx) || len(texts) != len(rules) || r.texts.Len(ctx) != len(texts) {
		return fmt.Sprintf("%s: %d and %d entries", key, len(rules), len(texts))
	}
	for name, n := range rules {
		if text, ok := r.texts.Get(ctx, n); !ok || text != name {
			return fmt.Sprintf("%s: text %d is %q", key, n, text)
		}
	}
	return fmt.Sprint(key, " ", *r.sum.Ref(ctx), " ", rules)
}

func ruledJob(events engine.Source[event], rules engine.Source[decree], check func(event) error, seen func(), out engine.Sink[string]) *engine.Job {
	job := engine.NewJob("ruled")
	in := engine.From(job, "in", events, engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(time.Hour)))
	checked := engine.FlatMap(in, func(e event, out engine.Out[event]) error {
		out.Emit(e)
		return check(e)
	})
	all := engine.From(job, "rules", rules, engine.EventTime(func(r decree) time.Time { return r.At }, engine.OutOfOrder(time.Hour)))
	byKey := engine.KeyBy(checked, func(e event) string { return e.Key })
	engine.To(engine.ProcessBroadcast(byKey, all, "ruled", newRuled(seen)), "out", out)
	return job
}

// TestBroadcastReachesAll: rules reach every subtask, and a restore at any parallelism, number of key groups and memory
// limit has them. The checkpoint has them once.
func TestBroadcastReachesAll(t *testing.T) {
	events, rules, out := newFeed[event](1), newFeed[decree](1), newLog()
	want := map[string]int64{}
	o := engine.Options{Restart: quick(), Restore: engine.Resume(), Checkpoints: engine.Checkpoints{Dir: t.TempDir(), Backend: engine.Backend{MemoryLimit: 1 << 20}}}
	var rows []string
	for stage, p := range []int{1, 4, 2, 3} {
		o.Parallelism, o.MaxParallelism = p, []int{0, 0, 7, 200}[stage]
		const fresh = 100
		seen := make(chan struct{}, p*(fresh+1))
		r := start(t, ruledJob(events, rules, func(event) error { return nil }, func() { seen <- struct{}{} }, out), o)
		for i := range fresh {
			n := int64(stage*fresh + i)
			want[fmt.Sprint("r", n)] = n
			rules.add(0, decree{Name: fmt.Sprint("r", n), N: n, At: t0})
		}
		rules.add(0, decree{Name: fmt.Sprint("r", stage), Drop: true, At: t0})
		delete(want, fmt.Sprint("r", stage))
		for range cap(seen) {
			<-seen
		}
		for i := range 20 { // keys enough for each subtask
			key := fmt.Sprintf("%d-%d", stage, i)
			events.add(0, event{Key: key, N: -1, At: t0})
			rows = append(rows, fmt.Sprint(key, " 0 ", want))
		}
		for {
			cp, err := r.Checkpoint(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(out.rows()) == len(rows) {
				broadcastOnce(t, cp.Path, want)
				break
			}
		}
		if _, err := r.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		slices.Sort(rows)
		equal(t, out.rows(), rows)
	}
}

// broadcastOnce looks at a checkpoint as programs do that do not know its types.
func broadcastOnce(t *testing.T, path string, want map[string]int64) {
	t.Helper()
	cp, err := snapshotter.Load(path, snapshotter.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer cp.Close()
	for _, o := range cp.Meta.Operators {
		if o.UID != "ruled.broadcast" {
			continue
		}
		v, err := mmapstate.OpenView(cp, o.No)
		if err != nil {
			t.Fatal(err)
		}
		rules := v.State("rules")
		if rules.Entries != uint64(len(want)) {
			t.Errorf("the checkpoint has %d rules, want %d", rules.Entries, len(want))
		}
		for e, err := range rules.Get("r50") {
			if err != nil || fmt.Sprint(string(e.Value)) != "50" {
				t.Errorf("rule r50 is %s, %v", e.Value, err)
			}
		}
		return
	}
	t.Error("no operator ruled.broadcast in the checkpoint")
}

// TestRandomBroadcast is TestRandomJobs for broadcast state: what is left of the rules at the end is what a batch leaves.
func TestRandomBroadcast(t *testing.T) {
	for seed := range seeds(40, 8) {
		rnd := rand.New(rand.NewPCG(seed, 41))
		d := &dice{rnd: rand.New(rand.NewPCG(seed, 42))}
		in, rules, out := newFeed[event](1+rnd.IntN(2)), newFeed[decree](1+rnd.IntN(3)), newLog()
		sums := map[string]int64{}
		for i, e := range events(200 + rnd.IntN(1_000)) {
			in.recs[i%len(in.recs)] = append(in.recs[i%len(in.recs)], e)
			sums[e.Key] += e.N
		}
		left := map[string]int64{}
		for i := range int64(100 + rnd.IntN(300)) { // each name comes from one split: its rules keep their order
			s := rnd.IntN(len(rules.recs))
			u := decree{Name: fmt.Sprintf("s%d-%d", s, rnd.IntN(20)), N: i, Drop: rnd.IntN(4) == 0, At: t0.Add(time.Duration(i) * time.Second)}
			rules.recs[s] = append(rules.recs[s], u)
			if left[u.Name] = u.N; u.Drop {
				delete(left, u.Name)
			}
		}
		in.ended, rules.ended = true, true
		build := func() *engine.Job {
			return ruledJob(in, rules, func(event) error {
				if d.oneIn(1000) {
					return errors.New("injected")
				}
				return nil
			}, func() {}, flakyLog(d, out))
		}
		if err := endure(t, rnd, vfs.NewFault(vfs.NewMem()), build); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		var want []string
		for k, sum := range sums {
			want = append(want, fmt.Sprint(k, " ", sum, " ", left))
		}
		slices.Sort(want)
		if got := out.rows(); !slices.Equal(got, want) {
			t.Fatalf("seed %d: rows %v, want %v", seed, got, want)
		}
	}
	noneLeft(t)
}

// misruled does what a broadcast operator must not.
type misruled struct {
	onRecord    func(*engine.Context)
	onBroadcast func(*engine.Context)
}

func (m misruled) OnRecord(ctx *engine.Context, _ string, _ event, _ engine.Out[string]) error {
	m.onRecord(ctx)
	return nil
}

func (m misruled) OnBroadcast(ctx *engine.Context, _ decree, _ engine.Out[string]) error {
	m.onBroadcast(ctx)
	return nil
}

func TestBroadcastMisuse(t *testing.T) {
	nothing := func(*engine.Context) {}
	tests := map[string]struct {
		newP func(*engine.Setup) misruled
		says string
	}{
		"a write from OnRecord": {func(s *engine.Setup) misruled {
			b := engine.NewBroadcastState[string, int64](s, "b")
			return misruled{func(ctx *engine.Context) { b.Put(ctx, "x", 1) }, nothing}
		}, `broadcast state of operator "mis" written outside of OnBroadcast`},
		"a deletion from OnRecord": {func(s *engine.Setup) misruled {
			b := engine.NewBroadcastState[string, string](s, "b")
			return misruled{func(ctx *engine.Context) { b.Delete(ctx, "x") }, nothing}
		}, `broadcast state of operator "mis" written outside of OnBroadcast`},
		"a cell in OnBroadcast": {func(s *engine.Setup) misruled {
			c := engine.NewCell[int64](s, "c")
			return misruled{nothing, func(ctx *engine.Context) { *c.Ref(ctx)++ }}
		}, `state per key of operator "mis" used in OnBroadcast`},
		"a timer in OnBroadcast": {func(s *engine.Setup) misruled {
			c := engine.NewTimer(s, "t", func(*engine.Context, string, engine.Time, engine.Out[string]) error { return nil }, engine.ProcessingTime)
			return misruled{nothing, func(ctx *engine.Context) { c.Set(ctx, 1) }}
		}, `state per key of operator "mis" used in OnBroadcast`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			job := engine.NewJob("mis")
			byKey := engine.KeyBy(engine.From(job, "in", engine.SliceSource(events(1)...)), func(e event) string { return e.Key })
			rules := engine.From(job, "rules", engine.SliceSource(decree{Name: "r"}))
			engine.To(engine.ProcessBroadcast(byKey, rules, "mis", tt.newP), "out", engine.SinkFunc(func(context.Context, []string) error { return nil }))
			err := job.Run(t.Context(), engine.Options{Restart: engine.Restart{None: true}})
			contains(t, err, tt.says, `"mis"`)
		})
	}
}

// TestBroadcastUID: the operator in the checkpoint is the job's, and nobody else's.
func TestBroadcastUID(t *testing.T) {
	job := ruledJob(engine.SliceSource(events(1)...), engine.SliceSource[decree](), func(event) error { return nil }, func() {}, newLog())
	src := engine.From(job, "ruled.broadcast", engine.SliceSource("x"))
	byKey := engine.KeyBy(src, func(s string) string { return s })
	engine.To(engine.Process(byKey, "keyed", func(s *engine.Setup) engine.Func[string, string, string] {
		engine.NewBroadcastState[string, int64](s, "b")
		return nil
	}), "rest", engine.Sink[string](newLog()))
	_, err := job.Start(t.Context(), engine.Options{})
	contains(t, err, `uid "ruled.broadcast" is taken by the broadcast at engine/broadcast_test.go`,
		`process "keyed": broadcast state "b": only ProcessBroadcast and ProcessEachBroadcast have such`)
	if n := strings.Count(fmt.Sprint(err), "\n"); n != 1 {
		t.Errorf("%d mistakes: %v", n+1, err)
	}
}
