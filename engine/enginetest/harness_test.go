package enginetest_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/enginetest"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const odd engine.Side[int] = "odd"

var errNegative = errors.New("negative")

// totals sums per parity-free key; a timer an hour after the first record tells the sum.
type totals struct {
	sum  engine.Cell[int64]
	tell engine.Timer
	odd  engine.Out[int]
}

func newTotals(s *engine.Setup) *totals {
	p := &totals{sum: engine.NewCell[int64](s, "sum"), odd: engine.NewSide(s, odd)}
	p.tell = engine.NewTimer(s, "tell", p.onTell)
	return p
}

func (p *totals) OnRecord(ctx *engine.Context, _ int, n int, out engine.Out[string]) error {
	if n < 0 {
		return errNegative
	}
	if n%2 == 1 {
		p.odd.Emit(n)
	}
	sum := p.sum.Ref(ctx)
	if *sum == 0 {
		p.tell.Set(ctx, ctx.Time().Add(time.Hour))
	}
	*sum += int64(n)
	out.Emit(fmt.Sprint(n, " of ", *sum))
	return nil
}

func (p *totals) onTell(ctx *engine.Context, key int, at engine.Time, out engine.Out[string]) error {
	out.Emit(fmt.Sprint("key ", key, ": ", *p.sum.Ref(ctx)))
	p.sum.Clear(ctx)
	return nil
}

func lastDigit(n int) int { return max(n, -n) % 10 }

func TestProcess(t *testing.T) {
	h := enginetest.Process(t, lastDigit, newTotals)
	h.Push(noon, 3)
	h.Push(noon.Add(time.Minute), 13)
	h.Watermark(noon.Add(time.Hour - 1))
	h.Want("3 of 3", "13 of 16")
	h = h.Restart()
	h.Want("3 of 3", "13 of 16")
	h.Watermark(noon.Add(time.Hour))
	h.Want("3 of 3", "13 of 16", "key 3: 16")
	h.Push(noon, 3) // the state is gone
	h.Push(noon, 4)
	if got, want := enginetest.Side(h, odd), []int{3, 13, 3}; !slices.Equal(got, want) {
		t.Errorf("side output %v, want %v", got, want)
	}
	all := []string{"3 of 3", "13 of 16", "key 3: 16", "3 of 3", "4 of 4"}
	h.Want(all...)
	h.End() // the timer of the late record fires, too
	if got := h.Out()[len(all):]; len(got) != 2 {
		t.Errorf("at the end %v, want two timers", got)
	}
}

func TestTimeMovesByWatermarksAlone(t *testing.T) {
	h := enginetest.Process(t, lastDigit, func(s *engine.Setup) engine.Func[int, int, engine.Time] {
		return func(ctx *engine.Context, _ int, _ int, out engine.Out[engine.Time]) error {
			out.Emit(ctx.Watermark())
			return nil
		}
	})
	h.Push(noon.Add(time.Hour), 1)
	h.Push(noon.Add(2*time.Hour), 1)
	h.Watermark(noon)
	h.Push(noon, 1)
	h.Restart()
	h.Push(noon, 1)
	at := engine.TimeOf(noon)
	h.Want(engine.MinTime, engine.MinTime, at, at)
}

func TestRescale(t *testing.T) {
	h := enginetest.Process(t, lastDigit, newTotals)
	for p := range 4 {
		h.Rescale(1 + p)
		for key := range 10 {
			h.Push(noon, 10*p+key)
		}
	}
	h.Rescale(3)
	h.Watermark(noon.Add(time.Hour))
	got := h.Out()[40:]
	slices.Sort(got)
	var want []string
	for key := range 10 {
		want = append(want, fmt.Sprint("key ", key, ": ", 60+4*key))
	}
	if !slices.Equal(got, want) {
		t.Errorf("sums %v, want %v", got, want)
	}
}

func TestPushErrorLeavesTheOperatorAsItWas(t *testing.T) {
	h := enginetest.Process(t, lastDigit, newTotals)
	h.Push(noon, 3)
	err := h.PushError(noon, -13)
	op, ok := errors.AsType[*engine.OperatorError](err)
	if !ok || !errors.Is(err, errNegative) || op.Key != "3" || op.Record != "-13" {
		t.Errorf("error %v, want that of the record", err)
	}
	h.Push(noon, 13)
	h.Want("3 of 3", "13 of 16")
	if got, want := enginetest.Side(h, odd), []int{3, 13}; !slices.Equal(got, want) {
		t.Errorf("side output %v, want %v", got, want)
	}
}

// largest keeps the largest number of a window.
type largest struct{}

func (largest) Add(acc *int64, n int)        { *acc = max(*acc, int64(n)) }
func (largest) Merge(into *int64, acc int64) { *into = max(*into, acc) }
func (largest) Result(key int, w engine.Span, acc int64) string {
	return fmt.Sprint(w.Start.UTC().Format("15:04 "), key, ": ", acc)
}

func TestOperatorWithWindows(t *testing.T) {
	h := enginetest.Operator(t, func(in engine.Stream[int]) engine.Stream[string] {
		hours := engine.Window(engine.KeyBy(in, lastDigit), engine.Tumbling(time.Hour))
		return engine.Aggregate(hours, "largest", largest{})
	})
	h.Push(noon.Add(time.Minute), 13)
	h.Push(noon, 3)
	h.Watermark(noon.Add(time.Hour - 2))
	h.Restart()
	h.Want()
	h.Push(noon, 23)
	h.Watermark(noon.Add(time.Hour - 1))
	h.Want("12:00 3: 23")
	h.Push(noon, 33) // late
	h.End()
	h.Want("12:00 3: 23")
}
