package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// named keeps events until all rules have come, and emits them with the rule of their name.
type named struct {
	all   int // rules
	rules engine.BroadcastState[string, int64]
	seen  engine.BroadcastState[string, int] // how many rules, under the empty name
	kept  engine.OperatorList[int64]         // numbers of events
}

func newNamed(all int) func(*engine.Setup) *named {
	return func(s *engine.Setup) *named {
		return &named{
			all: all, rules: engine.NewBroadcastState[string, int64](s, "rules"),
			seen: engine.NewBroadcastState[string, int](s, "seen"), kept: engine.NewOperatorList[int64](s, "kept"),
		}
	}
}

func (o *named) OnRecord(ctx *engine.Context, e event, out engine.Out[string]) error {
	o.kept.Append(ctx, e.N)
	return o.emit(ctx, out)
}

func (o *named) OnBroadcast(ctx *engine.Context, u decree, out engine.Out[string]) error {
	if o.rules.Put(ctx, u.Name, u.N); u.Drop {
		o.rules.Delete(ctx, u.Name)
	}
	n, _ := o.seen.Get(ctx, "")
	o.seen.Put(ctx, "", n+1)
	return o.emit(ctx, out)
}

func (o *named) emit(ctx *engine.Context, out engine.Out[string]) error {
	if n, _ := o.seen.Get(ctx, ""); n < o.all {
		return nil
	}
	for i := range o.kept.All(ctx) {
		n, ok := o.rules.Get(ctx, nameFor(i))
		out.Emit(fmt.Sprint(i, " ", n, " ", ok))
	}
	o.kept.Clear(ctx)
	return nil
}

func nameFor(i int64) string { return fmt.Sprintf("s%d-%d", i%2, i%7) }

func namedJob(in engine.Source[event], rules engine.Source[decree], all int, out engine.Sink[string]) *engine.Job {
	job := engine.NewJob("named")
	named := engine.ProcessEachBroadcast(engine.Rebalance(engine.From(job, "in", in)), engine.From(job, "rules", rules), "named", newNamed(all))
	engine.To(named, "out", out)
	return job
}

// decrees are rules in two splits, each of which has its own names, and what is left of them.
func decrees(rnd *rand.Rand, n int) (splits [2][]decree, left map[string]int64) {
	for i := range n {
		s := rnd.IntN(2)
		splits[s] = append(splits[s], decree{Name: fmt.Sprintf("s%d-%d", s, rnd.IntN(7)), N: int64(i), Drop: rnd.IntN(4) == 0})
	}
	return splits, leftOf(slices.Concat(splits[:]...))
}

// leftOf is what is left of rules: the last of each name, unless it drops that.
func leftOf(rules []decree) map[string]int64 {
	left := map[string]int64{}
	for _, u := range rules {
		if left[u.Name] = u.N; u.Drop {
			delete(left, u.Name)
		}
	}
	return left
}

func wantNamed(all []event, left map[string]int64) (rows []string) {
	for _, e := range all {
		n, ok := left[nameFor(e.N)]
		rows = append(rows, fmt.Sprint(e.N, " ", n, " ", ok))
	}
	slices.Sort(rows)
	return rows
}

// TestRandomEachBroadcast is TestRandomBroadcast without keys: jobs that fail and are resumed at other parallelisms find what a
// batch finds.
func TestRandomEachBroadcast(t *testing.T) {
	for seed := range seeds(20, 6) {
		rnd := rand.New(rand.NewPCG(seed, 61))
		d := &dice{rnd: rand.New(rand.NewPCG(seed, 62))}
		in, rules, out := newFeed[event](1+rnd.IntN(2)), newFeed[decree](2), newLog()
		all := events(200 + rnd.IntN(500))
		for i, e := range all {
			in.recs[i%len(in.recs)] = append(in.recs[i%len(in.recs)], e)
		}
		n := 100 + rnd.IntN(300)
		splits, left := decrees(rnd, n)
		copy(rules.recs, splits[:])
		in.ended, rules.ended = true, true
		err := endure(t, rnd, vfs.NewFault(vfs.NewMem()), func() *engine.Job { return namedJob(in, rules, n, flakyLog(d, out)) })
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if got, want := out.rows(), wantNamed(all, left); !slices.Equal(got, want) {
			t.Fatalf("seed %d: %d rows %v, want %d %v", seed, len(got), got, len(want), want)
		}
	}
	noneLeft(t)
}

