package engine_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/enginetest"
)

var (
	firstSeed = flag.Int64("seed", -1, "the seed that TestSimulatedJobs runs, or the first of -seeds")
	manySeeds = flag.Uint64("seeds", 0, "how many seeds TestSimulatedJobs runs")
)

// simulatedJobs are the jobs that are simulated. Each is made from random numbers, and what it commits must not depend on
// the order of events. To add one is all it takes to have it simulated.
var simulatedJobs = []struct {
	name string
	make func(*rand.Rand) simulated
}{
	{"windows", simulatedWindows},
	{"joins", simulatedJoin},
	{"process", simulatedProcess},
	{"union", simulatedUnion},
	{"stages", simulatedStages},
	{"time", simulatedTime},
	{"kinds of windows", simulatedKinds},
	{"windows by the clock", simulatedClock},
	{"count windows", simulatedCounts},
	{"window join", simulatedWindowJoin},
	{"parallelisms", simulatedParallelisms},
	{"broadcast", simulatedBroadcast},
	{"each", simulatedEach},
	{"calls", simulatedCalls},
	{"idle splits", simulatedIdle},
}

// simulated is one job with its input, and what a batch makes of that.
type simulated struct {
	graph func(*engine.Job)
	ins   []intake
	outs  []*enginetest.Sink[string]
	want  func() []string // of what was read; nil: nothing
	early bool            // there are results before the last ones, of any number
	late  func() int      // records that came late; nil: none may
}

func (s simulated) wrong() error {
	var got []string
	for _, out := range s.outs {
		got = append(got, out.Rows()...)
	}
	var want []string
	if s.want != nil {
		want = s.want()
	}
	slices.Sort(got)
	slices.Sort(want)
	if s.early {
		got = among(got, want)
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("%d rows, want %d: %s", len(got), len(want), firstDifference(append(got, ""), want))
	}
	return nil
}

// readAll says whether the job has read all of its inputs.
func (s simulated) readAll() (all bool, err error) {
	all = true
	for _, in := range s.ins {
		whole, e := in.check()
		all, err = all && whole, errors.Join(err, e)
	}
	return all, err
}

// simulation is what has happened in one.
type simulation struct {
	enginetest.Report
	cut  bool // the job was drained before the end of its input
	late int  // records
}

// simulate runs the job that a seed chooses.
func simulate(t *testing.T, seed uint64) simulation {
	t.Helper()
	tt := simulatedJobs[seed%uint64(len(simulatedJobs))]
	rnd := rand.New(rand.NewPCG(seed, 21))
	s, drains := tt.make(rnd), rnd.IntN(2)
	if drains > 0 {
		for _, in := range s.ins {
			in.watch()
		}
	}
	r := enginetest.Run(t, s.graph, enginetest.Seed(seed), enginetest.Kills(rnd.IntN(4)), enginetest.Faults(rnd.IntN(6)), enginetest.Requests(rnd.IntN(8)),
		enginetest.Savepoints(rnd.IntN(5)), enginetest.Rewinds(rnd.IntN(3)), enginetest.Drains(drains))
	all, err := s.readAll()
	switch {
	case err != nil:
	case !all && r.Drains == 0:
		err = errors.New("not all was read")
	default:
		err = s.wrong()
	}
	if err != nil {
		t.Fatalf("seed %d, %s: %v\n%s", seed, tt.name, err, shownTrace(r.Trace))
	}
	did := simulation{r, !all, 0}
	if s.late != nil {
		did.late = s.late()
	}
	return did
}

// shownTrace is all of a trace with -v.
func shownTrace(trace string) string {
	if testing.Verbose() {
		return trace
	}
	return "-v prints the trace"
}

