package engine

import (
	"errors"
	"math/big"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pagetide/pagetide/meta"
)

// anyTime are times with the edges among them.
func anyTime() *rapid.Generator[Time] {
	return rapid.Map(rapid.OneOf(
		rapid.Int64(),
		rapid.Int64Range(-100, 100),
		rapid.Int64Range(int64(MinTime), int64(MinTime)+3),
		rapid.Int64Range(int64(MaxTime)-3, int64(MaxTime)),
	), func(n int64) Time { return Time(n) })
}

// recordTime are the times that a record may carry.
func recordTime() *rapid.Generator[Time] {
	return anyTime().Filter(func(t Time) bool { return t != MinTime && t != MaxTime })
}

func positive() *rapid.Generator[time.Duration] {
	return rapid.Map(rapid.OneOf(rapid.Int64Range(1, 1<<63-1), rapid.Int64Range(1, 50)), func(n int64) time.Duration { return time.Duration(n) })
}

// wide is a time or duration that does not overflow.
func wide[T ~int64](n T) *big.Int { return big.NewInt(int64(n)) }

func plus(a, b *big.Int) *big.Int { return new(big.Int).Add(a, b) }

// inRange says whether a is after MinTime and before MaxTime.
func inRange(a *big.Int) bool { return a.Cmp(wide(MinTime)) > 0 && a.Cmp(wide(MaxTime)) < 0 }

func TestTimeAddAndSubStopAtTheEnds(t *testing.T) {
	limited := func(n *big.Int) int64 {
		switch {
		case n.Cmp(wide(MinTime)) < 0:
			return int64(MinTime)
		case n.Cmp(wide(MaxTime)) > 0:
			return int64(MaxTime)
		}
		return n.Int64()
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyTime().Draw(t, "a"), anyTime().Draw(t, "b")
		if got, want := a.Add(time.Duration(b)), limited(plus(wide(a), wide(b))); int64(got) != want {
			t.Errorf("%d.Add(%d) = %d, want %d", a, b, got, want)
		}
		if got, want := a.Sub(b), limited(new(big.Int).Sub(wide(a), wide(b))); int64(got) != want {
			t.Errorf("%d.Sub(%d) = %d, want %d", a, b, got, want)
		}
	})
}

// A tumbling window begins at its offset from a multiple of its size, holds its start and not its end, and is refused only if it reaches
// beyond the ends of time.
func TestTumblingWindowHoldsItsRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at, size := recordTime().Draw(t, "at"), positive().Draw(t, "size")
		offset := time.Duration(rapid.Int64Range(1-int64(size), int64(size)-1).Draw(t, "offset"))
		from := new(big.Int).Sub(wide(at), wide(offset))
		start := new(big.Int).Sub(wide(at), from.Mod(from, wide(size))) // Euclidean
		end := plus(start, wide(size))
		w, ok := Tumbling(size).Offset(offset).window(at)
		if want := inRange(start) && inRange(end); ok != want {
			t.Fatalf("window of %d: %t, want %t", at, ok, want)
		}
		if ok && (wide(w.Start).Cmp(start) != 0 || wide(w.End).Cmp(end) != 0) {
			t.Fatalf("window of %d is from %d to %d, want %d to %d", at, w.Start, w.End, start, end)
		}
	})
}

// slidingOf is a sliding window's arithmetic.
func slidingOf(size, slide, offset Time) *grid {
	g := gridOf(Sliding(time.Duration(size), time.Duration(slide)).Offset(time.Duration(offset)))
	return &g
}

// A record's windows are those from the first that ends after it to the last that begins by then; no window begins or ends
// within a pane.
func TestSlidingWindowsOfARecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		slide := Time(rapid.IntRange(1, 30).Draw(t, "slide"))
		size := slide + Time(rapid.IntRange(0, 100).Draw(t, "more"))
		at := Time(rapid.IntRange(-500, 500).Draw(t, "at"))
		offset := Time(rapid.IntRange(1-int(slide), int(slide)-1).Draw(t, "offset"))
		s := slidingOf(size, slide, offset)
		var want []Span
		for start := Time(-2000) - Time(-2000)%slide + offset; start <= at; start += slide {
			if at < start+size {
				want = append(want, Span{start, start + size})
			}
		}
		if got := s.firstEnd(at); got != want[0].End {
			t.Errorf("the first window of %d ends at %d, want %v", at, got, want[0])
		}
		if got := s.lastEnd(at); got != want[len(want)-1].End {
			t.Errorf("the last window of %d ends at %d, want %v", at, got, want[len(want)-1])
		}
		pane := s.floor(at, s.pane)
		if pane > at || pane+s.pane <= at || s.firstEnd(pane) != want[0].End || s.lastEnd(pane+s.pane-1) != want[len(want)-1].End {
			t.Errorf("the pane at %d of length %d has other windows than the record at %d", pane, s.pane, at)
		}
	})
}

