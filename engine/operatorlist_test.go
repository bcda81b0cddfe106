package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
)

// buffered collects the numbers of events and emits them when it has enough, or when it is told to.
type buffered struct {
	list   engine.OperatorList[int64]
	names  engine.OperatorList[string]
	passed engine.Out[string]
}

const passedOn engine.Side[string] = "passed"

func newBuffered(s *engine.Setup) *buffered {
	return &buffered{
		list: engine.NewOperatorList[int64](s, "list"), names: engine.NewOperatorList[string](s, "names"),
		passed: engine.NewSide(s, passedOn),
	}
}

func (b *buffered) OnRecord(ctx *engine.Context, e event, out engine.Out[string]) error {
	if e.Key != "flush" {
		b.list.Append(ctx, e.N)
		b.names.Append(ctx, e.Key)
		if b.list.Len(ctx) < 9 {
			return nil
		}
	}
	names := slices.Collect(b.names.All(ctx))
	i := 0
	for n := range b.list.All(ctx) {
		out.Emit(fmt.Sprint(names[i], " ", n))
		i++
	}
	if i != len(names) || i != b.list.Len(ctx) || i != b.names.Len(ctx) {
		return engine.Permanent(fmt.Errorf("lists of %d and %d elements, Len %d", i, len(names), b.list.Len(ctx)))
	}
	b.list.Clear(ctx)
	b.names.Clear(ctx)
	b.passed.Emit("flushed")
	return nil
}