// TestSimulatedJobs runs jobs in simulated worlds: go test ./engine -run TestSimulatedJobs -seed 7 replays one of them, with -v
// it prints all that happens.
func TestSimulatedJobs(t *testing.T) {
	if *firstSeed >= 0 && *manySeeds == 0 {
		r := simulate(t, uint64(*firstSeed))
		t.Log(shownTrace(r.Trace))
		fmt.Printf("seed %d: %d kills, %d restarts, %d faults, %d checkpoints, %d steps, trace hash %016x\n", *firstSeed, r.Kills, r.Restarts, r.Faults, r.Checkpoints, r.Steps, r.Hash)
		return
	}
	first, seeds := uint64(max(*firstSeed, 0)), uint64(1000)
	switch {
	case *manySeeds > 0:
		seeds = *manySeeds
	case testing.Short():
		seeds = 60
	}
	var all enginetest.Report
	cuts, late := 0, 0
	for seed := first; seed < first+seeds; seed++ {
		r := simulate(t, seed)
		all.Kills, all.Restarts, all.Faults = all.Kills+r.Kills, all.Restarts+r.Restarts, all.Faults+r.Faults
		all.Checkpoints, all.Steps, all.BadReads = all.Checkpoints+r.Checkpoints, all.Steps+r.Steps, all.BadReads+r.BadReads
		all.Savepoints, all.Rewinds, all.Drains = all.Savepoints+r.Savepoints, all.Rewinds+r.Rewinds, all.Drains+r.Drains
		all.Evictions, all.Hangs = all.Evictions+r.Evictions, all.Hangs+r.Hangs
		late += r.late
		if r.cut {
			cuts++
		}
		for what, seen := range sometimes {
			if !seen && regexp.MustCompile(what).MatchString(r.Trace) {
				sometimes[what] = true
			}
		}
	}
	t.Logf("%d seeds: %d kills, %d restarts, %d other faults, %d calls that hang, %d bad reads, %d stops with a savepoint, %d rewinds, %d drains (%d jobs ended before their input), %d late records, %d evictions, %d checkpoints, %d steps", seeds, all.Kills, all.Restarts, all.Faults, all.Hangs, all.BadReads, all.Savepoints, all.Rewinds, all.Drains, cuts, late, all.Evictions, all.Checkpoints, all.Steps)
	for what, seen := range sometimes {
		if !seen && seeds >= 1000 {
			t.Errorf("in no trace there is a line %q: a simulation that does not get there proves nothing", what)
		}
	}
}

// sometimes are lines that some trace has.
var sometimes = map[string]bool{
	`killed: between two steps`: false,
	`(?m)^    (sync|rename|syncdir) (_metadata|chk-).*\nthe process is killed: at a call to storage`:                                           false, // about the commit point
	`(?m)^    remove (data file|_metadata).*\nthe process is killed: at a call to storage`:                                                     false,
	`(?m)^    rename _metadata\n    syncdir chk-\d+\n((task|reader|writer|loading|commits|removal|the job has|   ).*\n)*the process is killed`: false, // durable, nobody knows
	`(?m)^commits of .* commits\n(.*\n){0,9}the process is killed`:                                                                             false, // committed, nobody knows
	`(?m)^task .* acknowledges\n(.*\n){0,3}the process is killed`:                                                                              false,
	`loading .* loads`: false,
	`(?m)^verification of checkpoint .*\n(.*\n){0,9}the process is killed`:        false, // while state is loaded
	`fails before it acknowledges`:                                                false,
	`fails before it goes on`:                                                     false,
	`fails before it commits`:                                                     false,
	`fails before it has committed`:                                               false,
	`storage from here on will fail`:                                              false,
	`checkpoint \d+ is given up`:                                                  false,
	`had no room`:                                                                 false,
	`the job has stopped`:                                                         false,
	`the job has cancelled`:                                                       false,
	`the job is refused`:                                                          false,
	`with [1-9]\d* restarts`:                                                      false,
	`is served: checkpoint [1-9]\d*, failed false`:                                false,
	`is served: checkpoint \d+, failed true`:                                      false,
	`of the reads some fail: open _metadata`:                                      false,
	`of the reads some fail: list`:                                                false,
	`of the reads some are cut short: read data file`:                             false,
	`of the reads some give wrong bits: read _metadata`:                           false,
	`of the reads some give wrong bits: read data file`:                           false,
	`(?m)^loading .* loads\n(    .*\n)*    of the reads some`:                     false,
	`(?m)^    of the reads some .*\n(.*\n){0,9}the job is refused`:                false,
	`(?m)^    of the reads some (are|give) .*\n(.*\n){0,99}the job has failed`:    false, // it was noticed
	`(?m)^    of the reads some fail.*\n(.*\n){0,99}task .* \[0\] starts`:         false, // another attempt
	`(?m)^task .*\n(    .*\n)*    of the reads some .*: read data file`:           false, // state that a record needs
	`is served: savepoint of checkpoint \d+, failed false`:                        false,
	`is served: stopped with a savepoint, failed true`:                            false,
	`from its savepoint beside its checkpoints\n(.*\n)*the job has started`:       false,
	`from its savepoint and discards its checkpoints\n(.*\n)*the job has started`: false,
	`from its savepoint without its directory\n(.*\n)*the job has started`:        false,
	`from its savepoint behind its checkpoints\n(.*\n)*the job has started`:       false,
	`from its savepoint in another directory\n(.*\n)*the job has started`:         false,
	`from its savepoint of its own\n(.*\n)*the job has started`:                   false,
	`is served: drained, failed true`:                                             false,
	`is to drain\n(.*\n){0,40}the process is killed`:                              false,
	`syncdir chk-\d+\n    syncdir hangs`:                                          false,
	`hangs\n(.*\n){0,40}    \d+ records from`:                                     false, // they go on
	`that hangs, .*, goes on`:                                                     false,
	`the process is killed: storage hangs`:                                        false,
	`idle from input`:                                                             false,
	`[1-9]\d* evictions`:                                                          false,
	`is short of memory`:                                                          false,
	`waits for the checkpoint`:                                                    false,
	`the disk keeps: .*torn`:                                                      false,
	`the disk keeps: .*zeros`:                                                     false,
	`the disk keeps: (random|all but|only|subset .*0)`:                            false,
}