// The time of several inputs is the least of those awake, and that of the last one if none is.
func TestInputTimeIsTheLeastAwake(t *testing.T) {
	type input struct {
		mark   Time
		asleep bool
	}
	rapid.Check(t, func(t *rapid.T) {
		start := Time(rapid.IntRange(0, 5).Draw(t, "start"))
		inputs := make([]input, rapid.IntRange(1, 4).Draw(t, "inputs"))
		for i := range inputs {
			inputs[i].mark = start
		}
		it, reached := newInputTime(len(inputs), start), start
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			in := rapid.IntRange(0, len(inputs)-1).Draw(t, "in")
			i := &inputs[in]
			var got Time
			if i.asleep = rapid.Bool().Draw(t, "idle"); i.asleep {
				got = it.idle(in)
			} else {
				w := Time(rapid.IntRange(0, 20).Draw(t, "watermark"))
				i.mark, got = max(i.mark, w), it.watermark(in, w)
			}
			byMark := slices.SortedFunc(slices.Values(inputs), func(a, b input) int { return int(a.mark - b.mark) })
			want := byMark[len(byMark)-1].mark
			if k := slices.IndexFunc(byMark, func(i input) bool { return !i.asleep }); k >= 0 {
				want = byMark[k].mark
			}
			if got != want {
				t.Fatalf("inputs %+v: time %d, want %d", inputs, got, want)
			}
			if reached = max(reached, got); reached > byMark[len(byMark)-1].mark {
				t.Fatalf("inputs %+v: time has reached %d, which no input has", inputs, reached)
			}
		}
	})
}

// Whatever falls asleep and wakes, tasks that have read the same of their inputs, in any order, agree once all are awake.
func TestInputTimeDoesNotDependOnTheOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		marks := rapid.SliceOfN(rapid.SliceOfN(rapid.IntRange(0, 20), 1, 6), 1, 4).Draw(t, "marks")
		type step struct{ in, w int }
		var steps []step
		for in, ws := range marks {
			for _, w := range ws {
				steps = append(steps, step{in, w})
			}
		}
		end := func(order []step) (last Time) {
			it := newInputTime(len(marks), 0)
			for _, s := range order {
				last = it.watermark(s.in, Time(s.w))
			}
			return last
		}
		if a, b := end(steps), end(rapid.Permutation(steps).Draw(t, "order")); a != b {
			t.Errorf("%d in one order, %d in the other", a, b)
		}
	})
}

// shareOf is the range of key groups of any subtask at any parallelism.
type shareOf struct{ groups, parallelism int }

func anyShare() *rapid.Generator[shareOf] {
	return rapid.Custom(func(t *rapid.T) shareOf {
		groups := rapid.OneOf(rapid.IntRange(1, 40), rapid.IntRange(1, 4096)).Draw(t, "groups")
		return shareOf{groups, rapid.IntRange(1, min(groups, 64)).Draw(t, "parallelism")}
	})
}

// Every key group belongs to one subtask, that to which its records go, and no subtask has two more than another.
func TestKeyGroupsAreSharedOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, next := anyShare().Draw(t, "share"), 0
		for i := range s.parallelism {
			first, end := groupsOf(i, s.groups, s.parallelism)
			if first != next || end-first < s.groups/s.parallelism || end-first > (s.groups+s.parallelism-1)/s.parallelism {
				t.Fatalf("subtask %d has %d to %d after %d", i, first, end, next)
			}
			for g := first; g < end; g++ {
				if to := subtaskOf(meta.KeyGroup(g), s.groups, s.parallelism); to != i {
					t.Fatalf("records of group %d go to %d, its state is at %d", g, to, i)
				}
			}
			next = end
		}
		if next != s.groups {
			t.Fatalf("%d groups have no subtask", s.groups-next)
		}
	})
}

// A restored subtask's watermark is the greatest of those under which any of its keys was, also if the number of key
// groups has changed; at the same parallelism each gets its own back.
func TestRestoredWatermarksAreOfTheirKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old, now := anyShare().Draw(t, "old"), anyShare().Draw(t, "now")
		n := &node{uid: "op"}
		marks := rapid.SliceOfN(rapid.IntRange(0, 3), old.parallelism, old.parallelism).Draw(t, "watermarks")
		r := &round{}
		for i, w := range marks {
			r.acks = append(r.acks, &ack{subtask: i, watermarks: map[*node]Time{n: Time(w)}})
		}
		op := meta.Operator{UID: n.uid}
		op.Watermark, op.Watermarks = watermarksOf(r, n, old)
		from := restored{&meta.Metadata{KeyGroups: uint16(old.groups), Operators: []meta.Operator{op}}}
		for i := range now.parallelism {
			first, end := groupsOf(i, now.groups, now.parallelism)
			want := MinTime
			for k, w := range marks { // the ranges are shares of one hash space
				f, e := groupsOf(k, old.groups, old.parallelism)
				if f*now.groups < end*old.groups && first*old.groups < e*now.groups {
					want = max(want, Time(w))
				}
			}
			if got := from.watermark(n.uid, first, end, now.groups); got != want {
				t.Fatalf("%+v to %+v, subtask %d: watermark %d, want %d", old, now, i, got, want)
			}
			if now == old && want != Time(marks[i]) {
				t.Fatalf("subtask %d: watermark %d, was %d", i, want, marks[i])
			}
		}
	})
}

