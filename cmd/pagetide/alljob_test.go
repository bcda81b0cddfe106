package main_test

import (
	"context"
	"flag"
	"fmt"
	"hash/fnv"
	"iter"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/app"
	"github.com/pagetide/pagetide/engine/connect/file"
)

// everyOperator is a job with all kinds of operators, each with a sink of its own: rows in the folder of its name. The test
// binary is its program, see TestMain.
var everyOperator = app.Job{
	Name:  "every-operator",
	About: "all kinds of operators over made-up records",
	New: func(args *flag.FlagSet) app.Build {
		rows := args.Int64("rows", 1000, "how many records")
		rate := args.Float64("rate", 0, "records per second; 0: no limit")
		out := args.String("output", "", "folder of the sinks' folders")
		return func(job *engine.Job) error {
			buildEveryOperator(job, engine.GenerateOptions{Splits: 3, Count: *rows, Rate: *rate}, *out)
			return nil
		}
	},
}

// reading is a made-up record.
type reading struct {
	Key int64
	N   int64
	At  engine.Time
}

// The readings of everyOperator are apart by readingStep, out of order by less than disorder, of readingKeys keys.
const (
	readingStep = 10 * time.Millisecond
	disorder    = time.Second
	readingKeys = 97
)

var readingStart = time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)

// readingNo is the i-th record. It depends on nothing else.
func readingNo(i int64) reading {
	h := fnv.New64a()
	h.Write(strconv.AppendInt(nil, i, 10))
	chance := h.Sum64()
	at := readingStart.Add(time.Duration(i)*readingStep - time.Duration(chance%uint64(disorder)))
	return reading{Key: int64(chance >> 32 % readingKeys), N: i, At: engine.TimeOf(at)}
}

func (r reading) key() int64      { return r.Key }
func (r reading) time() time.Time { return r.At.UTC() }
func (r reading) even() bool      { return r.N%2 == 0 }
func (r reading) odd() bool       { return r.N%2 != 0 }

// result is a row of any sink.
type result struct {
	Row string `json:"row"`
}

// The shapes of the operators, for the batch that compares.
const (
	tumble    = 5 * time.Second
	slideSize = 6 * time.Second
	slide     = 2 * time.Second
	lower     = -500 * time.Millisecond
	upper     = 700 * time.Millisecond
	silence   = time.Second
	full      = 50 // records
	rules     = 40
	classes   = 7 // of keys, each with its rules
	bucket    = 10 * time.Second
)

// ownSilence is the gap of a record's own session.
func ownSilence(r reading) time.Duration { return time.Duration(200+r.N%7*300) * time.Millisecond }

