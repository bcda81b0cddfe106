package main

import (
	"context"
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pagetide/pagetide/benchmarks/peers/result"
	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/connect/file"
)

// latencyUsers are the keys of the latency pipelines.
const latencyUsers = 100_000

// total is a record's result: the count of its key, and the number of the record, by which it is known when it was due.
type total struct {
	User, Count uint64
	No          int64
}

// numbered is a click with its number.
type numbered struct {
	click
	No int64
}

// latency measures the time from when a record is due until its result is with the sink, at half of the rate at which the
// pipeline is saturated, with a checkpoint each 100 ms and without any; and beside them how late two loops are that do nothing.
func (b *bench) latency() {
	every := 100 * time.Millisecond
	with := b.timed("latency, 100k keys", "checkpoints each 100 ms", every)
	without := b.timed("latency, 100k keys", "no checkpoints", 0)
	both := []*timedJob{with, without}
	rate := math.Inf(1)
	for _, j := range both {
		j.work.fill()
		rate = min(rate, j.saturate(b.turn)/2)
	}
	b.progress("latency: %.0f records/s are half of what saturates", rate)
	var machine []result.Latency
	for round := range b.rounds + 1 {
		for _, j := range both {
			j.round(b.turn, rate, round > 0)
		}
		machine = append(machine, pollLoops(b.turn, rate))
	}
	for _, j := range both {
		j.work.close()
		b.run.Latencies = append(b.run.Latencies, j.latency(rate))
	}
	alone := medians(machine[1:])
	alone.Pipeline, alone.Name, alone.Rate = with.pipeline, "no engine: two loops that poll", rate
	b.run.Latencies = append(b.run.Latencies, alone)
	l, base := with.latency(rate), without.latency(rate)
	b.result("engine.latency.p50", l.P50, "us")
	b.result("engine.latency.p99", l.P99, "us")
	b.result("engine.latency.p9999", l.P9999, "us")
	b.ratio("engine.latency.p9999_ratio", l.P9999, base.P9999)
	b.result("engine.latency.machine.p99", alone.P99, "us")
	b.result("engine.latency.machine.p9999", alone.P9999, "us")
}

// pollLoops measures how late a loop sees records at a rate that does nothing but look for them, with a second thread as busy
// as it is: what the machine takes from any two threads that do not wait.
func pollLoops(d time.Duration, rate float64) result.Latency {
	var over atomic.Bool
	defer over.Store(true)
	go func() {
		for !over.Load() {
		}
	}()
	var seen histogram
	p := &pace{start: time.Now(), rate: rate}
	for no := int64(0); ; {
		since := time.Since(p.start)
		if since >= d {
			return seen.quantiles()
		}
		for end := int64(since.Seconds() * rate); no < end; no++ {
			seen.add(since - p.due(no))
		}
	}
}

// timedJob is a pipeline that knows when its records were due.
type timedJob struct {
	pipeline, name string
	work           *work[numbered]
	seen           histogram     // until it is settled, the sink's
	shown          atomic.Int64  // results that the sink has seen
	bell           chan struct{} // has an item after each batch of results; capacity 1
	rounds         []result.Latency
}

func (b *bench) timed(pipeline, name string, every time.Duration) *timedJob {
	j := &timedJob{pipeline: pipeline, name: name, bell: make(chan struct{}, 1)}
	j.work = start(b, "latency", numberedClicks(latencyUsers), latencyUsers, every, func(job *engine.Job, in engine.Source[numbered]) {
		engine.To(totals(job, in, 1), "out", engine.SinkFunc(func(_ context.Context, rows []total) error {
			j.see(rows)
			return nil
		}))
	})
	return j
}

func numberedClicks(users int64) *source[numbered] {
	at := clicks(users)
	return newSource(func(i int64) numbered { return numbered{at(i), i} }, 1)
}