// TestSimulationsRepeat runs some seeds twice: everything that happens comes from the seed.
func TestSimulationsRepeat(t *testing.T) {
	first, seeds := uint64(max(*firstSeed, 0)), uint64(50)
	switch {
	case *manySeeds > 0:
		seeds = *manySeeds
	case testing.Short():
		seeds = 12
	}
	for seed := first; seed < first+seeds; seed++ {
		a, b := simulate(t, seed), simulate(t, seed)
		if a.Hash == b.Hash {
			continue
		}
		as, bs := strings.Split(a.Trace, "\n"), strings.Split(b.Trace, "\n")
		for i := range as {
			if i == len(bs) || as[i] != bs[i] {
				t.Fatalf("seed %d goes another way from line %d on:\n%s\nand\n%s", seed, i,
					strings.Join(as[max(0, i-10):min(len(as), i+3)], "\n"), strings.Join(bs[max(0, i-10):min(len(bs), i+3)], "\n"))
			}
		}
		t.Fatalf("seed %d goes on longer", seed)
	}
}

// flakySource reads random events, split by split at about the same time. Of their records, some fail now and then.
func flakySource(job *engine.Job, uid string, in *input[event], rnd *rand.Rand, failures *int) engine.Stream[event] {
	src := in.stream(job, uid, engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(time.Minute)).Align("all", 10*time.Minute))
	return flakyRecords(src, rnd, failures)
}

func flakyRecords(src engine.Stream[event], rnd *rand.Rand, failures *int) engine.Stream[event] {
	return engine.FlatMap(src, func(e event, out engine.Out[event]) error {
		if *failures > 0 && rnd.IntN(100) == 0 {
			*failures--
			return errors.New("this record fails")
		}
		out.Emit(e)
		return nil
	})
}

func ofKey(e event) string { return e.Key }

func simulatedWindows(rnd *rand.Rand) simulated {
	in := randomInput(rnd, 300)
	slide := time.Duration(1+rnd.IntN(60)) * time.Second
	size := slide + time.Duration(rnd.IntN(10))*slide
	failures := rnd.IntN(3)
	sums, lists := new(enginetest.Sink[string]), new(enginetest.Sink[string])
	return simulated{
		graph: func(job *engine.Job) {
			byKey := engine.KeyBy(flakySource(job, "in", in, rnd, &failures), ofKey)
			engine.To(engine.Aggregate(engine.Window(byKey, engine.Tumbling(5*time.Minute)), "sum", sum{}), "sums", sums)
			engine.To(engine.Aggregate(engine.Window(byKey, engine.Sliding(size, slide)), "windows", listing{}), "lists", lists)
		},
		ins:  []intake{in},
		outs: []*enginetest.Sink[string]{sums, lists},
		want: func() []string { return slices.Concat(wantSums(in.read()), windowsOf(in.read(), size, slide)) },
	}
}

