package engine_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
)

// TestPositionOfRecords: the failure of a record says where it was read, whichever tasks it has gone through; that of what a
// timer has sent says nothing.
func TestPositionOfRecords(t *testing.T) {
	const records, bad = 50_000, 41_234
	broken := errors.New("broken")
	fail := func(e event) (event, error) {
		if e.N == bad {
			return e, broken
		}
		return e, nil
	}
	behind := func(in engine.Stream[event]) engine.Stream[event] {
		return engine.ProcessEach(in, "fails", func(*engine.Setup) engine.EachFunc[event, event] {
			return func(_ *engine.Context, e event, out engine.Out[event]) error {
				e, err := fail(e)
				out.Emit(e)
				return err
			}
		})
	}
	byKey := func(in engine.Stream[event]) engine.Keyed[string, event] {
		return engine.KeyBy(in, func(e event) string { return e.Key })
	}
	each := func(uid string, in engine.Keyed[string, event], call func(*engine.Context, event, engine.Out[event]) error) engine.Stream[event] {
		return engine.Process(in, uid, func(*engine.Setup) engine.Func[string, event, event] {
			return func(ctx *engine.Context, _ string, e event, out engine.Out[event]) error { return call(ctx, e, out) }
		})
	}
	pass := func(_ *engine.Context, e event, out engine.Out[event]) error { out.Emit(e); return nil }
	for name, graph := range map[string]func(engine.Stream[event]) engine.Stream[event]{
		"keyed": func(in engine.Stream[event]) engine.Stream[event] {
			return each("fails", byKey(in), func(_ *engine.Context, e event, out engine.Out[event]) error {
				_, err := fail(e)
				return err
			})
		},
		"keyed twice": func(in engine.Stream[event]) engine.Stream[event] {
			return behind(each("passes", byKey(each("passes too", byKey(in), pass)), pass))
		},
		"dealt out": func(in engine.Stream[event]) engine.Stream[event] { return behind(engine.Rebalance(in)) },
		"called for": func(in engine.Stream[event]) engine.Stream[event] {
			return engine.Async(in, "fails", engine.AsyncOptions{}, func(_ context.Context, e event) (event, error) { return fail(e) })
		},
		"timer": func(in engine.Stream[event]) engine.Stream[event] {
			return behind(engine.Rebalance(engine.Process(byKey(in), "later", func(s *engine.Setup) engine.Func[string, event, event] {
				at := engine.NewTimer(s, "at", func(_ *engine.Context, _ string, at engine.Time, out engine.Out[event]) error {
					out.Emit(event{N: int64(at.UTC().Sub(t0) / time.Second)})
					return nil
				})
				return func(ctx *engine.Context, _ string, e event, _ engine.Out[event]) error {
					at.Set(ctx, ctx.Time())
					return nil
				}
			})))
		},
	} {
		for _, p := range []int{1, 4} {
			t.Run(fmt.Sprintf("%s, parallelism %d", name, p), func(t *testing.T) {
				job := engine.NewJob("positions")
				in := engine.From(job, "in", engine.SliceSource(events(records)...), engine.EventTime(atOf, engine.OutOfOrder(time.Minute)))
				engine.To(graph(in), "out", engine.SinkFunc(func(context.Context, []event) error { return nil }))
				err := job.Run(t.Context(), engine.Options{Parallelism: p, Restart: engine.Restart{None: true}})
				op, ok := errors.AsType[*engine.OperatorError](err)
				if !ok || !errors.Is(err, broken) {
					t.Fatalf("Run = %v", err)
				}
				if name == "timer" {
					if op.Position != "" {
						t.Errorf("position %q of what a timer has sent", op.Position)
					}
					return
				}
				var from int64
				if _, err := fmt.Sscanf(op.Position, `source "in", split "slice", read after position "%d"`, &from); err != nil {
					t.Fatalf("position %q: %v", op.Position, err)
				}
				if from > bad || bad-from >= 8192 {
					t.Errorf("record %d was read after %d", bad, from)
				}
			})
		}
	}
}
