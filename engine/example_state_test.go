package engine_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pagetide/pagetide/engine"
)

// visit is a record of the examples.
type visit struct {
	User string
	Page string
	At   time.Time
}

func visits(job *engine.Job, all ...visit) engine.Keyed[string, visit] {
	src := engine.From(job, "visits", engine.SliceSource(all...),
		engine.EventTime(func(v visit) time.Time { return v.At }, engine.OutOfOrder(time.Minute)))
	return engine.KeyBy(src, func(v visit) string { return v.User })
}

func mustRun(job *engine.Job) {
	if err := job.Run(context.Background(), engine.Options{}); err != nil {
		fmt.Println(err)
	}
}

// counter keeps a flat value per user, in place.
type counter struct {
	seen engine.Cell[struct{ Visits int64 }]
}

func newCounter(s *engine.Setup) *counter {
	return &counter{seen: engine.NewCell[struct{ Visits int64 }](s, "seen")}
}

func (c *counter) OnRecord(ctx *engine.Context, user string, _ visit, out engine.Out[string]) error {
	seen := c.seen.Ref(ctx) // zero before the first visit
	seen.Visits++
	out.Emit(fmt.Sprint(user, " was here ", seen.Visits, " times"))
	return nil
}

func ExampleProcess() {
	job := engine.NewJob("counts")
	byUser := visits(job, visit{"ann", "/", at(0)}, visit{"bob", "/", at(1)}, visit{"ann", "/a", at(2)})
	engine.To(engine.Process(byUser, "count", newCounter), "out", Print[string]())
	mustRun(job)
	// Output:
	// ann was here 1 times
	// bob was here 1 times
	// ann was here 2 times
}

// A closure is enough for a small operator. ValueState takes any type.
func ExampleValueState() {
	job := engine.NewJob("last")
	byUser := visits(job, visit{"ann", "/", at(0)}, visit{"ann", "/a", at(2)}, visit{"ann", "/b", at(5)})
	moves := engine.Process(byUser, "last", func(s *engine.Setup) engine.Func[string, visit, string] {
		last := engine.NewValueState[visit](s, "last")
		return func(ctx *engine.Context, user string, v visit, out engine.Out[string]) error {
			if before, ok := last.Get(ctx); ok {
				out.Emit(fmt.Sprintf("%s: %s to %s after %s", user, before.Page, v.Page, v.At.Sub(before.At)))
			}
			last.Set(ctx, v)
			return nil
		}
	})
	engine.To(moves, "out", Print[string]())
	mustRun(job)
	// Output:
	// ann: / to /a after 2m0s
	// ann: /a to /b after 3m0s
}

func ExampleListState() {
	job := engine.NewJob("recent")
	byUser := visits(job, visit{"ann", "/", at(0)}, visit{"ann", "/a", at(2)}, visit{"ann", "/b", at(5)})
	recent := engine.Process(byUser, "recent", func(s *engine.Setup) engine.Func[string, visit, string] {
		pages := engine.NewListState[string](s, "pages")
		return func(ctx *engine.Context, user string, v visit, out engine.Out[string]) error {
			pages.Append(ctx, v.Page)
			pages.DropFirst(ctx, pages.Len(ctx)-2) // the last two
			var all []string
			for p := range pages.All(ctx) {
				all = append(all, p)
			}
			out.Emit(strings.Join(all, " "))
			return nil
		}
	})
	engine.To(recent, "out", Print[string]())
	mustRun(job)
	// Output:
	// /
	// / /a
	// /a /b
}

// session says when a user has been silent for ten minutes.
type session struct {
	end   engine.Cell[engine.Time]
	quiet engine.Timer
}

func newSession(s *engine.Setup) *session {
	o := &session{end: engine.NewCell[engine.Time](s, "end")}
	o.quiet = engine.NewTimer(s, "quiet", o.onQuiet)
	return o
}

func (o *session) OnRecord(ctx *engine.Context, _ string, _ visit, _ engine.Out[string]) error {
	end := o.end.Ref(ctx)
	o.quiet.Delete(ctx, *end)
	*end = ctx.Time().Add(10 * time.Minute)
	o.quiet.Set(ctx, *end)
	return nil
}

func (o *session) onQuiet(ctx *engine.Context, user string, at engine.Time, out engine.Out[string]) error {
	o.end.Clear(ctx)
	out.Emit(fmt.Sprint(user, " left at ", at.UTC().Format("15:04")))
	return nil
}

func ExampleTimer() {
	job := engine.NewJob("sessions")
	byUser := visits(job, visit{"ann", "/", at(0)}, visit{"ann", "/a", at(8)}, visit{"bob", "/", at(9)})
	engine.To(engine.Process(byUser, "sessions", newSession), "out", Print[string]())
	mustRun(job)
	// Output:
	// ann left at 12:18
	// bob left at 12:19
}

const errorsSeen engine.Side[string] = "errors"

func ExampleSideOutput() {
	job := engine.NewJob("errors")
	byUser := visits(job, visit{"ann", "/", at(0)}, visit{"ann", "/missing", at(2)})
	pages := engine.Process(byUser, "check", func(s *engine.Setup) engine.Func[string, visit, string] {
		bad := engine.NewSide(s, errorsSeen)
		return func(_ *engine.Context, user string, v visit, out engine.Out[string]) error {
			if v.Page == "/missing" {
				bad.Emit(user + " found nothing")
				return nil
			}
			out.Emit(v.Page)
			return nil
		}
	})
	engine.To(pages, "out", Print[string]())
	engine.To(engine.SideOutput(pages, errorsSeen), "errors", Print[string]())
	mustRun(job)
	// Output:
	// /
	// ann found nothing
}

// A resource lives as long as its subtask.
func ExampleSetup_OnOpen() {
	job := engine.NewJob("resource")
	byUser := visits(job, visit{"ann", "/", at(0)})
	engine.To(engine.Process(byUser, "ask", func(s *engine.Setup) engine.Func[string, visit, string] {
		var names map[string]string
		s.OnOpen(func(context.Context) error {
			names = map[string]string{"ann": "Ann Lee"}
			return nil
		})
		s.OnClose(func() error { fmt.Println("closed"); return nil })
		return func(_ *engine.Context, user string, _ visit, out engine.Out[string]) error {
			out.Emit(names[user])
			return nil
		}
	}), "out", Print[string]())
	mustRun(job)
	// Output:
	// Ann Lee
	// closed
}