func buildEveryOperator(job *engine.Job, o engine.GenerateOptions, dir string) {
	to := func(name string, rows engine.Stream[result]) {
		engine.To(rows, name+" out", file.JSONLinesSink[result](filepath.Join(dir, name)))
	}
	in := engine.From(job, "readings", engine.Generate(o, func(i int64, _ time.Time) reading { return readingNo(i) }),
		engine.EventTime(reading.time, engine.OutOfOrder(disorder)))
	byKey := engine.KeyBy(in, reading.key)
	even, odd := engine.Filter(in, reading.even), engine.Filter(in, reading.odd)

	to("tumbling", engine.Aggregate(engine.Window(byKey, engine.Tumbling(tumble)), "tumbling", spread{}))
	to("sliding", engine.Aggregate(engine.Window(byKey, engine.Sliding(slideSize, slide)), "sliding", spread{}))
	to("session", engine.Aggregate(engine.Window(byKey, engine.Session(silence)), "session", spread{}))
	to("session by record", engine.Aggregate(engine.Window(byKey, engine.SessionBy(ownSilence)), "session by record", spread{}))
	to("count", engine.Aggregate(engine.Window(byKey, engine.Count(full)), "count", number{}))
	to("elements", engine.ProcessWindow(engine.Window(byKey, engine.Tumbling(tumble)), "elements", elements))
	now := engine.Aggregate(engine.Window(byKey, engine.Tumbling(300*time.Millisecond).InProcessingTime()), "now", portion{})
	to("in processing time", engine.Process(engine.KeyBy(now, reading.key), "portions", newPortions))
	to("join", engine.IntervalJoin(engine.KeyBy(even, reading.key), engine.KeyBy(odd, reading.key), "join",
		engine.FullOuter, engine.Within(lower, upper), pairOf))
	to("window join", engine.WindowJoin(engine.KeyBy(even, reading.key), engine.KeyBy(odd, reading.key), engine.Tumbling(slide), "window join",
		engine.FullOuter, func(key int64, w engine.Span, l, r *reading) result {
			return result{pairOf(key, l, r).Row + " in " + w.String()}
		}))
	to("each", engine.ProcessEach(engine.Rebalance(in), "each", newSieve).Parallelism(3))
	to("async", engine.Async(in, "async", engine.AsyncOptions{Unordered: true, Capacity: 50}, ask))
	to("async in order", engine.Async(even, "async in order", engine.AsyncOptions{Capacity: 50}, ask))
	o.Splits, o.Rate, o.Count = 1, o.Rate*rules/float64(o.Count), rules // over about the same time
	factors := engine.From(job, "rules", engine.Generate(o, func(i int64, _ time.Time) rule { return rule{i % classes, i} }),
		engine.EventTime(rule.time, engine.Monotonous()))
	to("broadcast", engine.ProcessBroadcast(byKey, factors, "broadcast", newScaled))
	to("each broadcast", engine.ProcessEachBroadcast(engine.Rebalance(in), factors, "each broadcast", newFactored))
	to("process", engine.Process(byKey, "process", newBuckets))
	both := engine.Process2(engine.KeyBy(even, reading.key), engine.KeyBy(odd, reading.key), "process2", newHalves)
	to("process2", both)
	to("side", engine.SideOutput(both, tenths))
	to("union", engine.Process(engine.KeyBy(engine.Union(odd, even, in), reading.key), "union", newTally))
}

// answer is what a service says to a record.
func answer(r reading) result { return result{fmt.Sprint("asked for ", r.N)} }

func ask(_ context.Context, r reading) (result, error) { return answer(r), nil }

// spread is an accumulator of number, sum and range.
type spread struct{ n, sum, least, most int64 }

func (spread) Add(a *spread, r reading) { spread{}.Merge(a, spread{1, r.N, r.N, r.N}) }

func (spread) Merge(into *spread, from spread) {
	if into.n == 0 {
		*into = from
		return
	}
	*into = spread{into.n + from.n, into.sum + from.sum, min(into.least, from.least), max(into.most, from.most)}
}

func (spread) Result(key int64, w engine.Span, a spread) result {
	return result{fmt.Sprintf("%d %s: %d %d %d..%d", key, w, a.n, a.sum, a.least, a.most)}
}

// number is an aggregator that only counts: what is in a count window is the order's affair.
type number struct{}

func (number) Add(n *int64, _ reading)    { *n++ }
func (number) Merge(into *int64, n int64) { *into += n }
func (number) Result(key int64, _ engine.Span, n int64) result {
	return result{fmt.Sprintf("%d: %d", key, n)}
}

// elements shows the records of a window.
func elements(_ *engine.Context, key int64, w engine.Span, recs iter.Seq[reading], out engine.Out[result]) error {
	var all []int64
	for r := range recs {
		all = append(all, r.N)
	}
	slices.Sort(all)
	out.Emit(result{fmt.Sprintf("%d %s: %d", key, w, all)})
	return nil
}

// portion sums windows in processing time, which are the clock's affair: all of them together are a sum of everything.
type portion struct{}

func (portion) Add(sum *int64, r reading)                        { *sum += r.N }
func (portion) Merge(into *int64, n int64)                       { *into += n }
func (portion) Result(key int64, _ engine.Span, n int64) reading { return reading{Key: key, N: n} }

// portions adds them up, until the input ends: a timer in processing time is far away.
type portions struct {
	sum engine.Cell[int64]
	end engine.Timer
}

func newPortions(s *engine.Setup) *portions {
	p := &portions{sum: engine.NewCell[int64](s, "sum")}
	p.end = engine.NewTimer(s, "end", p.onEnd, engine.ProcessingTime)
	return p
}

func (p *portions) OnRecord(ctx *engine.Context, _ int64, r reading, _ engine.Out[result]) error {
	*p.sum.Ref(ctx) += r.N
	p.end.Set(ctx, engine.TimeOf(readingStart.AddDate(200, 0, 0)))
	return nil
}