func watermarksOf(r *round, n *node, s shareOf) (int64, []meta.GroupWatermark) {
	c := &coordinator{a: &attempt{layout: layout{of: map[*node]*taskPlan{n: {subtasks: s.parallelism}}}, keyGroups: s.groups}}
	return c.subtaskWatermarks(r, n)
}

// Two records find each other from either side, and neither is forgotten before the watermark has passed the last partner
// that may come.
func TestJoinSidesAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bound := rapid.Int64Range(-20, 20)
		lower := time.Duration(bound.Draw(t, "lower"))
		upper := lower + time.Duration(rapid.Int64Range(0, 20).Draw(t, "width"))
		left, right := joinSide[int]{lower: lower, upper: upper}, joinSide[int]{lower: -upper, upper: -lower}
		l, r := Time(bound.Draw(t, "l")), Time(bound.Draw(t, "r"))
		want := l.Add(lower) <= r && r <= l.Add(upper)
		within := func(s *joinSide[int], at, other Time) bool {
			first, last := s.span(at)
			return first <= other && other <= last
		}
		if a, b := within(&left, l, r), within(&right, r, l); a != want || b != want {
			t.Errorf("%d and %d: from the left %t, from the right %t, want %t", l, r, a, b, want)
		}
		if want && r > left.end(l) || want && l > right.end(r) {
			t.Errorf("%d ends at %d and %d at %d, before they meet", l, left.end(l), r, right.end(r))
		}
		if left.end(l) != max(l, l.Add(upper)) || right.end(r) != max(r, r.Add(-lower)) {
			t.Errorf("%d ends at %d and %d at %d: want the last moment that may bring a partner, and none before the record", l, left.end(l), r, right.end(r))
		}
	})
}

// Delays grow from the first to the greatest and stay there, within their jitter; a long life starts them over; there are
// no more restarts in a row than attempts.
func TestDelaysBetweenRestarts(t *testing.T) {
	fail := errors.New("failed")
	rapid.Check(t, func(t *rapid.T) {
		o := Restart{
			InitialDelay: positive().Draw(t, "initial"), MaxDelay: positive().Draw(t, "max"), ResetAfter: time.Hour,
			Multiplier: rapid.Float64Range(1, 100).Draw(t, "multiplier"), Jitter: rapid.SampledFrom([]float64{-1, 0.1, 1}).Draw(t, "jitter"),
			Attempts: rapid.IntRange(0, 5).Draw(t, "attempts"),
		}
		p, now, inRow, last := &restarts{o: o}, time.Unix(1e9, 0), 0, time.Duration(0)
		for range rapid.IntRange(1, 20).Draw(t, "failures") {
			p.started(now)
			if rapid.Bool().Draw(t, "lives long") {
				now, inRow, last = now.Add(o.ResetAfter), 0, 0
			}
			d, err := p.after(now, fail)
			if inRow++; (err != nil) != (o.Attempts > 0 && inRow > o.Attempts) {
				t.Fatalf("failure %d in a row of at most %d: %v", inRow, o.Attempts, err)
			}
			if err != nil {
				return
			}
			if d < 0 || d > o.MaxDelay {
				t.Fatalf("delay %d is not within 0 and %d", d, o.MaxDelay)
			}
			if o.Jitter < 0 {
				if d < last || inRow == 1 && d != min(o.InitialDelay, o.MaxDelay) {
					t.Fatalf("delay %d in a row is %d after %d", inRow, d, last)
				}
				last = d
			}
		}
	})
}

// A checkpoint is due as soon as the interval has passed since the last one began and the pause since it ended.
func TestCheckpointsAreDue(t *testing.T) {
	begin := time.Unix(1e9, 0)
	rapid.Check(t, func(t *rapid.T) {
		span := func(what string) time.Duration {
			return time.Duration(rapid.Int64Range(0, 1e12).Draw(t, what))
		}
		s := schedule{interval: span("interval"), minPause: span("pause"), lastStart: begin}
		s.lastEnd = begin.Add(span("took"))
		at, ok := s.due()
		if ok != (s.interval > 0) {
			t.Fatalf("due: %t with an interval of %s", ok, s.interval)
		}
		byStart, byEnd := s.lastStart.Add(s.interval), s.lastEnd.Add(s.minPause)
		if ok && (at.Before(byStart) || at.Before(byEnd) || !at.Equal(byStart) && !at.Equal(byEnd)) {
			t.Fatalf("due %s, want the later of %s and %s", at, byStart, byEnd)
		}
	})
}
