package engine_test

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/enginetest"
	"github.com/pagetide/pagetide/mmapstate"
	"github.com/pagetide/pagetide/snapshotter"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// modelWindow is a window as a naive program keeps it: with all its records.
type modelWindow struct {
	key    string
	span   engine.Span
	events []event
	fired  bool
	due    engine.Time // when it gives an early result; 0: not
}

func (w *modelWindow) row(m *windowModel) string {
	if m.pane > 0 {
		slices.SortStableFunc(w.events, func(a, b event) int {
			return cmp.Compare((engine.TimeOf(a.At)-m.offset)/m.pane, (engine.TimeOf(b.At)-m.offset)/m.pane)
		})
	}
	if m.sorted {
		slices.SortFunc(w.events, func(a, b event) int { return cmp.Compare(a.N, b.N) })
	}
	if m.all {
		return rowOfAll(w.key, w.span, slices.Values(w.events))
	}
	var a listed
	for _, e := range w.events {
		listing{}.Add(&a, e)
	}
	return listing{}.Result(w.key, w.span, a)
}

// inOrder gives the records as they are, or in order of their numbers.
func (m *windowModel) inOrder(recs iter.Seq[event]) iter.Seq[event] {
	if !m.sorted {
		return recs
	}
	return slices.Values(slices.SortedFunc(recs, func(a, b event) int { return cmp.Compare(a.N, b.N) }))
}

// rowOfAll shows the records of a window in their order.
func rowOfAll(key string, w engine.Span, recs iter.Seq[event]) string {
	row := fmt.Sprint(key, " ", w)
	for e := range recs {
		row += fmt.Sprint(" ", e.N, "@", engine.TimeOf(e.At)%1e12)
	}
	return row
}

// flatEvent is an event without its key, that lies in a page as it is.
type flatEvent struct {
	Key uint16
	N   int64
	At  engine.Time
}

func flattened(e event) flatEvent {
	f := flatEvent{N: e.N, At: engine.TimeOf(e.At)}
	fmt.Sscanf(e.Key, "k%d", &f.Key)
	return f
}

func (f flatEvent) event() event {
	return event{Key: fmt.Sprint("k", f.Key), N: f.N, At: f.At.UTC()}
}

// windowModel does what a window operator does, with lists and loops.
type windowModel struct {
	size, slide engine.Time             // of tumbling and sliding windows
	offset      engine.Time             // of those
	gap         func(event) engine.Time // of sessions
	count       int                     // of count windows
	pane        engine.Time             // of sliding windows, whose records come by panes
	all         bool                    // results show all records, in order
	sorted      bool                    // of their numbers
	lateness    engine.Time
	every       engine.Time // of early results; 0: there are none
	clock       bool        // in processing time
	now         engine.Time
	watermark   engine.Time
	join        engine.JoinKind // of even and odd numbers, if not 0
	open        []*modelWindow  // in order of their creation
	rows        []string
	late        int64
}

func (m *windowModel) dead(w engine.Span) bool { return w.End+m.lateness-1 <= m.watermark }

func (m *windowModel) results(w *modelWindow) []string {
	if m.join != 0 {
		return joinRows(w, m.join)
	}
	return []string{w.row(m)}
}

func (m *windowModel) fire(w *modelWindow) {
	m.rows = append(m.rows, m.results(w)...)
	w.fired, w.due = true, 0
}

// tick lets the clock reach a time.
func (m *windowModel) tick(now engine.Time) {
	if m.now = now; m.clock {
		m.advance(now - 1)
	}
	for _, w := range m.open {
		if w.due != 0 && w.due <= now {
			m.rows, w.due = append(m.rows, m.results(w)...), 0
		}
	}
}

// time is that of a record.
func (m *windowModel) time(e event) engine.Time {
	if m.clock {
		return m.now
	}
	return engine.TimeOf(e.At)
}

func (m *windowModel) record(e event) {
	var of []*modelWindow
	switch {
	case m.count > 0:
		of = m.counted(e)
	case m.gap != nil:
		of = m.session(e)
	default:
		of = m.tiles(e)
	}
	if len(of) == 0 {
		m.late++
	}
	for _, w := range of {
		w.events = append(w.events, e)
		switch {
		case m.count > 0 && len(w.events) == m.count:
			m.fire(w)
			m.open = slices.DeleteFunc(m.open, func(other *modelWindow) bool { return other == w })
		case m.count == 0 && w.span.End-1 <= m.watermark:
			m.fire(w)
		case m.every > 0:
			w.due = m.now - m.now%m.every + m.every
		}
	}
}