func (p *portions) onEnd(ctx *engine.Context, key int64, _ engine.Time, out engine.Out[result]) error {
	out.Emit(result{fmt.Sprintf("%d: %d", key, *p.sum.Ref(ctx))})
	return nil
}

func pairOf(key int64, l, r *reading) result {
	show := func(r *reading) string {
		if r == nil {
			return "nobody"
		}
		return fmt.Sprint(r.N)
	}
	return result{fmt.Sprintf("%d: %s %s", key, show(l), show(r))}
}

// rule says by what to multiply what the keys of a class have; the last one counts.
type rule struct{ Class, Factor int64 }

func (r rule) time() time.Time { return readingStart.Add(time.Duration(r.Factor) * time.Second) }

// scaled sums each key and multiplies by the factor of its class when the input ends.
type scaled struct {
	factors engine.BroadcastState[int64, int64]
	sum     engine.Cell[int64]
	end     engine.Timer
}

func newScaled(s *engine.Setup) *scaled {
	p := &scaled{factors: engine.NewBroadcastState[int64, int64](s, "factors"), sum: engine.NewCell[int64](s, "sum")}
	p.end = engine.NewTimer(s, "end", p.onEnd)
	return p
}

func (p *scaled) OnBroadcast(ctx *engine.Context, r rule, _ engine.Out[result]) error {
	p.factors.Put(ctx, r.Class, r.Factor)
	return nil
}

func (p *scaled) OnRecord(ctx *engine.Context, _ int64, r reading, _ engine.Out[result]) error {
	*p.sum.Ref(ctx) += r.N
	p.end.Set(ctx, engine.TimeOf(readingStart.AddDate(10, 0, 0)))
	return nil
}

func (p *scaled) onEnd(ctx *engine.Context, key int64, _ engine.Time, out engine.Out[result]) error {
	factor, _ := p.factors.Get(ctx, key%classes)
	out.Emit(result{fmt.Sprintf("%d: %d", key, factor**p.sum.Ref(ctx))})
	return nil
}

// newSieve makes an operator that lets every tenth record pass, and keeps some for a while in a list of its subtask's.
func newSieve(s *engine.Setup) engine.EachFunc[reading, result] {
	kept := engine.NewOperatorList[int64](s, "kept")
	return func(ctx *engine.Context, r reading, out engine.Out[result]) error {
		if r.N%10 == 0 {
			out.Emit(result{fmt.Sprint("record ", r.N)})
		}
		if kept.Append(ctx, r.N); kept.Len(ctx) > full {
			kept.Clear(ctx)
		}
		return nil
	}
}

// factored keeps every tenth record until all rules have come, and tells it with the factor of its class.
type factored struct {
	factors engine.BroadcastState[int64, int64]
	seen    engine.BroadcastState[int64, bool] // by factor
	kept    engine.OperatorList[int64]
}

func newFactored(s *engine.Setup) *factored {
	return &factored{
		factors: engine.NewBroadcastState[int64, int64](s, "factors"), seen: engine.NewBroadcastState[int64, bool](s, "seen"),
		kept: engine.NewOperatorList[int64](s, "kept"),
	}
}

func (p *factored) OnRecord(ctx *engine.Context, r reading, out engine.Out[result]) error {
	if r.N%10 == 0 {
		p.kept.Append(ctx, r.N)
	}
	return p.tell(ctx, out)
}

func (p *factored) OnBroadcast(ctx *engine.Context, r rule, out engine.Out[result]) error {
	p.factors.Put(ctx, r.Class, r.Factor)
	p.seen.Put(ctx, r.Factor, true)
	return p.tell(ctx, out)
}

func (p *factored) tell(ctx *engine.Context, out engine.Out[result]) error {
	if p.seen.Len(ctx) < rules || p.kept.Len(ctx) == 0 {
		return nil
	}
	for n := range p.kept.All(ctx) {
		factor, _ := p.factors.Get(ctx, n%classes)
		out.Emit(result{fmt.Sprintf("%d: %d", n, factor)})
	}
	p.kept.Clear(ctx)
	return nil
}

// halves sums what falls into a bucket from either input, in states that outlive the job, and has every tenth record on the
// side.
type halves struct {
	left  engine.MapState[engine.Time, int64]
	right engine.CellMap[engine.Time, int64]
	side  engine.Out[result]
	full  engine.Timer
}