func simulatedJoin(rnd *rand.Rand) simulated {
	kind := joinKinds[rnd.IntN(len(joinKinds))]
	lower := time.Duration(rnd.IntN(121)-60) * time.Second
	upper := lower + time.Duration(rnd.IntN(90))*time.Second
	left, right := randomInput(rnd, 200), randomInput(rnd, 200)
	failures := rnd.IntN(3)
	pairs := new(enginetest.Sink[string])
	return simulated{
		graph: func(job *engine.Job) {
			l := engine.KeyBy(flakySource(job, "left", left, rnd, &failures), ofKey)
			r := engine.KeyBy(flakySource(job, "right", right, rnd, &failures), ofKey)
			engine.To(engine.IntervalJoin(l, r, "join", kind, engine.Within(lower, upper), pair), "pairs", pairs)
		},
		ins:  []intake{left, right},
		outs: []*enginetest.Sink[string]{pairs},
		want: func() []string { return nestedLoops(left.read(), right.read(), kind, lower, upper) },
	}
}

// simulatedProcess has all kinds of state, timers of which each record sets one, and a side output.
func simulatedProcess(rnd *rand.Rand) simulated {
	in := randomInput(rnd, 300)
	failures := rnd.IntN(3)
	out, side := new(enginetest.Sink[string]), new(enginetest.Sink[string])
	odd := engine.Side[event]("odd")
	return simulated{ins: []intake{in}, outs: []*enginetest.Sink[string]{out, side}, graph: func(job *engine.Job) {
		byKey := engine.KeyBy(flakySource(job, "in", in, rnd, &failures), ofKey)
		minutes := engine.Process(byKey, "minutes", newMinutes(odd))
		engine.To(minutes, "out", out)
		engine.To(engine.Map(engine.SideOutput(minutes, odd), func(e event) string { return fmt.Sprint("odd ", e.N) }), "side", side)
	}, want: func() []string { return minutesOf(in.read()) }}
}

func minutesOf(all []event) (rows []string) {
	type minute struct {
		key string
		at  time.Time
	}
	counts, sums := map[minute]int{}, map[minute]int64{}
	for _, e := range all {
		m := minute{e.Key, e.At.Truncate(time.Minute)}
		counts[m]++
		sums[m] += e.N
		if e.N%2 == 1 {
			rows = append(rows, fmt.Sprint("odd ", e.N))
		}
	}
	for m, n := range counts {
		rows = append(rows, fmt.Sprintf("%s %s: %d %d", m.key, engine.TimeOf(m.at), n, sums[m]))
	}
	return rows
}

// newMinutes counts and adds up the records of each minute by hand.
func newMinutes(odd engine.Side[event]) func(*engine.Setup) engine.Func[string, event, string] {
	return func(s *engine.Setup) engine.Func[string, event, string] {
		counts := engine.NewMapState[int64, int64](s, "counts")
		sums := engine.NewCellMap[int64, int64](s, "sums")
		side := engine.NewSide(s, odd)
		end := engine.NewTimer(s, "end", func(ctx *engine.Context, key string, at engine.Time, out engine.Out[string]) error {
			m := int64(at) / int64(time.Minute)
			n, _ := counts.Get(ctx, m)
			out.Emit(fmt.Sprintf("%s %s: %d %d", key, at.Add(-time.Minute+1), n, *sums.Ref(ctx, m)))
			counts.Delete(ctx, m)
			sums.Delete(ctx, m)
			return nil
		})
		return func(ctx *engine.Context, _ string, e event, _ engine.Out[string]) error {
			m := int64(ctx.Time()) / int64(time.Minute)
			n, _ := counts.Get(ctx, m)
			counts.Put(ctx, m, n+1)
			*sums.Ref(ctx, m) += e.N
			end.Set(ctx, engine.Time((m+1)*int64(time.Minute)-1))
			if e.N%2 == 1 {
				side.Emit(e)
			}
			return nil
		}
	}
}

