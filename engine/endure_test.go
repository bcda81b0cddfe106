package engine_test

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

func timeOf(e event) time.Time { return e.At }

// timed reads random events, of which some fail now and then.
func timed(job *engine.Job, uid string, in engine.Source[event], d *dice) engine.Stream[event] {
	return flaky(engine.From(job, uid, in, engine.EventTime(timeOf, engine.OutOfOrder(time.Minute))), d)
}

func wantRows(what string, got, want []string) error {
	if slices.Sort(want); !slices.Equal(got, want) {
		return fmt.Errorf("%s: %d rows, want %d: %s", what, len(got), len(want), firstDifference(append(got, ""), want))
	}
	return nil
}

// twoSided sums up the minutes of two inputs in states of its own for each, and tells of odd numbers on the side.
type twoSided struct {
	lefts  engine.MapState[engine.Time, int64]
	rights engine.CellMap[engine.Time, int64]
	key    engine.ValueState[string]
	odd    engine.Out[string]
	end    engine.Timer
}

const oddOnes engine.Side[string] = "odd"

func newTwoSided(s *engine.Setup) *twoSided {
	p := &twoSided{lefts: engine.NewMapState[engine.Time, int64](s, "lefts"), rights: engine.NewCellMap[engine.Time, int64](s, "rights")}
	p.key, p.odd = engine.NewValueState[string](s, "key"), engine.NewSide(s, oddOnes)
	p.end = engine.NewTimer(s, "end", p.onEnd)
	return p
}

func endOfMinute(at engine.Time) engine.Time {
	return at - at%engine.Time(time.Minute) + engine.Time(time.Minute)
}

func (p *twoSided) OnLeft(ctx *engine.Context, key string, e event, _ engine.Out[string]) error {
	sum, _ := p.lefts.Get(ctx, endOfMinute(ctx.Time()))
	p.lefts.Put(ctx, endOfMinute(ctx.Time()), sum+e.N)
	return p.onAny(ctx, key, "left", e)
}

func (p *twoSided) OnRight(ctx *engine.Context, key string, e event, _ engine.Out[string]) error {
	*p.rights.Ref(ctx, endOfMinute(ctx.Time())) += e.N
	return p.onAny(ctx, key, "right", e)
}

func (p *twoSided) onAny(ctx *engine.Context, key, side string, e event) error {
	if p.key.Set(ctx, key); e.N%2 != 0 {
		p.odd.Emit(fmt.Sprint(side, " ", e.N))
	}
	p.end.Set(ctx, endOfMinute(ctx.Time()))
	return nil
}

func (p *twoSided) onEnd(ctx *engine.Context, _ string, at engine.Time, out engine.Out[string]) error {
	key, _ := p.key.Get(ctx)
	left, _ := p.lefts.Get(ctx, at)
	right, _ := p.rights.Get(ctx, at)
	out.Emit(fmt.Sprintf("%s %s: %d %d", key, at, left, right))
	p.lefts.Delete(ctx, at)
	p.rights.Delete(ctx, at)
	return nil
}

// wantTwoSided are the rows and the side output that a batch makes.
func wantTwoSided(lefts, rights []event) (rows, odd []string) {
	type minute struct {
		key string
		end engine.Time
	}
	sums := map[minute][2]int64{}
	for side, events := range [][]event{lefts, rights} {
		for _, e := range events {
			m := minute{e.Key, endOfMinute(engine.TimeOf(e.At))}
			s := sums[m]
			s[side] += e.N
			if sums[m] = s; e.N%2 != 0 {
				odd = append(odd, fmt.Sprint([]string{"left", "right"}[side], " ", e.N))
			}
		}
	}
	for m, s := range sums {
		rows = append(rows, fmt.Sprintf("%s %s: %d %d", m.key, m.end, s[0], s[1]))
	}
	return rows, odd
}

// TestRandomProcess2 has two inputs, of which one is a union of filters and maps, and a side output, while records, sinks and
// storage fail and the job is stopped, killed and resumed at other parallelisms.
func TestRandomProcess2(t *testing.T) {
	eachSeed(t, 30, 8, randomProcess2)
}

