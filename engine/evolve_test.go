package engine_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
)

type tallyV1 struct{ N int32 }

type tallyV2 struct {
	Count int64 `pagetide:"was=N"`
	Last  int64
}

// TestCellTypeGrows restores a job whose cell's type has a wider field of another name, and one more.
func TestCellTypeGrows(t *testing.T) {
	home := t.TempDir()
	job := func(in *feed[event], seen chan string, tally func(*engine.Setup) func(*engine.Context, event) string) *engine.Job {
		j := engine.NewJob("grows")
		byKey := engine.KeyBy(engine.From(j, "in", in), func(e event) string { return e.Key })
		engine.To(engine.Process(byKey, "proc", func(s *engine.Setup) engine.Func[string, event, string] {
			count := tally(s)
			return func(ctx *engine.Context, _ string, e event, _ engine.Out[string]) error {
				seen <- count(ctx, e)
				return nil
			}
		}), "out", newLog())
		return j
	}
	seen := make(chan string, 100)
	in := newFeed[event](1)
	in.add(0, event{Key: "a"}, event{Key: "a"})
	r := start(t, job(in, seen, func(s *engine.Setup) func(*engine.Context, event) string {
		c := engine.NewCell[tallyV1](s, "tally")
		return func(ctx *engine.Context, _ event) string { c.Ref(ctx).N--; return fmt.Sprint(*c.Ref(ctx)) }
	}), variant{}.options(home, engine.Restore{}))
	if a, b := next(t, seen), next(t, seen); a != "{-1}" || b != "{-2}" {
		t.Fatalf("first run: %s, %s", a, b)
	}
	if _, err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}

	var logged strings.Builder
	o := variant{}.options(home, engine.Restore{Path: engine.Latest})
	o.Logger = slog.New(slog.NewTextHandler(&logged, nil))
	in.add(0, event{Key: "a", N: 5})
	r = start(t, job(in, seen, func(s *engine.Setup) func(*engine.Context, event) string {
		c := engine.NewCell[tallyV2](s, "tally")
		return func(ctx *engine.Context, e event) string {
			v := c.Ref(ctx)
			v.Count--
			v.Last += e.N
			return fmt.Sprint(*v)
		}
	}), o)
	if got := next(t, seen); got != "{-3 5}" {
		t.Errorf("second run: %s, want {-3 5}", got)
	}
	if _, err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(logged.String(), "rewritten") || !strings.Contains(logged.String(), "struct{N int32}") {
		t.Errorf("the log does not tell of the rewriting:\n%s", logged.String())
	}
}

// next waits for what an operator saw.
func next(t *testing.T, seen <-chan string) string {
	t.Helper()
	select {
	case v := <-seen:
		return v
	case <-time.After(30 * time.Second):
		t.Fatal("no record was seen")
		return ""
	}
}