// simulatedUnion has one source by two ways, another one, and a task without state.
func simulatedUnion(rnd *rand.Rand) simulated {
	left, right := randomInput(rnd, 200), randomInput(rnd, 200)
	failures := rnd.IntN(3)
	all, counted := new(enginetest.Sink[string]), new(enginetest.Sink[string])
	s := simulated{ins: []intake{left, right}, outs: []*enginetest.Sink[string]{all, counted}, graph: func(job *engine.Job) {
		a, b := flakySource(job, "left", left, rnd, &failures), flakySource(job, "right", right, rnd, &failures)
		even := engine.Filter(a, func(e event) bool { return e.N%2 == 0 })
		both := engine.Union(a, even, b)
		engine.To(engine.Map(both, func(e event) string { return fmt.Sprint(e.N) }), "all", all)
		byKey := engine.KeyBy(both, ofKey)
		engine.To(engine.Aggregate(engine.Window(byKey, engine.Tumbling(5*time.Minute)), "sum", sum{}), "sums", counted)
	}}
	s.want = func() []string {
		union := slices.Concat(left.read(), right.read())
		for _, e := range left.read() {
			if e.N%2 == 0 {
				union = append(union, e)
			}
		}
		rows := wantSums(union)
		for _, e := range union {
			rows = append(rows, fmt.Sprint(e.N))
		}
		return rows
	}
	return s
}

// simulatedStages has windows over the results of windows, on the time that those carry.
func simulatedStages(rnd *rand.Rand) simulated {
	in := randomInput(rnd, 300)
	failures := rnd.IntN(3)
	out := new(enginetest.Sink[string])
	hour := func(string) string { return "all" }
	return simulated{ins: []intake{in}, outs: []*enginetest.Sink[string]{out}, graph: func(job *engine.Job) {
		byKey := engine.KeyBy(flakySource(job, "in", in, rnd, &failures), ofKey)
		sums := engine.Aggregate(engine.Window(byKey, engine.Tumbling(time.Minute)), "sum", sum{})
		engine.To(engine.Aggregate(engine.Window(engine.KeyBy(sums, hour), engine.Tumbling(10*time.Minute)), "rows", counting{}), "out", out)
	}, want: func() []string { return rowsOfMinutes(in.read()) }}
}

func rowsOfMinutes(all []event) (want []string) {
	type minute struct {
		key string
		at  time.Time
	}
	minutes, rows := map[minute]bool{}, map[time.Time]int64{}
	for _, e := range all {
		m := minute{e.Key, e.At.Truncate(time.Minute)}
		if !minutes[m] {
			minutes[m] = true
			rows[m.at.Truncate(10*time.Minute)]++
		}
	}
	for at, n := range rows {
		want = append(want, counting{}.Result("all", engine.Span{Start: engine.TimeOf(at)}, n))
	}
	return want
}

type counting struct{}

func (counting) Add(n *int64, _ string)        { *n++ }
func (counting) Merge(into *int64, from int64) { *into += from }
func (counting) Result(key string, w engine.Span, n int64) string {
	return fmt.Sprintf("%s %s: %d", key, w.Start, n)
}

// simulatedTime emits nothing as long as time does not go back for any key, also over kills and at other parallelisms.
func simulatedTime(rnd *rand.Rand) simulated {
	in := randomInput(rnd, 300)
	failures := rnd.IntN(3)
	out := new(enginetest.Sink[string])
	return simulated{ins: []intake{in}, outs: []*enginetest.Sink[string]{out}, graph: func(job *engine.Job) {
		byKey := engine.KeyBy(flakySource(job, "in", in, rnd, &failures), ofKey)
		engine.To(engine.Process(byKey, "times", func(s *engine.Setup) engine.Func[string, event, string] {
			seen := engine.NewCell[engine.Time](s, "seen")
			return func(ctx *engine.Context, _ string, _ event, out engine.Out[string]) error {
				if last, ok := seen.Get(ctx); ok && ctx.Watermark() < last {
					out.Emit(fmt.Sprintf("the watermark went from %s back to %s", last, ctx.Watermark()))
				}
				*seen.Ref(ctx) = ctx.Watermark()
				return nil
			}
		}), "out", out)
	}}
}