const tenths engine.Side[result] = "tenths"

func newHalves(s *engine.Setup) *halves {
	life := engine.TTL(1000 * time.Hour)
	h := &halves{side: engine.NewSide(s, tenths)}
	h.left, h.right = engine.NewMapState[engine.Time, int64](s, "left", life), engine.NewCellMap[engine.Time, int64](s, "right", life)
	h.full = engine.NewTimer(s, "full", h.onFull)
	return h
}

func (h *halves) OnLeft(ctx *engine.Context, _ int64, r reading, _ engine.Out[result]) error {
	end := bucketOf(ctx.Time())
	sum, _ := h.left.Get(ctx, end)
	h.left.Put(ctx, end, sum+r.N)
	return h.onAny(ctx, r, end)
}

func (h *halves) OnRight(ctx *engine.Context, _ int64, r reading, _ engine.Out[result]) error {
	end := bucketOf(ctx.Time())
	*h.right.Ref(ctx, end) += r.N
	return h.onAny(ctx, r, end)
}

func (h *halves) onAny(ctx *engine.Context, r reading, end engine.Time) error {
	if h.full.Set(ctx, end); r.N%10 == 0 {
		h.side.Emit(result{fmt.Sprint("record ", r.N)})
	}
	return nil
}

func (h *halves) onFull(ctx *engine.Context, key int64, at engine.Time, out engine.Out[result]) error {
	left, _ := h.left.Get(ctx, at)
	right, _ := h.right.Get(ctx, at)
	out.Emit(result{fmt.Sprintf("%d %s: %d %d", key, at, left, right)})
	h.left.Delete(ctx, at)
	h.right.Delete(ctx, at)
	return nil
}

// buckets sums what falls into a bucket of event time in a map, and tells it by a timer.
type buckets struct {
	sums engine.CellMap[engine.Time, int64]
	full engine.Timer
}

func newBuckets(s *engine.Setup) *buckets {
	b := &buckets{sums: engine.NewCellMap[engine.Time, int64](s, "sums")}
	b.full = engine.NewTimer(s, "full", b.onFull)
	return b
}

func bucketOf(at engine.Time) engine.Time { return at - at%engine.Time(bucket) + engine.Time(bucket) }

func (b *buckets) OnRecord(ctx *engine.Context, _ int64, r reading, _ engine.Out[result]) error {
	end := bucketOf(ctx.Time())
	*b.sums.Ref(ctx, end) += r.N
	b.full.Set(ctx, end)
	return nil
}

func (b *buckets) onFull(ctx *engine.Context, key int64, at engine.Time, out engine.Out[result]) error {
	out.Emit(result{fmt.Sprintf("%d %s: %d", key, at, *b.sums.Ref(ctx, at))})
	b.sums.Delete(ctx, at)
	return nil
}

// tally keeps everything that a key has had, in every kind of state, and tells it when the input ends.
type tally struct {
	count engine.Cell[int64]
	all   engine.ListState[int64]
	text  engine.ValueState[string]
	done  engine.Timer
}

func newTally(s *engine.Setup) *tally {
	t := &tally{
		count: engine.NewCell[int64](s, "count"), all: engine.NewListState[int64](s, "all"),
		text: engine.NewValueState[string](s, "text"),
	}
	t.done = engine.NewTimer(s, "done", t.onDone)
	return t
}

func (t *tally) OnRecord(ctx *engine.Context, key int64, r reading, _ engine.Out[result]) error {
	*t.count.Ref(ctx)++
	t.all.Append(ctx, r.N)
	t.text.Set(ctx, fmt.Sprint("key ", key))
	t.done.Set(ctx, engine.TimeOf(readingStart.AddDate(10, 0, 0)))
	return nil
}

func (t *tally) onDone(ctx *engine.Context, _ int64, _ engine.Time, out engine.Out[result]) error {
	text, _ := t.text.Get(ctx)
	sum := int64(0)
	for n := range t.all.All(ctx) {
		sum += n
	}
	out.Emit(result{fmt.Sprintf("%s: %d %d %d", text, *t.count.Ref(ctx), t.all.Len(ctx), sum)})
	return nil
}
