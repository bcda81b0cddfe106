package engine_test

import (
	"context"
	"fmt"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/enginetest"
)

// A key that is silent for a minute by the clock is signed off.
func ExampleNewTimer_processingTime() {
	clock := enginetest.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	in, out := enginetest.NewFeed[string](1), make(chan string)
	job := engine.NewJob("presence")
	users := engine.KeyBy(engine.From(job, "users", in), func(user string) string { return user })
	told := engine.Process(users, "presence", func(s *engine.Setup) engine.Func[string, string, string] {
		until := engine.NewCell[engine.Time](s, "until")
		silent := engine.NewTimer(s, "silent", func(ctx *engine.Context, user string, at engine.Time, out engine.Out[string]) error {
			if at == *until.Ref(ctx) {
				until.Clear(ctx)
				out.Emit(user + " has left at " + at.String())
			}
			return nil
		}, engine.ProcessingTime)
		return func(ctx *engine.Context, user, _ string, out engine.Out[string]) error {
			if *until.Ref(ctx) == 0 {
				out.Emit(user + " is here")
			}
			*until.Ref(ctx) = ctx.ProcessingTime().Add(time.Minute)
			silent.Set(ctx, *until.Ref(ctx))
			return nil
		}
	})
	engine.To(told, "out", engine.SinkFunc(func(_ context.Context, batch []string) error {
		for _, s := range batch {
			out <- s
		}
		return nil
	}))
	r, err := job.Start(context.Background(), engine.Options{Clock: clock})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Cancel()
	in.Add(0, "ann")
	fmt.Println(<-out)
	clock.Advance(time.Minute)
	fmt.Println(<-out)
	// Output:
	// ann is here
	// ann has left at 2026-03-01T12:01:00Z
}