// simulatedKinds has windows of any kind, with lateness and with early results or without.
func simulatedKinds(rnd *rand.Rand) simulated {
	c := randomWindow(rnd)
	c.model.sorted = true
	if c.model.every > 0 {
		c.opts = append(c.opts, engine.FireEvery(time.Millisecond))
	}
	in := randomInput(rnd, 300)
	failures := rnd.IntN(3)
	out := new(enginetest.Sink[string])
	return simulated{
		graph: func(job *engine.Job) {
			engine.To(c.build(flakySource(job, "in", in, rnd, &failures)), "out", out)
		},
		ins: []intake{in}, outs: []*enginetest.Sink[string]{out}, early: c.model.every > 0,
		want: func() []string {
			for _, e := range in.read() {
				c.model.record(e)
			}
			c.model.advance(engine.MaxTime)
			return c.model.rows
		},
	}
}

// simulatedClock has windows in processing time: which there are is up to the order of events, but each record is in one.
func simulatedClock(rnd *rand.Rand) simulated {
	in := randomInput(rnd, 300)
	failures := rnd.IntN(3)
	a := []engine.Assigner{engine.Tumbling(time.Millisecond), engine.Session(time.Microsecond), engine.Session(time.Hour)}[rnd.IntN(3)]
	out := new(enginetest.Sink[string])
	s := simulated{ins: []intake{in}, outs: []*enginetest.Sink[string]{out}, graph: func(job *engine.Job) {
		byKey := engine.KeyBy(flakyRecords(in.stream(job, "in"), rnd, &failures), ofKey)
		windows := engine.ProcessWindow(engine.Window(byKey, a.InProcessingTime()), "windows",
			func(_ *engine.Context, key string, _ engine.Span, recs iter.Seq[event], out engine.Out[string]) error {
				for e := range recs {
					out.Emit(fmt.Sprint(key, " ", e.N))
				}
				return nil
			})
		engine.To(windows, "out", out)
	}}
	s.want = func() []string {
		return rowOfEach(in.read(), func(e event) string { return fmt.Sprint(e.Key, " ", e.N) })
	}
	return s
}

// simulatedCounts has windows of so many records, which depend on their order: one split.
func simulatedCounts(rnd *rand.Rand) simulated {
	n := 1 + rnd.IntN(20)
	_, recs := randomEvents(rnd, 300)
	c := windowCase{assign: engine.Count(n), model: windowModel{all: rnd.IntN(2) == 0}, flat: rnd.IntN(2) == 0}
	in := &input[event]{feed: newFeed[event](1), all: recs}
	in.recs[0], in.ended = recs, true
	failures := rnd.IntN(3)
	out := new(enginetest.Sink[string])
	return simulated{
		graph: func(job *engine.Job) {
			engine.To(c.build(flakySource(job, "in", in, rnd, &failures)), "out", out)
		},
		ins: []intake{in}, outs: []*enginetest.Sink[string]{out}, want: func() []string { return countRows(in.read(), n, &c.model) },
	}
}

func simulatedWindowJoin(rnd *rand.Rand) simulated {
	c := joinCase(rnd)
	var sides [2]*input[event]
	for side := range sides {
		sides[side] = randomInput(rnd, 200)
		renumber(sides[side], side)
	}
	failures := rnd.IntN(3)
	out := new(enginetest.Sink[string])
	return simulated{
		graph: func(job *engine.Job) {
			l, r := flakySource(job, "left", sides[0], rnd, &failures), flakySource(job, "right", sides[1], rnd, &failures)
			engine.To(c.buildJoin(l, r), "out", out)
		},
		ins: []intake{sides[0], sides[1]}, outs: []*enginetest.Sink[string]{out},
		want: func() []string {
			for _, e := range slices.Concat(sides[0].read(), sides[1].read()) {
				c.model.record(e)
			}
			c.model.advance(engine.MaxTime)
			return c.model.rows
		},
	}
}