// TestEachBroadcastMoves gives a job a part of the rules and of the records at each parallelism, with all the rest but for the
// records of the last stage before the rules are complete.
func TestEachBroadcastMoves(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 63))
	in, rules, out, all := newFeed[event](1), newFeed[decree](2), newLog(), events(400)
	stages := []int{1, 4, 2, 4}
	splits, left := decrees(rnd, 300)
	part := func(of, stage int) (first, end int) { return of * stage / len(stages), of * (stage + 1) / len(stages) }
	o := engine.Options{Restart: quick(), Restore: engine.Resume(), Checkpoints: engine.Checkpoints{Dir: t.TempDir(), Retention: engine.RetainOnCancellation}}
	for stage, p := range stages {
		o.Parallelism = p
		r := start(t, namedJob(in, rules, 300, out), o)
		for s, recs := range splits {
			first, end := part(len(recs), stage)
			rules.add(s, recs[first:end]...)
		}
		first, end := part(len(all), stage)
		in.add(0, all[first:end]...)
		if stage == len(stages)-1 {
			in.end()
			rules.end()
			if err := r.Wait(); err != nil {
				t.Fatal(err)
			}
			break
		}
		_, ofFirst := part(len(splits[0]), stage)
		_, ofSecond := part(len(splits[1]), stage)
		readAll(t, r, int64(end+ofFirst+ofSecond))
		r.Cancel()
	}
	equal(t, out.rows(), wantNamed(all, left))
}

// misnamed does what a broadcast operator without keys must not.
type misnamed struct {
	onRecord    func(*engine.Context) error
	onBroadcast func(*engine.Context) error
}

func (m misnamed) OnRecord(ctx *engine.Context, _ event, _ engine.Out[string]) error {
	return m.onRecord(ctx)
}

func (m misnamed) OnBroadcast(ctx *engine.Context, _ decree, _ engine.Out[string]) error {
	return m.onBroadcast(ctx)
}

func misnamedJob(newP func(*engine.Setup) misnamed) *engine.Job {
	job := engine.NewJob("mis")
	in, rules := engine.From(job, "in", engine.SliceSource(events(1)...)), engine.From(job, "rules", engine.SliceSource(decree{Name: "r"}))
	engine.To(engine.ProcessEachBroadcast(in, rules, "mis", newP), "out", engine.SinkFunc(func(context.Context, []string) error { return nil }))
	return job
}

func TestEachBroadcastMisuse(t *testing.T) {
	nothing := func(*engine.Context) error { return nil }
	for name, tt := range map[string]struct {
		newP func(*engine.Setup) misnamed
		says string
	}{
		"a write from OnRecord": {func(s *engine.Setup) misnamed {
			b := engine.NewBroadcastState[string, int64](s, "b")
			return misnamed{func(ctx *engine.Context) error { b.Put(ctx, "x", 1); return nil }, nothing}
		}, `broadcast state of operator "mis" written outside of OnBroadcast`},
		"an error about a record": {func(*engine.Setup) misnamed {
			return misnamed{func(*engine.Context) error { return errors.New("no") }, nothing}
		}, `operator "mis"`},
		"an error about a rule": {func(*engine.Setup) misnamed {
			return misnamed{nothing, func(*engine.Context) error { return errors.New("no") }}
		}, `{Name:r `},
		"a state per key": {func(s *engine.Setup) misnamed {
			engine.NewCell[int64](s, "c")
			return misnamed{nothing, nothing}
		}, `belongs to a key, which the stream does not have`},
	} {
		t.Run(name, func(t *testing.T) {
			err := misnamedJob(tt.newP).Run(t.Context(), engine.Options{Restart: engine.Restart{None: true}})
			contains(t, err, tt.says, `"mis"`)
		})
	}
}

// TestEachBroadcastFollowsRecords: the records say in how many subtasks the operator runs, not the rules.
func TestEachBroadcastFollowsRecords(t *testing.T) {
	job := engine.NewJob("follows")
	in := engine.From(job, "in", engine.SliceSource[event]()).Parallelism(2)
	rules := engine.From(job, "rules", engine.SliceSource[decree]()).Parallelism(4)
	engine.To(engine.ProcessEachBroadcast(in, rules, "named", newNamed(1)), "out", engine.Sink[string](newLog()))
	x, err := job.Explain(engine.Options{Parallelism: 3})
	if err != nil {
		t.Fatal(err)
	}
	if want := "task 3, 2 subtasks\n  3  process each broadcast \"named\", of 1 and 2 to all\n"; !strings.Contains(x.String(), want) {
		t.Errorf("explained\n%s\nwant in it\n%s", x, want)
	}
}