// counted is the window of the record's key, which it makes longer.
func (m *windowModel) counted(e event) []*modelWindow {
	at := engine.TimeOf(e.At)
	i := slices.IndexFunc(m.open, func(w *modelWindow) bool { return w.key == e.Key })
	if i < 0 {
		i = len(m.open)
		m.open = append(m.open, &modelWindow{key: e.Key, span: engine.Span{Start: at, End: at + 1}})
	}
	w := m.open[i]
	w.span = engine.Span{Start: min(w.span.Start, at), End: max(w.span.End, at+1)}
	return m.open[i : i+1 : i+1]
}

func (m *windowModel) tiles(e event) (of []*modelWindow) {
	at := m.time(e)
	for start := at - ((at-m.offset)%m.slide+m.slide)%m.slide; start > at-m.size; start -= m.slide {
		span := engine.Span{Start: start, End: start + m.size}
		if m.dead(span) {
			continue
		}
		i := slices.IndexFunc(m.open, func(w *modelWindow) bool { return w.key == e.Key && w.span == span })
		if i < 0 {
			i = len(m.open)
			m.open = append(m.open, &modelWindow{key: e.Key, span: span})
		}
		of = append(of, m.open[i])
	}
	return of
}

func (m *windowModel) session(e event) []*modelWindow {
	at := m.time(e)
	one := &modelWindow{key: e.Key, span: engine.Span{Start: at, End: at + m.gap(e)}}
	var rest, overlap []*modelWindow
	for _, w := range m.open {
		if w.key == e.Key && w.span.Start < one.span.End && one.span.Start < w.span.End {
			overlap = append(overlap, w)
		} else {
			rest = append(rest, w)
		}
	}
	slices.SortFunc(overlap, func(a, b *modelWindow) int { return int(a.span.Start - b.span.Start) })
	own := one.span
	for _, w := range overlap {
		one.span.Start, one.span.End = min(one.span.Start, w.span.Start), max(one.span.End, w.span.End)
		one.events = append(one.events, w.events...)
	}
	if len(overlap) == 0 && m.dead(own) {
		return nil
	}
	m.open = append(rest, one)
	return []*modelWindow{one}
}

// advance moves time on, which count windows do not mind before its end.
func (m *windowModel) advance(to engine.Time) {
	if m.count > 0 && to < engine.MaxTime {
		return
	}
	m.watermark = to
	for _, w := range m.open {
		if !w.fired && w.span.End-1 <= to {
			m.fire(w)
		} else if w.span.End-1 > to {
			w.fired = false // a session that a late record has prolonged
		}
	}
	m.open = slices.DeleteFunc(m.open, func(w *modelWindow) bool { return w.span.End+m.lateness-1 <= to })
}

// windowCase is a kind of window with its model.
type windowCase struct {
	name   string
	flat   bool // keys and records lie in pages as they are
	assign engine.Assigner
	model  windowModel
	opts   []engine.WindowOption
	base   time.Duration // of event times, after t0
	behind time.Duration // records come so much later than they might
}

// randomWindow chooses a kind of window, with lateness or without.
func randomWindow(rnd *rand.Rand) windowCase {
	slide := time.Duration(1+rnd.IntN(5)) * time.Second
	size := slide * time.Duration(1+rnd.IntN(8))
	if rnd.IntN(2) == 0 {
		size += time.Duration(rnd.IntN(int(slide/time.Second))) * time.Second
	}
	c := tiles(size, slide)
	switch rnd.IntN(4) {
	case 0:
		c = windowCase{assign: engine.Tumbling(size), model: windowModel{size: engine.Time(size), slide: engine.Time(size)}}
	case 2:
		c = windowCase{assign: engine.Session(slide), model: windowModel{gap: func(event) engine.Time { return engine.Time(slide) }}}
	case 3:
		gap := func(e event) time.Duration { return time.Duration(1+e.N%7) * time.Second }
		c = windowCase{assign: engine.SessionBy(gap), model: windowModel{gap: func(e event) engine.Time { return engine.Time(gap(e)) }}}
	}
	if step := int(c.model.slide / engine.Time(time.Second)); step > 0 && rnd.IntN(3) == 0 {
		offset := time.Duration(rnd.IntN(2*step-1)-step+1) * time.Second
		c.assign, c.model.offset = c.assign.Offset(offset), engine.Time(offset)
	}
	c.rules(rnd)
	c.flat = rnd.IntN(2) == 0
	c.model.all = rnd.IntN(2) == 0
	c.name = fmt.Sprintf("%s, %s late, every %s, all %t, flat %t", c.assign, time.Duration(c.model.lateness), time.Duration(c.model.every), c.model.all, c.flat)
	return c
}

