// Package misuse has what the programs beside this file have in common. Each of them is type-checked with it, and must
// fail at its marked line. This file alone is a correct program.
package misuse

import (
	"time"

	"github.com/pagetide/pagetide/engine"
)

type Payment struct {
	Card  string
	Cents int64
	At    time.Time
}

func (p Payment) card() string    { return p.Card }
func (p Payment) time() time.Time { return p.At }

type Alert struct{ Card string }

const review engine.Side[Payment] = "review"

var (
	job       = engine.NewJob("misuse")
	payments  = engine.From(job, "payments", engine.SliceSource[Payment](), engine.EventTime(Payment.time, engine.OutOfOrder(0)))
	byCard    = engine.KeyBy(payments, Payment.card)
	hours     = engine.Window(byCard, engine.Tumbling(time.Hour))
	alertSink engine.Sink[Alert]
)

// fraud is an operator as it should be.
type fraud struct {
	sum    engine.Cell[int64]
	quiet  engine.Timer
	review engine.Out[Payment]
}

func newFraud(s *engine.Setup) *fraud {
	f := &fraud{sum: engine.NewCell[int64](s, "sum"), review: engine.NewSide(s, review)}
	f.quiet = engine.NewTimer(s, "quiet", f.onQuiet)
	return f
}

func (f *fraud) OnRecord(ctx *engine.Context, card string, p Payment, out engine.Out[Alert]) error {
	*f.sum.Ref(ctx) += p.Cents
	f.quiet.Set(ctx, ctx.Time().Add(time.Hour))
	f.review.Emit(p)
	out.Emit(Alert{card})
	return nil
}

func (f *fraud) onQuiet(ctx *engine.Context, card string, at engine.Time, out engine.Out[Alert]) error {
	f.sum.Clear(ctx)
	return nil
}

// total is an aggregator as it should be.
type total struct{}

func (total) Add(acc *int64, p Payment)     { *acc += p.Cents }
func (total) Merge(into *int64, from int64) { *into += from }
func (total) Result(card string, _ engine.Span, acc int64) Payment {
	return Payment{Card: card, Cents: acc}
}

var (
	found  = engine.Process(byCard, "fraud", newFraud)
	totals = engine.Aggregate(hours, "totals", total{})
)