// totals counts by key and emits the total of one record out of so many.
func totals(job *engine.Job, in engine.Source[numbered], oneOf int64) engine.Stream[total] {
	byUser := engine.KeyBy(engine.From(job, "clicks", in), func(c numbered) uint64 { return c.User })
	return engine.Process(byUser, "count", func(s *engine.Setup) engine.Func[uint64, numbered, total] {
		n := engine.NewCell[uint64](s, "n")
		return func(ctx *engine.Context, user uint64, c numbered, out engine.Out[total]) error {
			p := n.Ref(ctx)
			*p++
			if c.No%oneOf == 0 {
				out.Emit(total{user, *p, c.No})
			}
			return nil
		}
	})
}

// see notes that results are with the sink now. Those of a turn without a pace are not timed.
func (j *timedJob) see(rows []total) {
	defer ring(j.bell)
	defer j.shown.Add(int64(len(rows)))
	p := j.work.src.gates[0].pace.Load()
	if p == nil {
		return
	}
	since := time.Since(p.start)
	for i := range rows {
		j.seen.add(since - p.due(rows[i].No))
	}
}

// due is when a record is to be there, after the start.
func (p *pace) due(no int64) time.Duration {
	return time.Duration(float64(no-p.first) / p.rate * 1e9)
}

// saturate gives the records per second without a pace.
func (j *timedJob) saturate(d time.Duration) float64 {
	start := time.Now()
	n := j.work.turn(d)
	return float64(n) / time.Since(start).Seconds()
}

// round lets records come at a rate for a while.
func (j *timedJob) round(d time.Duration, rate float64, counts bool) {
	j.settle()
	j.seen.reset()
	j.work.paced(d, rate)
	j.settle()
	if counts {
		j.rounds = append(j.rounds, j.seen.quantiles())
	}
}

// settle waits until the results of all records that were read are with the sink.
func (j *timedJob) settle() {
	for read := j.work.stand(0); j.shown.Load() < read; {
		<-j.bell
	}
}

// ring rings a bell of capacity 1.
func ring(bell chan<- struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}

// paced is a turn at a rate.
func (w *work[T]) paced(d time.Duration, rate float64) {
	g := w.src.gates[0]
	g.open(0)
	first := <-g.parked
	g.pace.Store(&pace{first: first, start: time.Now(), rate: rate})
	g.open(math.MaxInt64)
	time.Sleep(d)
	w.stand(0)
}

// latency gives the medians over the rounds.
func (j *timedJob) latency(rate float64) result.Latency {
	l := medians(j.rounds)
	l.Pipeline, l.Name, l.Rate = j.pipeline, j.name, rate
	return l
}

func medians(rounds []result.Latency) result.Latency {
	of := func(f func(result.Latency) float64) float64 {
		var x []float64
		for _, r := range rounds {
			x = append(x, f(r))
		}
		return median(x)
	}
	l := result.Latency{
		P50:   of(func(l result.Latency) float64 { return l.P50 }),
		P99:   of(func(l result.Latency) float64 { return l.P99 }),
		P9999: of(func(l result.Latency) float64 { return l.P9999 }),
		Most:  of(func(l result.Latency) float64 { return l.Most }),
	}
	for _, r := range rounds {
		l.Records += r.Records
	}
	return l
}

// transactional measures the time until a result is visible in a committed file, with a checkpoint each 50 ms: one of 100
// totals is written.
func (b *bench) transactional() {
	const oneOf = 100
	j := &timedJob{pipeline: "latency through a transactional file sink, 100k keys", name: "checkpoints each 50 ms"}
	dir := b.folder + "/transactional"
	sink := &visible{Sink: file.JSONLinesSink[total](dir), job: j, bell: make(chan struct{}, 1), open: map[string][]int64{}}
	j.work = start(b, "transactional", numberedClicks(latencyUsers), latencyUsers, 50*time.Millisecond, func(job *engine.Job, in engine.Source[numbered]) {
		engine.To(totals(job, in, oneOf), "out", engine.Sink[total](sink))
	})
	j.work.fill()
	rate := j.saturate(b.turn) / 2
	for round := range b.rounds + 1 {
		sink.drain()
		j.seen.reset()
		j.work.paced(b.turn, rate)
		sink.drain()
		if round > 0 {
			j.rounds = append(j.rounds, j.seen.quantiles())
		}
	}
	j.work.close()
	l := j.latency(rate)
	b.run.Latencies = append(b.run.Latencies, l)
	b.result("engine.latency.transactional.p50", l.P50/1000, "ms")
	b.result("engine.latency.transactional.p99", l.P99/1000, "ms")
}