// TestOperatorListsMoveWithParallelism stops, fails and resumes a job at other parallelisms, and with other numbers of key
// groups. What its operators have buffered comes out once.
func TestOperatorListsMoveWithParallelism(t *testing.T) {
	for seed := range seeds(6, 2) {
		rnd := rand.New(rand.NewPCG(seed, 31))
		d := &dice{rnd: rand.New(rand.NewPCG(seed, 32))}
		all := events(3_000)
		in, out, passed := newFeed[event](1), newLog(), newLog()
		o := engine.Options{Restart: quick(), Restore: engine.Resume(), Checkpoints: engine.Checkpoints{Dir: t.TempDir(), Interval: time.Millisecond, Tolerable: 1000}}
		parallelism := []int{1, 4, 2, 3, 1}
		for stage, p := range parallelism {
			first, last := stage*len(all)/len(parallelism), (stage+1)*len(all)/len(parallelism)
			var once atomic.Bool
			reached := make(chan struct{})
			job := engine.NewJob("buffers")
			src := engine.FlatMap(engine.From[event](job, "in", in), func(e event, out engine.Out[event]) error {
				if d.oneIn(700) {
					return errors.New("injected")
				}
				if out.Emit(e); e.N == int64(last)-1 && !once.Swap(true) {
					close(reached)
				}
				return nil
			})
			rows := engine.ProcessEach(engine.Rebalance(src), "buffer", newBuffered)
			engine.To(rows, "out", engine.Sink[string](out))
			engine.To(engine.SideOutput(rows, passedOn), "passed", engine.Sink[string](passed))
			o.Parallelism, o.MaxParallelism = p, []int{0, 0, 5, 200}[rnd.IntN(4)]
			r := start(t, job, o)
			in.add(0, all[first:last]...)
			if last == len(all) {
				in.add(0, event{Key: "flush", N: -1})
				in.end()
				if err := r.Wait(); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				break
			}
			until(t, "the last record of the part", reached)
			if _, err := r.Stop(t.Context()); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		var want []string
		for _, e := range all {
			want = append(want, fmt.Sprint(e.Key, " ", e.N))
		}
		slices.Sort(want)
		if got := out.rows(); !slices.Equal(got, want) {
			t.Fatalf("seed %d: %d rows, want %d", seed, len(got), len(want))
		}
		if len(passed.rows()) < len(all)/9/4 {
			t.Errorf("seed %d: flushed %d times", seed, len(passed.rows()))
		}
	}
}

// TestOperatorListOrderAndShares keeps elements, shows the list with each record that asks for it, and restarts.
func TestOperatorListOrderAndShares(t *testing.T) {
	in, out := newFeed[int64](1), newLog()
	o := engine.Options{Restore: engine.Resume(), Checkpoints: engine.Checkpoints{Dir: t.TempDir()}}
	run := func(parallelism int, numbers ...int64) {
		t.Helper()
		last := make(chan struct{}, parallelism)
		job := engine.NewJob("kept")
		src := engine.Rebalance(engine.From[int64](job, "in", in))
		rows := engine.ProcessEach(src, "keep", func(s *engine.Setup) engine.EachFunc[int64, string] {
			kept := engine.NewOperatorList[int64](s, "kept")
			return func(ctx *engine.Context, n int64, out engine.Out[string]) error {
				if n >= 0 {
					kept.Append(ctx, n)
					return nil
				}
				out.Emit(fmt.Sprintf("%d: %v", n, slices.Collect(kept.All(ctx))))
				last <- struct{}{}
				return nil
			}
		})
		engine.To(rows, "out", engine.Sink[string](out))
		o.Parallelism = parallelism
		r := start(t, job, o)
		in.add(0, numbers...)
		for range parallelism {
			until(t, "the question", last)
		}
		if _, err := r.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var first []int64
	for n := range int64(300) {
		first = append(first, n)
	}
	run(1, append(first, -1)...)
	run(1, 300, 301, -2)
	run(3, -3, -3, -3)
	var inOrder []int64
	for n := range int64(302) {
		inOrder = append(inOrder, n)
	}
	total := 0
	for _, row := range out.rows() {
		question, list, _ := strings.Cut(row, ": ")
		switch question {
		case "-1":
			if list != fmt.Sprint(inOrder[:300]) {
				t.Errorf("before the restart: %s", list)
			}
		case "-2":
			if list != fmt.Sprint(inOrder) {
				t.Errorf("after the restart: %s", list)
			}
		case "-3":
			n := len(strings.Fields(list))
			if total += n; n < 302/3-10 || n > 302/3+10 {
				t.Errorf("a subtask has %d of 302 elements", n)
			}
		}
	}
	if total != 302 || len(out.rows()) != 5 {
		t.Errorf("%d elements after rescaling, %d answers", total, len(out.rows()))
	}
}

// TestOperatorListBesideKeys: a keyed operator may have one, too.
func TestOperatorListBesideKeys(t *testing.T) {
	out := newLog()
	job := engine.NewJob("keyed")
	byKey := engine.KeyBy(engine.From(job, "in", engine.SliceSource(events(40)...)), func(e event) string { return e.Key })
	engine.To(engine.Process(byKey, "count", func(s *engine.Setup) engine.Func[string, event, string] {
		list := engine.NewOperatorList[string](s, "list")
		n := engine.NewCell[int](s, "n")
		return func(ctx *engine.Context, key string, e event, out engine.Out[string]) error {
			*n.Ref(ctx)++
			if list.Append(ctx, key); list.Len(ctx) == 40 {
				out.Emit(fmt.Sprint(slices.Collect(list.All(ctx))[17:19], *n.Ref(ctx)))
			}
			return nil
		}
	}), "out", engine.Sink[string](out))
	if err := job.Run(context.Background(), engine.Options{}); err != nil {
		t.Fatal(err)
	}
	equal(t, out.rows(), []string{"[k0 k1] 3"})
}

// TestProcessEachFails names the operator and the record.
func TestProcessEachFails(t *testing.T) {
	job := engine.NewJob("fails")
	src := engine.From(job, "in", engine.SliceSource("a", "b"))
	engine.To(engine.ProcessEach(src, "each", func(s *engine.Setup) engine.EachFunc[string, string] {
		return func(ctx *engine.Context, in string, _ engine.Out[string]) error {
			if in == "b" {
				return errors.New("no b")
			}
			return nil
		}
	}), "out", nowhere[string]())
	err := job.Run(t.Context(), engine.Options{Restart: engine.Restart{None: true}})
	op, ok := errors.AsType[*engine.OperatorError](err)
	if contains(t, err, "no b"); !ok || op.UID != "each" || op.Record != "b" || op.Key != "" {
		t.Errorf("error %#v", op)
	}
}

// TestOperatorListOutside of a callback is refused.
func TestOperatorListOutside(t *testing.T) {
	job := engine.NewJob("outside")
	said := ""
	src := engine.From(job, "in", engine.SliceSource("a"))
	engine.To(engine.ProcessEach(src, "each", func(s *engine.Setup) engine.EachFunc[string, string] {
		var kept *engine.Context
		list := engine.NewOperatorList[string](s, "list")
		s.OnClose(func() error {
			defer func() { said = fmt.Sprint(recover()) }()
			list.Append(kept, "x")
			return nil
		})
		return func(ctx *engine.Context, in string, _ engine.Out[string]) error {
			kept = ctx
			return nil
		}
	}), "out", nowhere[string]())
	if err := job.Run(t.Context(), engine.Options{}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said, `operator "each" used outside of its callback`) {
		t.Errorf("a list outside of a callback: %s", said)
	}
}