// tiles are sliding windows.
func tiles(size, slide time.Duration) windowCase {
	c := windowCase{assign: engine.Sliding(size, slide), model: windowModel{size: engine.Time(size), slide: engine.Time(slide)}}
	c.model.pane = engine.Time(slide)
	for rest := engine.Time(size); rest > 0; c.model.pane, rest = rest, c.model.pane%rest {
	}
	return c
}

// rules draws lateness and early results.
func (c *windowCase) rules(rnd *rand.Rand) {
	if lateness := time.Duration(rnd.IntN(20)) * time.Second; rnd.IntN(3) > 0 {
		c.opts = append(c.opts, engine.AllowedLateness(lateness))
		c.model.lateness = engine.Time(lateness)
	}
	if every := time.Duration(1+rnd.IntN(4)) * time.Second; rnd.IntN(3) == 0 {
		c.opts = append(c.opts, engine.FireEvery(every))
		c.model.every = engine.Time(every)
	}
	c.model.watermark = engine.MinTime
}

// build puts the window behind a stream.
func (c windowCase) build(src engine.Stream[event]) engine.Stream[string] {
	switch {
	case c.model.all && c.flat && !strings.HasPrefix(c.assign.String(), "session by record"):
		byKey := engine.KeyBy(engine.Map(src, flattened), func(f flatEvent) uint16 { return f.Key })
		return engine.ProcessWindow(engine.Window(byKey, c.assign, c.opts...), "windows",
			func(ctx *engine.Context, key uint16, w engine.Span, recs iter.Seq[flatEvent], out engine.Out[string]) error {
				out.Emit(rowOfAll(fmt.Sprint("k", key), w, c.model.inOrder(func(yield func(event) bool) {
					for f := range recs {
						if !yield(f.event()) {
							return
						}
					}
				})))
				return nil
			})
	case c.model.all:
		byKey := engine.KeyBy(src, func(e event) string { return e.Key })
		return engine.ProcessWindow(engine.Window(byKey, c.assign, c.opts...), "windows",
			func(ctx *engine.Context, key string, w engine.Span, recs iter.Seq[event], out engine.Out[string]) error {
				out.Emit(rowOfAll(key, w, c.model.inOrder(recs)))
				return nil
			})
	}
	byKey := engine.KeyBy(src, func(e event) string { return e.Key })
	return engine.Aggregate(engine.Window(byKey, c.assign, c.opts...), "windows", listing{})
}

// ages feeds batches of one age each: within a batch time stands still, so what a window takes is certain. It returns
// when all is as the model says it must be.
func ages(rnd *rand.Rand, in *feed[event], m *windowModel) {
	newest := engine.MinTime
	for range 20 {
		base := t0.Add(time.Duration(rnd.IntN(120)) * time.Second)
		for range 256 {
			e := event{Key: fmt.Sprint("k", rnd.IntN(40)), N: int64(rnd.IntN(1000)), At: base.Add(time.Duration(rnd.IntN(3000)) * time.Millisecond)}
			in.recs[0] = append(in.recs[0], e)
			m.record(e)
			newest = max(newest, engine.TimeOf(e.At))
		}
		m.advance(newest - 1)
	}
	m.advance(engine.MaxTime)
	slices.Sort(m.rows)
	in.ended = true
}

// TestWindowsAsTheModel compares every kind of window with a naive one, record by record, on input that is late for some.
func TestWindowsAsTheModel(t *testing.T) {
	for seed := range seeds(300, 20) {
		rnd := rand.New(rand.NewPCG(seed, 31))
		c := randomWindow(rnd)
		in, rows := newFeed[event](1), newLog()
		ages(rnd, in, &c.model)
		job := engine.NewJob("model")
		src := engine.From[event](job, "in", in, engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(0)))
		engine.To(c.build(src), "out", rows)
		r := start(t, job, engine.Options{Clock: enginetest.NewClock(t0)})
		if err := r.Wait(); err != nil {
			t.Fatalf("seed %d, %s: %v", seed, c.name, err)
		}
		if got := rows.rows(); !slices.Equal(got, c.model.rows) || r.Stats().Late != c.model.late {
			t.Fatalf("seed %d, %s: %d late, want %d; %d results, want %d: %s", seed, c.name, r.Stats().Late, c.model.late,
				len(got), len(c.model.rows), firstDifference(got, c.model.rows))
		}
	}
}

