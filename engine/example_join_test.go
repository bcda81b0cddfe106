package engine_test

import (
	"context"
	"fmt"
	"time"

	"github.com/pagetide/pagetide/engine"
)

type stamped struct {
	User string
	What string
	At   time.Time
}

func noon(minute int) time.Time { return time.Date(2026, 1, 1, 12, minute, 0, 0, time.UTC) }

func stampedStream(job *engine.Job, uid string, recs ...stamped) engine.Stream[stamped] {
	return engine.From(job, uid, engine.SliceSource(recs...),
		engine.EventTime(func(s stamped) time.Time { return s.At }, engine.OutOfOrder(time.Minute)))
}

func byUser(in engine.Stream[stamped]) engine.Keyed[string, stamped] {
	return engine.KeyBy(in, func(s stamped) string { return s.User })
}

func ExampleUnion() {
	job := engine.NewJob("union")
	web := stampedStream(job, "web", stamped{"ann", "visits", noon(1)})
	app := stampedStream(job, "app", stamped{"ann", "opens", noon(2)})
	counts := engine.Process(byUser(engine.Union(web, app)), "count", func(s *engine.Setup) engine.Func[string, stamped, string] {
		n := engine.NewCell[int](s, "n")
		return func(ctx *engine.Context, user string, _ stamped, out engine.Out[string]) error {
			*n.Ref(ctx)++
			out.Emit(fmt.Sprint(user, " ", *n.Ref(ctx)))
			return nil
		}
	})
	engine.To(counts, "out", Print[string]())
	if err := job.Run(context.Background(), engine.Options{}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// ann 1
	// ann 2
}

// Orders and payments that belong together; orders that are not paid within ten minutes come out alone.
func ExampleIntervalJoin() {
	job := engine.NewJob("paid")
	orders := stampedStream(job, "orders", stamped{"ann", "tea", noon(0)}, stamped{"bob", "cake", noon(1)})
	payments := stampedStream(job, "payments", stamped{"ann", "2.50", noon(4)}, stamped{"bob", "3.00", noon(30)})
	paid := engine.IntervalJoin(byUser(orders), byUser(payments), "match", engine.LeftOuter, engine.Within(0, 10*time.Minute),
		func(user string, order, payment *stamped) string {
			if payment == nil {
				return fmt.Sprintf("%s has not paid for %s", user, order.What)
			}
			return fmt.Sprintf("%s paid %s for %s", user, payment.What, order.What)
		})
	engine.To(paid, "out", Print[string]())
	if err := job.Run(context.Background(), engine.Options{}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// ann paid 2.50 for tea
	// bob has not paid for cake
}

// muted drops what muted users say.
type muted struct{ engine.Cell[bool] }

func (m muted) OnLeft(ctx *engine.Context, user string, s stamped, out engine.Out[string]) error {
	if !*m.Ref(ctx) {
		out.Emit(user + " says " + s.What)
	}
	return nil
}

func (m muted) OnRight(ctx *engine.Context, user string, s stamped, out engine.Out[string]) error {
	*m.Ref(ctx) = s.What == "mute"
	return nil
}

func ExampleProcess2() {
	job := engine.NewJob("chat")
	all := stampedStream(job, "all", stamped{"ann", "hello", noon(0)}, stamped{"ann", "mute", noon(1)}, stamped{"ann", "hello?", noon(2)})
	said := engine.Filter(all, func(s stamped) bool { return s.What != "mute" })
	rules := engine.Filter(all, func(s stamped) bool { return s.What == "mute" })
	heard := engine.Process2(byUser(said), byUser(rules), "muted", func(s *engine.Setup) muted {
		return muted{engine.NewCell[bool](s, "on")}
	})
	engine.To(heard, "out", Print[string]())
	if err := job.Run(context.Background(), engine.Options{}); err != nil {
		fmt.Println(err)
	}
	// Output: ann says hello
}
