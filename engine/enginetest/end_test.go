package enginetest_test

import (
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/enginetest"
)

// heartbeat tells each hour, for each key, where time stands, until the input has ended.
type heartbeat struct{ tick engine.Timer }

func newHeartbeat(s *engine.Setup) *heartbeat {
	p := &heartbeat{}
	p.tick = engine.NewTimer(s, "tick", func(ctx *engine.Context, key int, at engine.Time, out engine.Out[string]) error {
		out.Emit(fmt.Sprint("key ", key, " at ", at.UTC().Format("15:04"), " of ", ctx.Watermark()))
		if ctx.Watermark() != engine.MaxTime {
			p.tick.Set(ctx, at.Add(time.Hour))
		}
		return nil
	})
	return p
}

func (p *heartbeat) OnRecord(ctx *engine.Context, _ int, _ int, _ engine.Out[string]) error {
	p.tick.Set(ctx, ctx.Time().Add(time.Hour))
	return nil
}

func (p *heartbeat) OnLeft(ctx *engine.Context, key, n int, out engine.Out[string]) error {
	return p.OnRecord(ctx, key, n, out)
}

func (p *heartbeat) OnRight(*engine.Context, int, int, engine.Out[string]) error { return nil }

func (p *heartbeat) OnBroadcast(*engine.Context, int, engine.Out[string]) error { return nil }

// beats runs a heartbeat behind one input.
func beats(in engine.Stream[int]) engine.Stream[string] {
	return engine.Process(engine.KeyBy(in, lastDigit), "beats", newHeartbeat)
}

// times hands on what comes, with the time that it comes at. It has seen no end yet, since that follows what it leads to.
func times(ctx *engine.Context, s string, out engine.Out[string]) error {
	out.Emit(fmt.Sprint(s, ", then ", ctx.Watermark()))
	return nil
}

func eachTimes(*engine.Setup) engine.EachFunc[string, string] { return times }

// ruledTimes is times beside rules.
type ruledTimes struct{}

func (ruledTimes) OnRecord(ctx *engine.Context, s string, out engine.Out[string]) error {
	return times(ctx, s, out)
}

func (ruledTimes) OnBroadcast(*engine.Context, int, engine.Out[string]) error { return nil }

// TestEndIsThatOfAJob: the watermark goes from where it stands to MaxTime, as at the end of a job's input.
func TestEndIsThatOfAJob(t *testing.T) {
	type harness = *enginetest.Harness[int, string]
	half := noon.Add(30 * time.Minute)
	for _, c := range []struct {
		door string
		open func(testing.TB) harness
		want string
	}{
		{"Process", func(t testing.TB) harness { return enginetest.Process(t, lastDigit, newHeartbeat) }, "key 3 at 13:00 of max"},
		{"ProcessEach", func(t testing.TB) harness {
			return enginetest.Operator(t, func(in engine.Stream[int]) engine.Stream[string] {
				return engine.ProcessEach(beats(in), "each", eachTimes)
			})
		}, "key 3 at 13:00 of max, then " + engine.TimeOf(half).String()},
		{"ProcessWindow", func(t testing.TB) harness {
			return enginetest.Operator(t, func(in engine.Stream[int]) engine.Stream[string] {
				return engine.ProcessWindow(engine.Window(engine.KeyBy(in, lastDigit), engine.Tumbling(time.Hour)), "window", windowTime)
			})
		}, "[2026-03-01T12:00:00Z, 2026-03-01T13:00:00Z) of max"},
	} {
		t.Run(c.door, func(t *testing.T) {
			h := c.open(t)
			h.Push(noon, 3)
			h.Watermark(half)
			h.Rescale(2)
			h.End()
			h.Want(c.want)
		})
	}
}

func windowTime(ctx *engine.Context, _ int, w engine.Span, _ iter.Seq[int], out engine.Out[string]) error {
	out.Emit(fmt.Sprint(w, " of ", ctx.Watermark()))
	return nil
}

// TestEndOfTwoInputs: the input that is behind does not give way to the other one before both have ended.
func TestEndOfTwoInputs(t *testing.T) {
	type harness = *enginetest.Harness2[int, int, string]
	soon, later := noon.Add(30*time.Minute), noon.Add(90*time.Minute)
	for _, c := range []struct {
		door string
		open func(testing.TB) harness
		want string
	}{
		{"Process2", func(t testing.TB) harness { return enginetest.Process2(t, lastDigit, lastDigit, newHeartbeat) }, "key 3 at 13:00 of max"},
		{"ProcessBroadcast", func(t testing.TB) harness { return enginetest.ProcessBroadcast(t, lastDigit, newHeartbeat) }, "key 3 at 13:00 of max"},
		{"ProcessEachBroadcast", func(t testing.TB) harness {
			return enginetest.Operator2(t, func(in, rules engine.Stream[int]) engine.Stream[string] {
				both := engine.Process2(engine.KeyBy(in, lastDigit), engine.KeyBy(rules, lastDigit), "beats", newHeartbeat)
				return engine.ProcessEachBroadcast(both, rules, "each", func(*engine.Setup) ruledTimes { return ruledTimes{} })
			})
		}, "key 3 at 13:00 of max, then " + engine.TimeOf(soon).String()},
	} {
		for _, ahead := range []string{"left", "right"} {
			t.Run(c.door+"/"+ahead+" is ahead", func(t *testing.T) {
				h := c.open(t)
				h.PushLeft(noon, 3)
				h.Watermark(soon)
				if ahead == "left" {
					h.WatermarkLeft(later)
				} else {
					h.WatermarkRight(later)
				}
				h.End()
				h.Want(c.want)
			})
		}
	}
}