// TestWindowsByTheClock drives windows in event and in processing time, with early results, by steps, and compares them
// with the model.
func TestWindowsByTheClock(t *testing.T) {
	for seed := range seeds(150, 12) {
		rnd := rand.New(rand.NewPCG(seed, 37))
		c := randomWindow(rnd)
		if c.model.lateness == 0 && rnd.IntN(2) == 0 {
			c.assign, c.model.clock = c.assign.InProcessingTime(), true
		}
		c.model.pane, c.model.sorted = 0, true
		h := enginetest.Operator(t, c.build)
		push := func(e event) { h.Push(e.At, e) }
		if fault := c.bySteps(rnd, h, push, func(p int) { h.Rescale(p) }); fault != nil {
			t.Fatalf("seed %d, %v", seed, fault)
		}
	}
}

// stepped is a harness, of one input or two.
type stepped interface {
	Now() time.Time
	Watermark(time.Time)
	Advance(time.Duration)
	End()
	Out() []string
}

// bySteps does the same to a harness and to the model, some records late, and compares what comes out.
func (c *windowCase) bySteps(rnd *rand.Rand, h stepped, push func(event), rescale func(int)) error {
	m, mark := &c.model, t0.Add(c.base)
	for n := range int64(100) {
		m.now = engine.TimeOf(h.Now())
		switch p := rnd.IntN(20); {
		case p < 13:
			e := event{Key: fmt.Sprint("k", rnd.IntN(3)), N: n, At: mark.Add(time.Duration(rnd.IntN(9000)-2500)*time.Millisecond - c.behind)}
			push(e)
			m.record(e)
		case p < 16:
			step := time.Duration(rnd.IntN(5000)) * time.Millisecond
			if rnd.IntN(12) == 0 {
				step *= 40 // all that was is over
			}
			mark = mark.Add(step)
			if h.Watermark(mark); !m.clock {
				m.advance(engine.TimeOf(mark))
			}
		case p < 19:
			h.Advance(time.Duration(rnd.IntN(4000)) * time.Millisecond)
			m.tick(engine.TimeOf(h.Now()))
		default:
			rescale(1 + rnd.IntN(3))
		}
	}
	h.End()
	m.advance(engine.MaxTime)
	got := slices.Sorted(slices.Values(h.Out()))
	if slices.Sort(m.rows); !slices.Equal(got, m.rows) {
		return fmt.Errorf("%s: %d results, want %d: %s", c.name, len(got), len(m.rows), firstDifference(got, m.rows))
	}
	return nil
}

// TestRandomWindows has records, sinks and storage fail and the job stopped and resumed at other parallelisms. What is
// committed is what the model makes of the same input, which is late for nothing.
func TestRandomWindows(t *testing.T) {
	eachSeed(t, 120, 20, randomWindows)
}

func randomWindows(t *testing.T, seed uint64) error {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 32))
	d := &dice{rnd: rand.New(rand.NewPCG(seed, 33))}
	c := randomWindow(rnd)
	c.model.sorted = true
	if c.model.every > 0 {
		c.opts = append(c.opts, engine.FireEvery(time.Millisecond))
	}
	in, all := randomEvents(rnd, 2000)
	for _, e := range all {
		c.model.record(e)
	}
	c.model.advance(engine.MaxTime)
	slices.Sort(c.model.rows)
	rows := newLog()
	build := func() *engine.Job {
		job := engine.NewJob("windows")
		src := engine.From[event](job, "in", in, engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(time.Minute)))
		engine.To(c.build(flaky(src, d)), "out", flakyLog(d, rows))
		return job
	}
	if err := endure(t, rnd, vfs.NewFault(vfs.NewMem()), build); err != nil {
		return err
	}
	got := rows.rows()
	if c.model.every > 0 { // by the machine's clock, which may come often or not at all
		got = among(got, c.model.rows)
	}
	if !slices.Equal(got, c.model.rows) {
		return fmt.Errorf("%s: %d windows, want %d: %s", c.name, len(got), len(c.model.rows), firstDifference(got, c.model.rows))
	}
	return nil
}

// among leaves of some rows those that are wanted, once each. Both are in order.
func among(rows, want []string) []string {
	return slices.Compact(slices.DeleteFunc(slices.Clone(rows), func(r string) bool {
		_, ok := slices.BinarySearch(want, r)
		return !ok
	}))
}

