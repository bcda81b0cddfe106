package enginetest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/enginetest"
)

// t is the *testing.T of the examples.
var t = &example{}

// example is a test that prints what goes wrong.
type example struct {
	testing.TB
	cleanups []func()
}

func (e *example) Helper()          {}
func (e *example) Cleanup(f func()) { e.cleanups = append(e.cleanups, f) }
func (e *example) Fatal(args ...any) {
	panic(fmt.Sprint(args...))
}
func (e *example) Errorf(format string, args ...any) { fmt.Printf(format+"\n", args...) }

func (e *example) end() {
	for _, f := range e.cleanups {
		f()
	}
	e.cleanups = nil
}

// counts is an operator that counts the records of a key.
func counts(s *engine.Setup) engine.Func[string, string, string] {
	n := engine.NewCell[int64](s, "n")
	return func(ctx *engine.Context, word string, _ string, out engine.Out[string]) error {
		*n.Ref(ctx)++
		out.Emit(fmt.Sprint(word, " ", *n.Ref(ctx)))
		return nil
	}
}

func itself(word string) string { return word }

func ExampleProcess() {
	defer t.end()
	h := enginetest.Process(t, itself, counts)
	h.Push(noon, "tide")
	h.Push(noon, "page")
	h = h.Restart() // from a checkpoint
	h.Push(noon, "tide")
	fmt.Println(h.Out())
	// Output:
	// [tide 1 page 1 tide 2]
}

// Windows close when the watermark says so.
func ExampleOperator() {
	defer t.end()
	h := enginetest.Operator(t, func(in engine.Stream[int]) engine.Stream[string] {
		hours := engine.Window(engine.KeyBy(in, lastDigit), engine.Tumbling(time.Hour))
		return engine.Aggregate(hours, "largest", largest{})
	})
	h.Push(noon, 13)
	h.Push(noon.Add(time.Minute), 3)
	h.Watermark(noon.Add(59 * time.Minute))
	fmt.Println(h.Out())
	h.Watermark(noon.Add(time.Hour))
	fmt.Println(h.Out())
	// Output:
	// []
	// [12:00 3: 13]
}

func ExampleSide() {
	defer t.end()
	h := enginetest.Process(t, lastDigit, newTotals)
	h.Push(noon, 3)
	h.Push(noon, 4)
	fmt.Println(enginetest.Side(h, odd))
	// Output:
	// [3]
}

// Left are numbers in stock, right are orders.
func ExampleProcess2() {
	defer t.end()
	h := enginetest.Process2(t, one[int], one[string], newStock)
	h.PushLeft(noon, 7)
	h.PushRight(noon, "tide")
	h.PushRight(noon, "moon")
	fmt.Println(h.Out(), enginetest.Side(h, refused))
	h.WatermarkLeft(noon.Add(time.Hour))
	fmt.Println(h.Out()) // the right input may still bring something
	h.WatermarkRight(noon.Add(time.Hour))
	fmt.Println(h.Out())
	// Output:
	// [tide: 3 left] [moon]
	// [tide: 3 left]
	// [tide: 3 left 13:00: 3]
}

func ExampleOperator2() {
	defer t.end()
	h := enginetest.Operator2(t, func(prices engine.Stream[int], names engine.Stream[string]) engine.Stream[string] {
		return engine.IntervalJoin(engine.KeyBy(prices, one[int]), engine.KeyBy(names, one[string]), "named", engine.Inner,
			engine.Within(-time.Minute, time.Minute), func(_ int, price *int, name *string) string { return fmt.Sprint(*name, " ", *price) })
	})
	h.PushLeft(noon, 12)
	h.PushRight(noon.Add(time.Minute), "tide")
	h.PushRight(noon.Add(time.Hour), "page")
	fmt.Println(h.Out())
	// Output:
	// [tide 12]
}

func ExampleHarness_PushError() {
	defer t.end()
	h := enginetest.Process(t, lastDigit, newTotals)
	failed, _ := errors.AsType[*engine.OperatorError](h.PushError(noon, -13))
	fmt.Printf("operator %q, key %s, record %s: %v\n", failed.UID, failed.Key, failed.Record, failed.Err)
	// Output:
	// operator "operator", key 3, record -13: negative
}

// A job is killed twice, and each row is committed once nevertheless.
func ExampleRun() {
	var t *testing.T // the test's
	words := enginetest.NewFeed[string](1)
	words.Add(0, "tide", "page", "tide")
	words.End()
	var out enginetest.Sink[string]
	enginetest.Run(t, func(job *engine.Job) {
		byWord := engine.KeyBy(engine.From(job, "words", words), itself)
		engine.To(engine.Process(byWord, "counts", counts), "out", &out)
	}, enginetest.Seed(7), enginetest.Kills(2))
	for _, row := range out.Rows() {
		fmt.Println(row) // tide 1, tide 2, page 1
	}
}

func ExampleClock() {
	clock := enginetest.NewClock(noon)
	taken := make(chan engine.Checkpoint, 2)
	job := engine.NewJob("hourly")
	engine.To(engine.From(job, "words", enginetest.NewFeed[string](1)), "out", &enginetest.Sink[string]{})
	r, err := job.Start(context.Background(), engine.Options{
		Clock:       clock,
		Checkpoints: engine.Checkpoints{Interval: time.Hour},
		Hooks:       engine.Hooks{Checkpoint: func(c engine.Checkpoint) { taken <- c }},
	})
	if err != nil {
		panic(err)
	}
	defer r.Cancel()
	fmt.Println((<-taken).Triggered.Format(time.TimeOnly))
	clock.Advance(time.Hour)
	fmt.Println((<-taken).Triggered.Format(time.TimeOnly))
	// Output:
	// 12:00:00
	// 13:00:00
}