func randomProcess2(t *testing.T, seed uint64) error {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 71))
	d := &dice{rnd: rand.New(rand.NewPCG(seed, 72))}
	a, as := randomEvents(rnd, 700)
	b, bs := randomEvents(rnd, 700)
	c, rights := randomEvents(rnd, 700)
	out, odd := newLog(), newLog()
	build := func() *engine.Job {
		job := engine.NewJob("two")
		src := timed(job, "a", a, d)
		third := func(rest int64) engine.Stream[event] {
			return engine.Filter(src, func(e event) bool { return e.N%3 == rest })
		}
		same := engine.Map(third(2), func(e event) event { return e })
		lefts := engine.Union(third(0), third(1), same, timed(job, "b", b, d))
		both := engine.Process2(engine.KeyBy(lefts, ofKey), engine.KeyBy(timed(job, "c", c, d), ofKey), "both", newTwoSided)
		engine.To(both, "out", flakyLog(d, out))
		engine.To(engine.SideOutput(both, oddOnes), "odd", flakyLog(d, odd))
		return job
	}
	if err := endure(t, rnd, vfs.NewFault(vfs.NewMem()), build); err != nil {
		return err
	}
	rows, odds := wantTwoSided(slices.Concat(as, bs), rights)
	if err := wantRows("minutes", out.rows(), rows); err != nil {
		return err
	}
	return wantRows("odd ones", odd.rows(), odds)
}

// TestRandomLate has windows over input that is late for some: each record is in a window, or late, and in nothing twice.
func TestRandomLate(t *testing.T) {
	var late int
	eachSeed(t, 20, 6, func(t *testing.T, seed uint64) error {
		rnd := rand.New(rand.NewPCG(seed, 73))
		d := &dice{rnd: rand.New(rand.NewPCG(seed, 74))}
		in, all := randomEvents(rnd, 1500)
		a := []engine.Assigner{engine.Tumbling(10 * time.Second), engine.Session(time.Second), engine.SessionBy(gapOfEvent)}[rnd.IntN(3)]
		taken, lates := newLog(), newLog()
		build := func() *engine.Job {
			job := engine.NewJob("late")
			src := flaky(engine.From(job, "in", in, engine.EventTime(timeOf, engine.OutOfOrder(0))), d)
			w := engine.Window(engine.KeyBy(src, ofKey), a)
			engine.To(engine.ProcessWindow(w, "windows", numbersOf), "taken", flakyLog(d, taken))
			engine.To(engine.Map(w.Late(), numberOf), "late", flakyLog(d, lates))
			return job
		}
		if err := endure(t, rnd, vfs.NewFault(vfs.NewMem()), build); err != nil {
			return err
		}
		late += len(lates.rows())
		return wantRows(a.String(), slices.Sorted(slices.Values(slices.Concat(taken.rows(), lates.rows()))), numberRows(all, 1))
	})
	if late == 0 {
		t.Error("nothing was late")
	}
}

// numberOf is a row for a record, numbersOf those for all of a window.
func numberOf(e event) string { return fmt.Sprint(e.Key, " ", e.N) }

func numbersOf(_ *engine.Context, _ string, _ engine.Span, recs iter.Seq[event], out engine.Out[string]) error {
	for e := range recs {
		out.Emit(numberOf(e))
	}
	return nil
}

// numberRows are so many rows for each record.
func numberRows(all []event, each int) (rows []string) {
	for _, e := range all {
		rows = append(rows, slices.Repeat([]string{numberOf(e)}, each)...)
	}
	return rows
}

// gapOfEvent is different for neighbours.
func gapOfEvent(e event) time.Duration { return time.Duration(1+e.N%7) * time.Second }

// TestRandomTTL looks at states of each kind with a TTL while the job fails and is resumed at other parallelisms, in event time
// and by a clock that jumps ahead.
func TestRandomTTL(t *testing.T) {
	reborn := 0
	eachSeed(t, 16, 6, func(t *testing.T, seed uint64) error {
		rnd := rand.New(rand.NewPCG(seed, 75))
		d := &dice{rnd: rand.New(rand.NewPCG(seed, 76))}
		in, _ := randomEvents(rnd, 1500)
		aged(in)
		o := []engine.TTLOption{engine.ProcessingTime}[:seed%2]
		log := newLog()
		build := func() *engine.Job {
			job := engine.NewJob("mortal")
			at := engine.EventTime(timeOf, engine.OutOfOrder(30*time.Minute))
			byKey := engine.KeyBy(flaky(engine.From(job, "in", in, at), d), ofKey)
			engine.To(engine.Process(byKey, "mortals", func(s *engine.Setup) *mortals {
				m := newMortals(s, engine.TTL(life, o...))
				if len(o) > 0 {
					m.now, m.begin = (*engine.Context).ProcessingTime, (*engine.Context).ProcessingTime
				}
				return m
			}), "out", flakyLog(d, log))
			return job
		}
		err := endureOn(t, rnd, vfs.NewFault(vfs.NewMem()), jumpyFrom(t0, d, 30), build)
		fresh := log.rows()
		reborn += len(fresh) - len(slices.Compact(fresh))
		return err
	})
	if reborn == 0 {
		t.Error("no state has lived its time")
	}
}