// simulatedParallelisms has operators of other parallelisms than the job's, another one in each life, and records dealt out.
func simulatedParallelisms(rnd *rand.Rand) simulated {
	in := randomInput(rnd, 300)
	failures := rnd.IntN(3)
	sums, dealt := new(enginetest.Sink[string]), new(enginetest.Sink[string])
	s := simulated{ins: []intake{in}, outs: []*enginetest.Sink[string]{sums, dealt}, graph: func(job *engine.Job) {
		some := func() int { return 1 + rnd.IntN(4) }
		src := flakySource(job, "in", in, rnd, &failures).Parallelism(some())
		sum := engine.Aggregate(engine.Window(engine.KeyBy(src, ofKey), engine.Tumbling(5*time.Minute)), "sum", sum{})
		engine.To(sum.Parallelism(some()), "sums", sums)
		even := engine.Rebalance(src).Parallelism(some())
		engine.To(engine.Map(even, func(e event) string { return fmt.Sprint("dealt ", e.N) }).Parallelism(some()), "dealt", dealt)
	}}
	s.want = func() []string {
		return append(wantSums(in.read()), rowOfEach(in.read(), func(e event) string { return fmt.Sprint("dealt ", e.N) })...)
	}
	return s
}

// simulatedBroadcast has rules that every subtask gets, and that show with each key at the end of time.
func simulatedBroadcast(rnd *rand.Rand) simulated {
	in, rules := randomInput(rnd, 200), &input[decree]{feed: newFeed[decree](1 + rnd.IntN(3))}
	for i := range int64(rnd.IntN(100)) { // each name comes from one split: its rules keep their order
		s := rnd.IntN(len(rules.recs))
		u := decree{Name: fmt.Sprintf("s%d-%d", s, rnd.IntN(20)), N: i, Drop: rnd.IntN(4) == 0, At: t0.Add(time.Duration(i) * time.Second)}
		rules.recs[s] = append(rules.recs[s], u)
		rules.all = append(rules.all, u)
	}
	rules.ended = true
	failures := rnd.IntN(3)
	out := new(enginetest.Sink[string])
	s := simulated{ins: []intake{in, rules}, outs: []*enginetest.Sink[string]{out}, graph: func(job *engine.Job) {
		byKey := engine.KeyBy(flakySource(job, "in", in, rnd, &failures), ofKey)
		at := engine.EventTime(func(r decree) time.Time { return r.At }, engine.OutOfOrder(time.Minute))
		engine.To(engine.ProcessBroadcast(byKey, rules.stream(job, "rules", at), "ruled", newRuled(func() {})), "out", out)
	}}
	s.want = func() []string { return ruledRows(in.read(), rules.read()) }
	return s
}

func ruledRows(all []event, rules []decree) (rows []string) {
	left, sums := map[string]int64{}, map[string]int64{}
	for _, u := range rules {
		if left[u.Name] = u.N; u.Drop {
			delete(left, u.Name)
		}
	}
	for _, e := range all {
		sums[e.Key] += e.N
	}
	for key, sum := range sums {
		rows = append(rows, fmt.Sprint(key, " ", sum, " ", left))
	}
	return rows
}

// simulatedEach keeps a list without keys, and tells of what comes a second time.
func simulatedEach(rnd *rand.Rand) simulated {
	in := randomInput(rnd, 200)
	failures := rnd.IntN(3)
	out := new(enginetest.Sink[string])
	s := simulated{ins: []intake{in}, outs: []*enginetest.Sink[string]{out}, graph: func(job *engine.Job) {
		src := flakySource(job, "in", in, rnd, &failures)
		engine.To(engine.ProcessEach(src, "each", func(s *engine.Setup) engine.EachFunc[event, string] {
			seen := engine.NewOperatorList[int64](s, "seen")
			return func(ctx *engine.Context, e event, out engine.Out[string]) error {
				for n := range seen.All(ctx) {
					if n == e.N {
						out.Emit(fmt.Sprint("again ", n))
					}
				}
				seen.Append(ctx, e.N)
				out.Emit(fmt.Sprint(e.N))
				return nil
			}
		}), "out", out)
	}}
	s.want = func() []string { return rowOfEach(in.read(), func(e event) string { return fmt.Sprint(e.N) }) }
	return s
}