// TestRandomWindowsByTheClock has a job endure the same with windows in processing time. Which windows there are is up to
// the machine; that each record is in as many as it should is not.
func TestRandomWindowsByTheClock(t *testing.T) {
	for seed := range seeds(40, 10) {
		rnd := rand.New(rand.NewPCG(seed, 38))
		d := &dice{rnd: rand.New(rand.NewPCG(seed, 39))}
		in, all := randomEvents(rnd, 2000)
		rows, each := newLog(), 1
		a := []engine.Assigner{
			engine.Tumbling(time.Millisecond), engine.Session(time.Microsecond), engine.Session(time.Hour), engine.Sliding(3*time.Millisecond, time.Millisecond),
			engine.SessionBy(func(e event) time.Duration { return time.Duration(1+e.N%7) * time.Microsecond }),
		}[rnd.IntN(5)]
		if strings.HasPrefix(a.String(), "sliding") {
			each = 3 // windows of a record
		}
		build := func() *engine.Job {
			job := engine.NewJob("windows")
			byKey := engine.KeyBy(flaky(engine.From[event](job, "in", in), d), ofKey)
			engine.To(engine.ProcessWindow(engine.Window(byKey, a.InProcessingTime()), "windows", numbersOf), "out", flakyLog(d, rows))
			return job
		}
		if err := endure(t, rnd, vfs.NewFault(vfs.NewMem()), build); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if err := wantRows(a.String(), rows.rows(), numberRows(all, each)); err != nil {
			t.Fatalf("seed %d, %v", seed, err)
		}
	}
	noneLeft(t)
}

// TestCountWindowsByTheClock has windows of so many records give early results.
func TestCountWindowsByTheClock(t *testing.T) {
	for seed := range seeds(30, 8) {
		rnd := rand.New(rand.NewPCG(seed, 40))
		n, every := 1+rnd.IntN(8), time.Duration(1+rnd.IntN(4))*time.Second
		c := windowCase{assign: engine.Count(n), flat: rnd.IntN(2) == 0, model: windowModel{count: n, all: rnd.IntN(2) == 0}}
		if c.name = fmt.Sprintf("%s, all %t, flat %t", c.assign, c.model.all, c.flat); rnd.IntN(4) > 0 {
			c.opts, c.model.every = []engine.WindowOption{engine.FireEvery(every)}, engine.Time(every)
		}
		h := enginetest.Operator(t, c.build)
		if fault := c.bySteps(rnd, h, func(e event) { h.Push(e.At, e) }, func(p int) { h.Rescale(p) }); fault != nil {
			t.Fatalf("seed %d, %v", seed, fault)
		}
	}
}

// TestOverdueWindowsFire resumes a job when the ends of its windows have passed by the clock.
func TestOverdueWindowsFire(t *testing.T) {
	clock, in, rows, dir := enginetest.NewClock(t0), newFeed[event](1), newLog(), t.TempDir()
	build := func() *engine.Job {
		job := engine.NewJob("overdue")
		byKey := engine.KeyBy(engine.From[event](job, "in", in), func(e event) string { return e.Key })
		engine.To(engine.Aggregate(engine.Window(byKey, engine.Tumbling(time.Hour).InProcessingTime()), "hours", listing{}), "out", rows)
		return job
	}
	o := engine.Options{Clock: clock, Checkpoints: engine.Checkpoints{Dir: dir}, Restore: engine.Resume()}
	r := start(t, build(), o)
	in.add(0, event{Key: "a", N: 1}, event{Key: "b", N: 2})
	took(t, r, 2)
	if _, err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	clock.Advance(5 * time.Hour)
	r = start(t, build(), o)
	if _, err := r.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := engine.Span{Start: engine.TimeOf(t0), End: engine.TimeOf(t0.Add(time.Hour))}
	equal(t, rows.rows(), []string{listing{}.Result("a", w, listed{1, 1, 1, 1}), listing{}.Result("b", w, listed{1, 2, 2, 2})})
}

// flaky fails a record now and then.
func flaky[T any](in engine.Stream[T], d *dice) engine.Stream[T] {
	return engine.FlatMap(in, func(e T, out engine.Out[T]) error {
		if d.oneIn(1500) {
			return errors.New("injected")
		}
		out.Emit(e)
		return nil
	})
}