// aged has records of more keys come over a time that is thirty times longer, and returns them.
func aged(in *feed[event]) (all []event) {
	for _, split := range in.recs {
		for i := range split {
			split[i].Key = fmt.Sprint(split[i].Key, split[i].N%3)
			split[i].At = t0.Add(30 * split[i].At.Sub(t0))
		}
		all = append(all, split...)
	}
	return all
}

// TestRandomJoinsByTheClock has joins in processing time endure the same: what is within the interval, or the window, is up to
// the machine unless that is long. No pair comes twice, and each record is in one, or alone.
func TestRandomJoinsByTheClock(t *testing.T) {
	eachSeed(t, 40, 10, randomClockJoin)
}

func randomClockJoin(t *testing.T, seed uint64) error {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 77))
	d := &dice{rnd: rand.New(rand.NewPCG(seed, 78))}
	left, lefts := randomEvents(rnd, 300)
	right, rights := randomEvents(rnd, 300)
	var clock engine.Clock
	long := rnd.IntN(2) == 0
	span := 100 * 365 * 24 * time.Hour
	if !long {
		span, clock = 2*time.Minute, jumpyFrom(t0, d, 3)
	}
	window := []engine.Assigner{
		engine.Session(span), engine.SessionBy(func(event) time.Duration { return span }), engine.Tumbling(span), engine.Sliding(span, span),
	}[rnd.IntN(4)]
	interval := rnd.IntN(2) == 0
	pairs := newLog()
	build := func() *engine.Job {
		job := engine.NewJob("join")
		l := engine.KeyBy(flaky(engine.From(job, "left", left), d), ofKey)
		r := engine.KeyBy(flaky(engine.From(job, "right", right), d), ofKey)
		var joined engine.Stream[string]
		if interval {
			joined = engine.IntervalJoin(l, r, "join", engine.FullOuter, engine.Within(-span, span).InProcessingTime(), pair)
		} else {
			joined = engine.WindowJoin(l, r, window.InProcessingTime(), "join", engine.FullOuter,
				func(key string, _ engine.Span, l, r *event) string { return pair(key, l, r) })
		}
		engine.To(joined, "pairs", flakyLog(d, pairs))
		return job
	}
	if err := endureOn(t, rnd, vfs.NewFault(vfs.NewMem()), clock, build); err != nil {
		return err
	}
	if long {
		return wantRows(fmt.Sprintf("%s, interval %t", window, interval), pairs.rows(), nestedLoops(lefts, rights, engine.FullOuter, -span, span))
	}
	return joinedOrAlone(pairs.rows(), lefts, rights)
}

// joinedOrAlone wants each record in pairs with others, each once, or alone.
func joinedOrAlone(rows []string, lefts, rights []event) error {
	met, alone := map[string]int{}, map[string]int{}
	for i, row := range rows {
		f := strings.Fields(row)
		l, r := f[0]+" left "+f[1], f[0]+" right "+f[2]
		switch {
		case i > 0 && row == rows[i-1]:
			return fmt.Errorf("%q comes twice", row)
		case f[1] == "-":
			alone[r]++
		case f[2] == "-":
			alone[l]++
		default:
			met[l]++
			met[r]++
		}
	}
	for side, events := range map[string][]event{" left ": lefts, " right ": rights} {
		for _, e := range events {
			if who := fmt.Sprint(e.Key, side, e.N); (met[who] > 0) == (alone[who] > 0) || alone[who] > 1 {
				return fmt.Errorf("%s is in %d pairs and %d times alone", who, met[who], alone[who])
			}
			delete(met, fmt.Sprint(e.Key, side, e.N))
			delete(alone, fmt.Sprint(e.Key, side, e.N))
		}
	}
	if len(met)+len(alone) > 0 {
		return fmt.Errorf("from nowhere: %v %v", met, alone)
	}
	return nil
}