// simulatedCalls asks a service, in windows of time that nothing may be late for.
func simulatedCalls(rnd *rand.Rand) simulated {
	in := randomInput(rnd, 200)
	failures := rnd.IntN(3)
	o := engine.AsyncOptions{Unordered: rnd.IntN(2) == 0, Capacity: 1 + rnd.IntN(8), Retry: engine.AsyncRetry{Attempts: 2}}
	out, busy := new(enginetest.Sink[string]), new(atomic.Int64)
	return simulated{ins: []intake{in}, outs: []*enginetest.Sink[string]{out}, graph: func(job *engine.Job) {
		src := flakySource(job, "in", in, rnd, &failures)
		asked := engine.Async(src, "ask", o, func(_ context.Context, e event) (event, error) {
			if e.N%50 == 7 && busy.Add(1) == 1 {
				return e, errors.New("busy")
			}
			return e, nil
		})
		sums := engine.Aggregate(engine.Window(engine.KeyBy(asked, ofKey), engine.Tumbling(5*time.Minute)), "sum", sum{})
		engine.To(sums, "out", out)
	}, want: func() []string { return wantSums(in.read()) }}
}

func rowOfEach(all []event, row func(event) string) (rows []string) {
	for _, e := range all {
		rows = append(rows, row(e))
	}
	return rows
}

// simulatedIdle has splits that fall silent, and what comes from them later and late: each record is in one window or late, and no
// window closes twice. Windows of windows may be late, too.
func simulatedIdle(rnd *rand.Rand) simulated {
	var ins [2]*input[event]
	for side := range ins {
		ins[side] = randomInput(rnd, 150)
		renumber(ins[side], side)
		ins[side].pauses = randomPauses(rnd, ins[side].recs, 1+rnd.IntN(2))
	}
	failures, far := rnd.IntN(3), rnd.IntN(2) == 0
	times := engine.EventTime(atOf, engine.OutOfOrder(time.Minute)).Idle(time.Millisecond << rnd.IntN(4))
	out, late := new(enginetest.Sink[string]), new(enginetest.Sink[string])
	return simulated{
		graph: func(job *engine.Job) {
			quiet := flakyRecords(ins[0].stream(job, "quiet", times), rnd, &failures)
			if far {
				quiet = engine.Rebalance(quiet).Parallelism(2)
			}
			both := engine.Union(quiet, flakyRecords(ins[1].stream(job, "busy", times).Parallelism(1), rnd, &failures))
			windows := engine.Window(engine.KeyBy(both, ofKey), engine.Tumbling(idleWindow))
			rows := engine.ProcessWindow(windows, "windows", idleRows)
			again := engine.Window(engine.KeyBy(rows, func(string) string { return "all" }), engine.Tumbling(5*idleWindow))
			same := engine.ProcessWindow(again, "again", func(_ *engine.Context, _ string, _ engine.Span, rows iter.Seq[string], out engine.Out[string]) error {
				for row := range rows {
					out.Emit(row)
				}
				return nil
			})
			same = same.Parallelism(1) // small: checkpoints with a timeout must get through
			engine.To(engine.Union(same, again.Late()), "out", out)
			engine.To(engine.Map(windows.Late(), func(e event) string { return fmt.Sprint("late ", e.N) }), "late", late)
		},
		ins: []intake{ins[0], ins[1]}, outs: []*enginetest.Sink[string]{out, late},
		want: func() []string { return wantIdle(slices.Concat(ins[0].read(), ins[1].read()), late.Rows()) },
		late: func() int { return len(late.Rows()) },
	}
}

const idleWindow = 30 * time.Second

func idleRows(_ *engine.Context, key string, w engine.Span, recs iter.Seq[event], out engine.Out[string]) error {
	out.Emit(fmt.Sprint(key, " ", w.Start, " closes"))
	for e := range recs {
		out.Emit(fmt.Sprint(key, " ", w.Start, " has ", e.N))
	}
	return nil
}

// wantIdle takes from a job which records were late.
func wantIdle(all []event, late []string) (rows []string) {
	closed := map[string]bool{}
	for _, e := range all {
		if row := fmt.Sprint("late ", e.N); slices.Contains(late, row) {
			rows = append(rows, row)
			continue
		}
		window := fmt.Sprint(e.Key, " ", engine.TimeOf(e.At.Truncate(idleWindow)))
		closed[window+" closes"] = true
		rows = append(rows, fmt.Sprint(window, " has ", e.N))
	}
	return slices.AppendSeq(rows, maps.Keys(closed))
}
