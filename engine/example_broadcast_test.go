package engine_test

import (
	"context"
	"fmt"

	"github.com/pagetide/pagetide/engine"
)

// limits tells of amounts above the limit of their currency. Limits reach every subtask.
type limits struct {
	of engine.BroadcastState[string, int64]
}

type limit struct {
	Currency string
	Most     int64
}

func newLimits(s *engine.Setup) limits {
	return limits{engine.NewBroadcastState[string, int64](s, "limits")}
}

func (l limits) OnRecord(ctx *engine.Context, currency string, p paid, out engine.Out[string]) error {
	if most, ok := l.of.Get(ctx, currency); ok && p.Amount > most {
		out.Emit(fmt.Sprintf("%d %s is above %d", p.Amount, currency, most))
	}
	return nil
}

func (l limits) OnBroadcast(ctx *engine.Context, u limit, _ engine.Out[string]) error {
	l.of.Put(ctx, u.Currency, u.Most)
	return nil
}

type paid struct {
	Currency string
	Amount   int64
}

func ExampleProcessBroadcast() {
	type message struct {
		limit *limit
		paid  *paid
	}
	job := engine.NewJob("limits")
	messages := engine.From(job, "messages", engine.SliceSource(
		message{paid: &paid{"EUR", 120}}, // before there is a limit
		message{limit: &limit{"EUR", 100}}, message{limit: &limit{"CHF", 200}},
		message{paid: &paid{"CHF", 150}}, message{paid: &paid{"EUR", 150}},
	))
	updates := engine.FlatMap(messages, func(m message, out engine.Out[limit]) error {
		if m.limit != nil {
			out.Emit(*m.limit)
		}
		return nil
	})
	payments := engine.FlatMap(messages, func(m message, out engine.Out[paid]) error {
		if m.paid != nil {
			out.Emit(*m.paid)
		}
		return nil
	})
	byCurrency := engine.KeyBy(payments, func(p paid) string { return p.Currency })
	above := engine.ProcessBroadcast(byCurrency, updates, "above", newLimits)
	engine.To(above, "out", Print[string]())
	if err := job.Run(context.Background(), engine.Options{}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 150 EUR is above 100
}

func ExampleNewBroadcastState() {
	job := engine.NewJob("limits")
	updates := engine.From(job, "limits", engine.SliceSource[limit]())
	payments := engine.From(job, "payments", engine.SliceSource[paid]())
	byCurrency := engine.KeyBy(payments, func(p paid) string { return p.Currency })
	engine.To(engine.ProcessBroadcast(byCurrency, updates, "above", newLimits), "out", Print[string]())
	printExplained(job, 2)
	// Output:
	// job "limits"
	//
	// task 1, 2 subtasks
	//   1  source "limits": no event time
	//
	// task 2, 2 subtasks
	//   2  source "payments": no event time
	//
	// task 3, 2 subtasks
	//   3  process broadcast "above", of 2 by key string and 1 to all
	//   4  broadcast "above.broadcast": all of it in each subtask of 3
	//        broadcast state "limits": from string to int64
	//   5  sink "out", of 3: at least once
}