// visible is a sink that knows what becomes visible when.
type visible struct {
	engine.Sink[total]
	job  *timedJob
	bell chan struct{} // has an item after each commit; capacity 1
	mu   sync.Mutex
	open map[string][]int64 // guarded by mu: numbers of the records of transactions that are not committed
}

// drain waits until all that was written is visible.
func (v *visible) drain() {
	v.job.work.stand(0)
	_, err := v.job.work.running.Checkpoint(context.Background())
	check(err)
	for v.waits() {
		<-v.bell
	}
}

// waits says whether something that was prepared is not visible yet.
func (v *visible) waits() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.open) > 0
}

func (v *visible) Open(ctx context.Context, t engine.Task) (engine.Writer[total], error) {
	w, err := v.Sink.Open(ctx, t)
	return &visibleWriter{Writer: w, sink: v}, err
}

func (v *visible) Commit(ctx context.Context, txn engine.Txn) error {
	if err := v.Sink.Commit(ctx, txn); err != nil {
		return err
	}
	defer ring(v.bell)
	v.mu.Lock()
	defer v.mu.Unlock()
	p := v.job.work.src.gates[0].pace.Load()
	if p != nil {
		since := time.Since(p.start)
		for _, no := range v.open[string(txn)] {
			v.job.seen.add(since - p.due(no))
		}
	}
	delete(v.open, string(txn))
	return nil
}

type visibleWriter struct {
	engine.Writer[total]
	sink    *visible
	written []int64
}

func (w *visibleWriter) Write(ctx context.Context, rows []total) error {
	for i := range rows {
		w.written = append(w.written, rows[i].No)
	}
	return w.Writer.Write(ctx, rows)
}

func (w *visibleWriter) Prepare(ctx context.Context, checkpoint uint64) (engine.Txn, error) {
	txn, err := w.Writer.Prepare(ctx, checkpoint)
	if err == nil && txn != nil {
		w.sink.mu.Lock()
		w.sink.open[string(txn)] = w.written
		w.sink.mu.Unlock()
		w.written = nil
	}
	return txn, err
}

// histogram counts durations in buckets that are at most 1/64 of their value wide.
type histogram struct {
	buckets [64 * 64]int64
	n       int64
	most    time.Duration
}

func (h *histogram) reset() { *h = histogram{} }

func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	h.most = max(h.most, d)
	h.n++
	h.buckets[bucket(uint64(d))]++
}

// bucket keeps the seven highest bits.
func bucket(x uint64) int {
	shift := max(bits.Len64(x)-7, 0)
	return shift<<6 + int(x>>shift)
}

// least is the smallest value of the bucket after i.
func least(i int) float64 {
	i++
	if i < 128 {
		return float64(i)
	}
	shift := i>>6 - 1
	return math.Ldexp(float64(i-shift<<6), shift)
}

// quantile is the upper end of the bucket in which it falls, in microseconds.
func (h *histogram) quantile(q float64) float64 {
	left := int64(math.Ceil(q * float64(h.n)))
	for i, n := range h.buckets {
		if left -= n; left <= 0 {
			return min(least(i), float64(h.most)) / 1000
		}
	}
	return float64(h.most) / 1000
}

func (h *histogram) quantiles() result.Latency {
	return result.Latency{P50: h.quantile(0.5), P99: h.quantile(0.99), P9999: h.quantile(0.9999), Most: float64(h.most) / 1000, Records: h.n}
}
