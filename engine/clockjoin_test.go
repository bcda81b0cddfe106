package engine_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/enginetest"
)

// joinedAt is a record of a random join in processing time.
type joinedAt struct {
	key, n int
	at     time.Duration // since the start
	left   bool
}

// TestJoinInProcessingTime compares joins by the clock with their definition, restarted and rescaled in the middle.
func TestJoinInProcessingTime(t *testing.T) {
	for seed := range uint64(12) {
		rnd := rand.New(rand.NewPCG(seed, 31))
		lower := time.Duration(rnd.IntN(5)-3) * time.Second
		upper := lower + time.Duration(rnd.IntN(5))*time.Second
		kind := []engine.JoinKind{engine.Inner, engine.LeftOuter, engine.RightOuter, engine.FullOuter}[rnd.IntN(4)]
		h := enginetest.Operator2(t, func(l, r engine.Stream[int]) engine.Stream[string] {
			digit := func(n int) int { return n % 3 }
			return engine.IntervalJoin(engine.KeyBy(l, digit), engine.KeyBy(r, digit), "join", kind,
				engine.Within(lower, upper).InProcessingTime(), func(_ int, l, r *int) string { return side(l) + " " + side(r) })
		})
		var all []joinedAt
		var now time.Duration
		for n := range 60 {
			switch rnd.IntN(12) {
			case 0:
				h.Restart()
			case 1:
				h.Rescale(1 + rnd.IntN(4))
			case 2, 3, 4, 5:
				d := time.Duration(rnd.IntN(3)) * time.Second
				now += d
				h.Advance(d)
			case 6, 7, 8:
				h.PushLeft(t0, n)
				all = append(all, joinedAt{n % 3, n, now, true})
			default:
				h.PushRight(t0, n)
				all = append(all, joinedAt{n % 3, n, now, false})
			}
			h.Advance(0)
			wantJoined(t, fmt.Sprintf("seed %d, step %d", seed, n), h.Out(), joinsBy(all, kind, lower, upper, now))
		}
		h.End()
		wantJoined(t, fmt.Sprintf("seed %d, end", seed), h.Out(), joinsBy(all, kind, lower, upper, 1<<40))
	}
}

// TestJoinInProcessingTimeCarriesNoTime: its output has no event time, also if the streams that are joined have.
func TestJoinInProcessingTimeCarriesNoTime(t *testing.T) {
	h := enginetest.Operator2(t, func(l, r engine.Stream[int]) engine.Stream[engine.Time] {
		same := func(n int) int { return n }
		joined := engine.IntervalJoin(engine.KeyBy(l, same), engine.KeyBy(r, same), "join", engine.FullOuter,
			engine.Within(0, time.Second).InProcessingTime(), func(int, *int, *int) string { return "" })
		return engine.ProcessEach(joined, "time", func(*engine.Setup) engine.EachFunc[string, engine.Time] {
			return func(ctx *engine.Context, _ string, out engine.Out[engine.Time]) error {
				out.Emit(ctx.Time())
				return nil
			}
		})
	})
	h.PushLeft(t0, 1)
	h.PushRight(t0, 1)
	h.PushRight(t0, 2)
	h.PushLeft(t0, 2)
	h.PushLeft(t0, 3)
	h.PushRight(t0, 4)
	h.Advance(time.Minute)
	if got := h.Out(); !slices.Equal(got, make([]engine.Time, 4)) {
		t.Errorf("times %v, want four that are zero", got)
	}
}

func side(n *int) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}

// joinsBy is what the join must have told of when the clock stands at a time.
func joinsBy(all []joinedAt, kind engine.JoinKind, lower, upper, now time.Duration) (want []string) {
	matched := map[int]bool{}
	for _, l := range all {
		for _, r := range all {
			if l.left && !r.left && l.key == r.key && r.at >= l.at+lower && r.at <= l.at+upper {
				want = append(want, fmt.Sprint(l.n, " ", r.n))
				matched[l.n], matched[r.n] = true, true
			}
		}
	}
	for _, v := range all {
		over := now > v.at+max(upper, 0)
		alone := fmt.Sprint(v.n, " -")
		outer := kind == engine.LeftOuter || kind == engine.FullOuter
		if !v.left {
			over, alone = now > v.at+max(-lower, 0), fmt.Sprint("- ", v.n)
			outer = kind == engine.RightOuter || kind == engine.FullOuter
		}
		if outer && over && !matched[v.n] {
			want = append(want, alone)
		}
	}
	return want
}

func wantJoined(t *testing.T, when string, got, want []string) {
	t.Helper()
	got = slices.Sorted(slices.Values(got))
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("%s: joined %v, want %v", when, got, want)
	}
}
