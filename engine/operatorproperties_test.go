package engine_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/enginetest"
)

// propertyTB lets a harness report to a property, so that what it was told shrinks.
type propertyTB struct {
	testing.TB
	rt *rapid.T
}

func (t propertyTB) Helper()                   {}
func (t propertyTB) Cleanup(f func())          { t.rt.Cleanup(f) }
func (t propertyTB) Fatal(args ...any)         { t.rt.Fatal(args...) }
func (t propertyTB) Fatalf(f string, a ...any) { t.rt.Fatalf(f, a...) }
func (t propertyTB) Errorf(f string, a ...any) { t.rt.Errorf(f, a...) }

// seconds draws a time after t0, in halves of a second.
func seconds(t *rapid.T, most int, what string) time.Time {
	return t0.Add(time.Duration(rapid.IntRange(0, 2*most).Draw(t, what)) * time.Second / 2)
}

func drawEvent(t *rapid.T, n, most int) event {
	return event{Key: fmt.Sprint("k", rapid.IntRange(0, 1).Draw(t, "key")), N: int64(n), At: seconds(t, most, "at")}
}

// Windows of any kind hold the records that their definition says, whatever order records, watermarks, restarts and other
// parallelisms come in.
func TestWindowsHoldTheirRecords(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := randomWindow(rand.New(rand.NewPCG(rapid.Uint64Range(0, 1<<16).Draw(rt, "window"), 0)))
		h := enginetest.Operator(propertyTB{t, rt}, c.build)
		watermark := t0.Add(-time.Hour)
		for n := range rapid.IntRange(1, 20).Draw(rt, "steps") {
			switch rapid.SampledFrom([]string{"record", "record", "record", "watermark", "rescale"}).Draw(rt, "step") {
			case "record":
				e := drawEvent(rt, n, 30)
				h.Push(e.At, e)
				c.model.record(e)
			case "watermark":
				if at := seconds(rt, 60, "watermark"); at.After(watermark) {
					watermark = at
					h.Watermark(at)
					c.model.advance(engine.TimeOf(at))
				}
			case "rescale":
				h.Rescale(rapid.IntRange(1, 3).Draw(rt, "parallelism"))
			}
		}
		h.End()
		c.model.advance(engine.MaxTime)
		got := h.Out()
		slices.Sort(got)
		slices.Sort(c.model.rows)
		if !slices.Equal(got, c.model.rows) {
			rt.Fatalf("%s: results %q, want %q", c.name, got, c.model.rows)
		}
	})
}

// An interval join pairs the records that two nested loops pair, of those that are in time.
func TestJoinsPairWhatIsWithin(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		kind := rapid.SampledFrom(joinKinds).Draw(rt, "kind")
		lower := time.Duration(rapid.IntRange(-6, 6).Draw(rt, "lower")) * time.Second / 2
		upper := lower + time.Duration(rapid.IntRange(0, 8).Draw(rt, "width"))*time.Second/2
		h := enginetest.Operator2(propertyTB{t, rt}, func(l, r engine.Stream[event]) engine.Stream[string] {
			key := func(e event) string { return e.Key }
			return engine.IntervalJoin(engine.KeyBy(l, key), engine.KeyBy(r, key), "join", kind, engine.Within(lower, upper), pair)
		})
		var lefts, rights []event
		leftTime, rightTime := t0.Add(-time.Hour), t0.Add(-time.Hour)
		inTime := func(e event) bool { return e.At.After(leftTime) || e.At.After(rightTime) }
		for n := range rapid.IntRange(1, 20).Draw(rt, "steps") {
			switch rapid.SampledFrom([]string{"left", "right", "left", "right", "left time", "right time", "rescale"}).Draw(rt, "step") {
			case "left":
				e := drawEvent(rt, n, 10)
				if h.PushLeft(e.At, e); inTime(e) {
					lefts = append(lefts, e)
				}
			case "right":
				e := drawEvent(rt, n, 10)
				if h.PushRight(e.At, e); inTime(e) {
					rights = append(rights, e)
				}
			case "left time":
				if at := seconds(rt, 12, "watermark"); at.After(leftTime) {
					leftTime = at
					h.WatermarkLeft(at)
				}
			case "right time":
				if at := seconds(rt, 12, "watermark"); at.After(rightTime) {
					rightTime = at
					h.WatermarkRight(at)
				}
			case "rescale":
				h.Rescale(rapid.IntRange(1, 3).Draw(rt, "parallelism"))
			}
		}
		h.End()
		got := h.Out()
		slices.Sort(got)
		if want := nestedLoops(lefts, rights, kind, lower, upper); !slices.Equal(got, want) {
			rt.Fatalf("%s from %s to %s: %q, want %q", kind, lower, upper, got, want)
		}
	})
}
