package enginetest_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/enginetest"
)

// recorder is a test that fails into a string.
type recorder struct {
	testing.TB
	said string
}

func (r *recorder) Fatal(args ...any) { r.say(fmt.Sprint(args...)) }

func (r *recorder) Fatalf(format string, args ...any) { r.say(fmt.Sprintf(format, args...)) }

func (r *recorder) say(s string) {
	r.said = s
	runtime.Goexit()
}

// fatal returns what a test says that must end early.
func fatal(t *testing.T, f func(testing.TB)) string {
	t.Helper()
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	if r.said == "" {
		t.Error("the test went on")
	}
	return r.said
}

func contains(t *testing.T, said string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(said, p) {
			t.Errorf("%q does not say %q", said, p)
		}
	}
}

type rows[T any] struct {
	mu   sync.Mutex
	list []T
}

func (r *rows[T]) write(_ context.Context, batch []T) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, batch...)
	return nil
}

func TestMisuse(t *testing.T) {
	type harness = *enginetest.Harness[int, string]
	for name, c := range map[string]struct {
		misuse func(h harness)
		says   string
	}{
		"record fails":            {func(h harness) { h.Push(noon, -3) }, "key -3, record -3 (source"},
		"record does not fail":    {func(h harness) { h.PushError(noon, 3) }, "the operator took the record 3, which it was to fail on"},
		"watermark goes back":     {func(h harness) { h.Watermark(noon); h.Watermark(noon.Add(-1)) }, "is before the last one"},
		"time out of range":       {func(h harness) { h.Push(time.Time{}, 3) }, "outside the years 1678 to 2261"},
		"time after the last":     {func(h harness) { h.Watermark(engine.MaxTime.UTC()) }, "outside the years 1678 to 2261"},
		"push after the end":      {func(h harness) { h.End(); h.Push(noon, 3) }, "the input has ended"},
		"restart after the end":   {func(h harness) { h.End(); h.Restart() }, "the input has ended"},
		"no parallelism":          {func(h harness) { h.Rescale(0) }, "parallelism 0"},
		"clock goes back":         {func(h harness) { h.Advance(-1) }, "the clock was to go back by 1ns"},
		"side output of no one":   {func(h harness) { enginetest.Side(h, engine.Side[int]("even")) }, `no side output "even"`},
		"side output, other type": {func(h harness) { enginetest.Side(h, engine.Side[string](odd)) }, `no side output "odd" of string`},
	} {
		t.Run(name, func(t *testing.T) {
			contains(t, fatal(t, func(tb testing.TB) {
				c.misuse(enginetest.Process(tb, func(n int) int { return n }, newTotals))
			}), c.says)
		})
	}
}

func TestMisuseOfTwoInputs(t *testing.T) {
	type harness = *enginetest.Harness2[int, string, string]
	for name, c := range map[string]struct {
		misuse func(h harness)
		says   string
	}{
		"left watermark goes back": {func(h harness) { h.WatermarkLeft(noon); h.WatermarkLeft(noon.Add(-1)) }, "is before the last one"},
		"both go back for one":     {func(h harness) { h.WatermarkRight(noon); h.Watermark(noon.Add(-1)) }, "is before the last one"},
		"right record fails":       {func(h harness) { h.PushRight(noon, "bad") }, "key 1, record bad (source"},
		"push after the end":       {func(h harness) { h.End(); h.PushRight(noon, "") }, "the input has ended"},
	} {
		t.Run(name, func(t *testing.T) {
			contains(t, fatal(t, func(tb testing.TB) { c.misuse(newStockHarness(tb)) }), c.says)
		})
	}
}

func TestGraphMistakesEndTheTest(t *testing.T) {
	said := fatal(t, func(tb testing.TB) {
		enginetest.Process(tb, lastDigit, func(s *engine.Setup) *totals {
			newTotals(s)
			return newTotals(s)
		})
	})
	contains(t, said, `the name "sum" is used twice`)
}

// failing has tests that fail on purpose; TestFailuresAreReportedAtTheCaller runs them in a process of their own.
func failing(t *testing.T, what string) {
	h := enginetest.Process(t, lastDigit, newTotals)
	switch what {
	case "want":
		h.Want("nothing") // line: want
	case "push":
		h.Push(noon, -1) // line: push
	case "error":
		h.PushError(noon, 1) // line: error
	case "side":
		enginetest.Side(h, engine.Side[int]("even")) // line: side
	case "advance":
		h.Advance(-1) // line: advance
	case "watermark":
		h.Watermark(time.Time{}) // line: watermark
	case "two inputs":
		newStockHarness(t).PushRight(noon, "bad") // line: two inputs
	case "run":
		enginetest.Run(t, func(*engine.Job) {}) // line: run
	case "record":
		graph := func(job *engine.Job) {
			in := engine.From(job, "in", engine.SliceSource(1))
			bad := engine.FlatMap(in, func(int, engine.Out[int]) error { return engine.Permanent(errNegative) })
			engine.To(bad, "out", &enginetest.Sink[int]{})
		}
		enginetest.Run(t, graph, enginetest.Seed(5), enginetest.Kills(0)) // line: record
	}
}

func TestFailuresAreReportedAtTheCaller(t *testing.T) {
	if what := os.Getenv("ENGINETEST_FAIL"); what != "" {
		failing(t, what)
		return
	}
	source, err := os.ReadFile("misuse_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for what, says := range map[string]string{
		"want": "", "push": "", "error": "", "side": "", "advance": "", "watermark": "", "two inputs": "", "run": "has no source",
		"record": "enginetest.Seed(5), after 0 kills and ",
	} {
		before, _, _ := strings.Cut(string(source), "// line: "+what)
		where := fmt.Sprintf("misuse_test.go:%d: ", 1+strings.Count(before, "\n"))
		cmd := exec.Command(os.Args[0], "-test.run=^TestFailuresAreReportedAtTheCaller$")
		cmd.Env = append(os.Environ(), "ENGINETEST_FAIL="+what)
		out, err := cmd.CombinedOutput()
		if err == nil {
			t.Errorf("%s: the test passes", what)
		}
		contains(t, string(out), where, says)
	}
}

func TestNothingLivesOnAfterTheTest(t *testing.T) {
	t.Run("harness", func(t *testing.T) {
		h := enginetest.Process(t, lastDigit, newTotals)
		h.Push(noon, 3)
		h.Restart()
		enginetest.Side(h, odd)
		h.PushError(noon, -3)
	})
	t.Run("two inputs", func(t *testing.T) {
		h := newStockHarness(t)
		h.PushLeft(noon, 3)
		h.Restart()
	})
	t.Run("failed", func(t *testing.T) {
		fatal(t, func(tb testing.TB) { enginetest.Process(tb, lastDigit, newTotals).Push(noon, -3) })
	})
	in, _ := readings(60)
	enginetest.Run(t, func(job *engine.Job) { hourly(job, in, &enginetest.Sink[string]{}) }, enginetest.Kills(2))
	var left string
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); runtime.Gosched() {
		if left = ownGoroutines(); left == "" { // one that has said its last word may take a moment to go
			return
		}
	}
	t.Errorf("goroutines are left:\n%s", left)
}

func ownGoroutines() (own string) {
	buf := make([]byte, 1<<20)
	for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(g, "pagetide/pagetide/") && !strings.Contains(g, "testing.tRunner") {
			own += g + "\n\n"
		}
	}
	return own
}