// TestRandomCountWindows is TestRandomWindows for windows of so many records, which depend on their order: one split.
func TestRandomCountWindows(t *testing.T) {
	for seed := range seeds(40, 10) {
		rnd := rand.New(rand.NewPCG(seed, 34))
		d := &dice{rnd: rand.New(rand.NewPCG(seed, 35))}
		n, all := 1+rnd.IntN(20), rnd.IntN(2) == 0
		_, recs := randomEvents(rnd, 2000)
		c := windowCase{assign: engine.Count(n), model: windowModel{all: all}, flat: rnd.IntN(2) == 0}
		in, rows := newFeed[event](1), newLog()
		in.recs[0], in.ended = recs, true
		build := func() *engine.Job {
			job := engine.NewJob("counts")
			src := engine.From[event](job, "in", in, engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(time.Minute)))
			engine.To(c.build(flaky(src, d)), "out", flakyLog(d, rows))
			return job
		}
		if err := endure(t, rnd, vfs.NewFault(vfs.NewMem()), build); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if want := countRows(recs, n, &c.model); !slices.Equal(rows.rows(), want) {
			t.Fatalf("seed %d, %d each: %s", seed, n, firstDifference(rows.rows(), want))
		}
	}
	noneLeft(t)
}

func countRows(recs []event, n int, m *windowModel) (rows []string) {
	open := map[string]*modelWindow{}
	for _, e := range recs {
		w := open[e.Key]
		if w == nil {
			w = &modelWindow{key: e.Key, span: engine.Span{Start: engine.MaxTime, End: engine.MinTime}}
			open[e.Key] = w
		}
		w.span.Start, w.span.End = min(w.span.Start, engine.TimeOf(e.At)), max(w.span.End, engine.TimeOf(e.At)+1)
		if w.events = append(w.events, e); len(w.events) == n {
			rows = append(rows, w.row(m))
			delete(open, e.Key)
		}
	}
	for _, w := range open {
		rows = append(rows, w.row(m))
	}
	slices.Sort(rows)
	return rows
}

// TestWindowsLeaveNothing looks at the state when all windows but one are over: it is that of the one.
func TestWindowsLeaveNothing(t *testing.T) {
	for seed := range seeds(40, 12) {
		rnd := rand.New(rand.NewPCG(seed, 36))
		c := randomWindow(rnd)
		in, dir := newFeed[event](1), t.TempDir()
		ages(rnd, in, &c.model)
		in.ended = false
		job := engine.NewJob("leaves")
		src := engine.From[event](job, "in", in, engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(0)))
		engine.To(c.build(src), "out", newLog())
		clock := enginetest.NewClock(t0)
		r := start(t, job, engine.Options{Clock: clock, Checkpoints: engine.Checkpoints{Dir: dir}})
		took(t, r, len(in.recs[0]))
		for day := range 2 {
			clock.Advance(time.Minute)
			in.add(0, event{Key: "k1", N: 1, At: t0.AddDate(0, 0, 1+day)})
			took(t, r, len(in.recs[0]))
		}
		last, err := r.Stop(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		left, woken := entriesOf(t, last.Path), 0
		if c.model.every > 0 {
			c.model.watermark = engine.MinTime
			c.model.record(in.recs[0][len(in.recs[0])-1])
			woken = len(c.model.open)
		}
		slides := c.model.slide > 0 && c.model.slide < c.model.size && !c.model.all
		if slides {
			woken = min(woken, 1) // one entry of its key for all windows
		}
		for state, n := range left {
			want := map[string]uint64{"woken": uint64(woken), "ends": 1, "slots": 1, "newest": 1, "elements": 1, "panes": 1, "accumulators": 1, "fresh": 2 * uint64(woken)}[state]
			if n != want {
				t.Errorf("seed %d, %s: %d entries in %s, want %d: %v", seed, c.name, n, state, want, left)
			}
		}
	}
}

// took returns when a job has worked off so many records.
func took(t *testing.T, r *engine.Running, n int) {
	t.Helper()
	for r.Stats().RecordsIn < int64(n) {
		if _, err := r.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// entriesOf counts the entries of every state of a checkpoint.
func entriesOf(t *testing.T, path string) map[string]uint64 {
	t.Helper()
	cp, err := snapshotter.Load(path, snapshotter.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer cp.Close()
	n := map[string]uint64{}
	for _, o := range cp.Meta.Operators {
		v, err := mmapstate.OpenView(cp, o.No)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range v.States() {
			n[s.Name] = s.Entries
			for _, err := range s.All(t.Context(), nil) {
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return n
}
