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

// stock keeps what is there of an article: numbers come on the left, orders of a text's length on the right. A timer tells
// what is left.
type stock struct {
	n       engine.Cell[int64]
	tell    engine.Timer
	refused engine.Out[string]
}

const refused engine.Side[string] = "refused"

func newStock(s *engine.Setup) *stock {
	p := &stock{n: engine.NewCell[int64](s, "n"), refused: engine.NewSide(s, refused)}
	p.tell = engine.NewTimer(s, "tell", p.onTell)
	return p
}

func (p *stock) OnLeft(ctx *engine.Context, _ int, n int, out engine.Out[string]) error {
	if n < 0 {
		return errNegative
	}
	*p.n.Ref(ctx) += int64(n)
	p.tell.Set(ctx, ctx.Time().Add(time.Hour))
	return nil
}

func (p *stock) OnRight(ctx *engine.Context, _ int, order string, out engine.Out[string]) error {
	n := p.n.Ref(ctx)
	switch {
	case order == "bad":
		return errors.New("bad order")
	case int64(len(order)) > *n:
		p.refused.Emit(order)
		return nil
	}
	*n -= int64(len(order))
	out.Emit(fmt.Sprint(order, ": ", *n, " left"))
	return nil
}

func (p *stock) onTell(ctx *engine.Context, key int, at engine.Time, out engine.Out[string]) error {
	out.Emit(fmt.Sprint(at.UTC().Format("15:04: "), *p.n.Ref(ctx)))
	return nil
}

func one[T any](T) int { return 1 }

func newStockHarness(t testing.TB) *enginetest.Harness2[int, string, string] {
	t.Helper()
	return enginetest.Process2(t, one[int], one[string], newStock)
}

func TestProcess2(t *testing.T) {
	h := newStockHarness(t)
	h.PushRight(noon, "early")
	h.PushLeft(noon, 7)
	h.PushRight(noon, "tide")
	h.Want("tide: 3 left")
	h.WatermarkLeft(noon.Add(2 * time.Hour))
	h.Want("tide: 3 left") // the right may still bring something
	h.Restart()
	h.WatermarkRight(noon.Add(time.Hour - 1))
	h.Want("tide: 3 left")
	h.Rescale(2)
	h.PushRight(noon, "page")
	h.WatermarkRight(noon.Add(time.Hour))
	h.Want("tide: 3 left", "13:00: 3")
	if got, want := enginetest.Side(h, refused), []string{"early", "page"}; !slices.Equal(got, want) {
		t.Errorf("side output %v, want %v", got, want)
	}
	h.PushLeft(noon.Add(5*time.Hour), 1)
	h.Watermark(noon.Add(3 * time.Hour))
	h.PushRight(noon, "page")
	h.End()
	h.Want("tide: 3 left", "13:00: 3", "page: 0 left", "18:00: 0")
}

func TestPushErrorOfEitherSide(t *testing.T) {
	h := newStockHarness(t)
	h.PushLeft(noon, 9)
	if err := h.PushLeftError(noon, -1); !errors.Is(err, errNegative) {
		t.Errorf("error %v, want that of the left record", err)
	}
	h.PushRight(noon, "tide")
	op, ok := errors.AsType[*engine.OperatorError](h.PushRightError(noon, "bad"))
	if !ok || op.Record != "bad" {
		t.Errorf("error %v, want that of the right record", op)
	}
	h.PushRight(noon, "page")
	h.Want("tide: 5 left", "page: 1 left")
}

func TestOperator2(t *testing.T) {
	h := enginetest.Operator2(t, func(l engine.Stream[int], r engine.Stream[string]) engine.Stream[string] {
		return engine.IntervalJoin(engine.KeyBy(l, one[int]), engine.KeyBy(r, one[string]), "join", engine.LeftOuter,
			engine.Within(-time.Minute, time.Minute), func(_ int, n *int, s *string) string {
				if s == nil {
					return fmt.Sprint(*n, " alone")
				}
				return fmt.Sprint(*n, " ", *s)
			})
	})
	h.PushLeft(noon, 1)
	h.PushLeft(noon.Add(-2*time.Minute), 2)
	h.PushRight(noon.Add(time.Minute), "a")
	h.PushRight(noon.Add(time.Minute+1), "b")
	h.Want("1 a")
	h.Watermark(noon)
	h.Want("1 a", "2 alone")
}

// A state whose values live for an hour of the clock loses them when the clock has moved on, and not before.
func TestAdvanceExpiresState(t *testing.T) {
	h := enginetest.Process(t, one[int], func(s *engine.Setup) engine.Func[int, int, string] {
		last := engine.NewCell[int64](s, "last", engine.TTL(time.Hour, engine.ProcessingTime))
		return func(ctx *engine.Context, _ int, n int, out engine.Out[string]) error {
			was, ok := last.Get(ctx)
			out.Emit(fmt.Sprint(was, " ", ok))
			last.Set(ctx, int64(n))
			return nil
		}
	})
	start := h.Now()
	h.Push(noon, 1)
	h.Advance(59 * time.Minute)
	h.Push(noon, 2)
	h.Restart()
	h.Advance(30 * time.Minute)
	h.Push(noon, 3)
	h.Advance(time.Hour)
	h.Push(noon, 4)
	h.Want("0 false", "1 true", "2 true", "0 false")
	if got := h.Now().Sub(start); got != 149*time.Minute {
		t.Errorf("the clock has moved by %s", got)
	}
}
