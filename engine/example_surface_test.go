package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/pagetide/pagetide/engine"
)

func ExampleMap() {
	job := engine.NewJob("lengths")
	words := engine.From(job, "words", engine.SliceSource("tide", "page"))
	lengths := engine.Map(words, func(w string) int { return len(w) })
	engine.To(lengths, "out", engine.Stdout[int]())
	mustRun(job)
	// Output:
	// 4
	// 4
}

func ExampleFilter() {
	job := engine.NewJob("long")
	words := engine.From(job, "words", engine.SliceSource("moon", "sea", "tide"))
	long := engine.Filter(words, func(w string) bool { return len(w) > 3 })
	engine.To(long, "out", engine.Stdout[string]())
	mustRun(job)
	// Output:
	// moon
	// tide
}

// A stream may go to several sinks: each gets all of it.
func ExampleTo() {
	job := engine.NewJob("twice")
	words := engine.From(job, "words", engine.SliceSource("tide"))
	engine.To(words, "first", engine.Stdout[string]())
	engine.To(words, "second", engine.Stdout[string]())
	mustRun(job)
	// Output:
	// tide
	// tide
}

// Any records will do, in the order in which they are given.
func ExampleSliceSource() {
	job := engine.NewJob("slice")
	readings := engine.From(job, "readings", engine.SliceSource([]reading{{"a", at(1), 10}, {"b", at(2), 20}}...))
	engine.To(engine.Map(readings, func(r reading) string { return fmt.Sprint(r.Sensor, r.Value) }), "out", engine.Stdout[string]())
	mustRun(job)
	// Output:
	// a10
	// b20
}

// Records come in batches, whose slice is the engine's.
func ExampleSinkFunc() {
	total := 0
	sum := engine.SinkFunc(func(_ context.Context, batch []int) error {
		for _, n := range batch {
			total += n
		}
		return nil
	})
	job := engine.NewJob("total")
	engine.To(engine.From(job, "numbers", engine.SliceSource(1, 2, 3)), "sum", sum)
	mustRun(job)
	fmt.Println(total)
	// Output:
	// 6
}

func ExampleLines() {
	var page bytes.Buffer
	job := engine.NewJob("lines")
	engine.To(engine.From(job, "words", engine.SliceSource("tide", "page")), "out", engine.Lines[string](&page))
	mustRun(job)
	fmt.Printf("%q\n", page.String())
	// Output:
	// "tide\npage\n"
}

// place is a key: flat, without padding and floats.
type place struct{ Row, Column int32 }

// A key may be a struct. Records of one key meet in one subtask, in order.
func ExampleKeyBy() {
	job := engine.NewJob("places")
	moves := engine.From(job, "moves", engine.SliceSource("a1", "b7", "a1"))
	byPlace := engine.KeyBy(moves, func(m string) place { return place{int32(m[1] - '0'), int32(m[0] - 'a')} })
	engine.To(engine.Process(byPlace, "again", func(s *engine.Setup) engine.Func[place, string, string] {
		before := engine.NewCell[int64](s, "before")
		return func(ctx *engine.Context, p place, m string, out engine.Out[string]) error {
			if n := before.Ref(ctx); *n > 0 {
				out.Emit(fmt.Sprint(m, " again, row ", p.Row))
			}
			*before.Ref(ctx)++
			return nil
		}
	}), "out", engine.Stdout[string]())
	mustRun(job)
	// Output:
	// a1 again, row 1
}

// A cell is one flat value per key. Ref leads to where it lies: assigning is storing.
func ExampleCell() {
	type extent struct{ Least, Most int64 }
	job := engine.NewJob("ranges")
	bySensor := engine.KeyBy(engine.From(job, "readings", engine.SliceSource(
		reading{"a", at(1), 20}, reading{"a", at(2), 10}, reading{"a", at(3), 30})), func(r reading) string { return r.Sensor })
	engine.To(engine.Process(bySensor, "ranges", func(s *engine.Setup) engine.Func[string, reading, string] {
		seen := engine.NewCell[extent](s, "seen")
		return func(ctx *engine.Context, sensor string, r reading, out engine.Out[string]) error {
			if _, ok := seen.Get(ctx); !ok {
				seen.Set(ctx, extent{r.Value, r.Value})
			}
			v := seen.Ref(ctx)
			v.Least, v.Most = min(v.Least, r.Value), max(v.Most, r.Value)
			out.Emit(fmt.Sprint(sensor, " from ", v.Least, " to ", v.Most))
			return nil
		}
	}), "out", engine.Stdout[string]())
	mustRun(job)
	// Output:
	// a from 20 to 20
	// a from 10 to 20
	// a from 10 to 30
}

// A value that lives for five minutes of event time after it was written: when bob comes, time has gone on, and ann is new again.
func ExampleTTL() {
	job := engine.NewJob("fresh")
	src := engine.From(job, "visits", alone(visit{"ann", "/", at(0)}, visit{"ann", "/a", at(4)}, visit{"bob", "/", at(20)}, visit{"ann", "/b", at(21)}),
		engine.EventTime(func(v visit) time.Time { return v.At }, engine.Monotonous()))
	byUser := engine.KeyBy(src, func(v visit) string { return v.User })
	engine.To(engine.Process(byUser, "fresh", func(s *engine.Setup) engine.Func[string, visit, string] {
		last := engine.NewValueState[string](s, "last", engine.TTL(5*time.Minute))
		return func(ctx *engine.Context, user string, v visit, out engine.Out[string]) error {
			before, ok := last.Get(ctx)
			out.Emit(fmt.Sprintf("%s at %s, before %q %t", user, v.Page, before, ok))
			last.Set(ctx, v.Page)
			return nil
		}
	}), "out", engine.Stdout[string]())
	mustRun(job)
	// Output:
	// ann at /, before "" false
	// ann at /a, before "/" true
	// bob at /, before "" false
	// ann at /b, before "" false
}

// jsonCodec keeps values as JSON, where the default is CBOR.
type jsonCodec[T any] struct{}

func (jsonCodec[T]) Name() string                { return "json" }
func (jsonCodec[T]) Decode(b []byte, v *T) error { return json.Unmarshal(b, v) }
func (jsonCodec[T]) Append(buf []byte, v *T) ([]byte, error) {
	b, err := json.Marshal(v)
	return append(buf, b...), err
}

func ExampleEncoded() {
	job := engine.NewJob("profiles")
	byUser := visits(job, visit{"ann", "/", at(0)}, visit{"ann", "/a", at(4)})
	engine.To(engine.Process(byUser, "pages", func(s *engine.Setup) engine.Func[string, visit, int] {
		pages := engine.NewValueState[map[string]int](s, "pages", engine.Encoded[map[string]int](jsonCodec[map[string]int]{}))
		return func(ctx *engine.Context, _ string, v visit, out engine.Out[int]) error {
			seen, ok := pages.Get(ctx)
			if !ok {
				seen = map[string]int{}
			}
			seen[v.Page]++
			pages.Set(ctx, seen)
			out.Emit(len(seen))
			return nil
		}
	}), "out", engine.Stdout[int]())
	mustRun(job)
	// Output:
	// 1
	// 2
}

// A side output is filled by the Out that NewSide gives, and read with SideOutput and the same tag.
func ExampleNewSide() {
	const long engine.Side[int] = "long"
	job := engine.NewJob("sides")
	words := engine.KeyBy(engine.From(job, "words", engine.SliceSource("sea", "moonlight")), strings.ToLower)
	short := engine.Process(words, "split", func(s *engine.Setup) engine.Func[string, string, string] {
		tooLong := engine.NewSide(s, long)
		return func(_ *engine.Context, _ string, w string, out engine.Out[string]) error {
			if len(w) > 5 {
				tooLong.Emit(len(w))
				return nil
			}
			out.Emit(w)
			return nil
		}
	})
	engine.To(short, "short", engine.Stdout[string]())
	engine.To(engine.SideOutput(short, long), "long", engine.Stdout[int]())
	mustRun(job)
	// Unordered output:
	// sea
	// 9
}

// Each record says when it happened. Those of one split come in that order here; what is silent for a minute holds nothing up.
func ExampleEventTime() {
	job := engine.NewJob("times")
	times := engine.EventTime(reading.When, engine.Monotonous()).Idle(time.Minute)
	readings := engine.From(job, "readings", engine.SliceSource(reading{"a", at(1), 10}), times)
	engine.To(engine.Aggregate(engine.Window(engine.KeyBy(readings, func(r reading) string { return r.Sensor }),
		engine.Tumbling(time.Hour)), "means", mean{}), "out", engine.Stdout[string]())
	mustRun(job)
	// Output:
	// a from 12:00: mean 10 of 1
}

// latecomer is a stream in which the second record is two minutes behind the first, with windows of a minute.
func latecomer(w engine.WatermarkStrategy) {
	job := engine.NewJob("latecomer")
	readings := engine.From(job, "readings", alone(reading{"a", at(3), 10}, reading{"a", at(1), 20}), engine.EventTime(reading.When, w))
	windows := engine.Window(engine.KeyBy(readings, func(r reading) string { return r.Sensor }), engine.Tumbling(time.Minute))
	engine.To(engine.Aggregate(windows, "means", mean{}), "out", engine.Stdout[string]())
	engine.To(engine.Map(windows.Late(), func(r reading) string { return fmt.Sprint("late: ", r.Value) }), "late", engine.Stdout[string]())
	mustRun(job)
}

func ExampleMonotonous() {
	latecomer(engine.Monotonous())
	// Output:
	// late: 20
	// a from 12:03: mean 10 of 1
}

// The window of 12:01 stays open until a record of 12:04 has come.
func ExampleOutOfOrder() {
	latecomer(engine.OutOfOrder(2 * time.Minute))
	// Output:
	// a from 12:01: mean 20 of 1
	// a from 12:03: mean 10 of 1
}

func ExampleTumbling() {
	job := engine.NewJob("hours")
	readings := engine.From(job, "readings", engine.SliceSource(reading{"a", at(0), 10}, reading{"a", at(59), 20}, reading{"a", at(60), 50}),
		engine.EventTime(reading.When, engine.OutOfOrder(0)))
	hours := engine.Window(engine.KeyBy(readings, func(r reading) string { return r.Sensor }), engine.Tumbling(time.Hour))
	engine.To(engine.Aggregate(hours, "means", mean{}), "out", engine.Stdout[string]())
	mustRun(job)
	// Output:
	// a from 12:00: mean 15 of 2
	// a from 13:00: mean 50 of 1
}

// The days of a place two hours ahead of UTC.
func ExampleAssigner_Offset() {
	job := engine.NewJob("days")
	readings := engine.From(job, "readings", engine.SliceSource(reading{"a", at(0), 10}, reading{"a", at(599), 20}, reading{"a", at(600), 50}),
		engine.EventTime(reading.When, engine.OutOfOrder(0)))
	days := engine.Window(engine.KeyBy(readings, func(r reading) string { return r.Sensor }), engine.Tumbling(24*time.Hour).Offset(-2*time.Hour))
	engine.To(engine.Aggregate(days, "means", mean{}), "out", engine.Stdout[string]())
	mustRun(job)
	// Output:
	// a from 22:00: mean 15 of 2
	// a from 22:00: mean 50 of 1
}

// longest finds the longest word of a day. The accumulator is flat: a number, and the bytes of the word.
type longest struct{}

type word struct {
	Len  int64
	Text [16]byte
}

func (longest) Add(a *word, v visit) {
	if n := int64(len(v.Page)); n > a.Len {
		a.Len = n
		copy(a.Text[:], v.Page)
	}
}

func (longest) Merge(into *word, from word) {
	if from.Len > into.Len {
		*into = from
	}
}

func (longest) Result(user string, day engine.Span, a word) string {
	return fmt.Sprintf("%s %s: %s", day.Start.UTC().Format(time.DateOnly), user, a.Text[:a.Len])
}

func ExampleAggregate() {
	job := engine.NewJob("longest")
	byUser := visits(job, visit{"ann", "/tide", at(0)}, visit{"ann", "/moonlight", at(2)}, visit{"ann", "/", at(5)})
	days := engine.Window(byUser, engine.Tumbling(24*time.Hour))
	engine.To(engine.Aggregate(days, "longest", longest{}), "out", engine.Stdout[string]())
	mustRun(job)
	// Output:
	// 2026-01-01 ann: /moonlight
}

// A click belongs to the page that was shown up to a minute before.
func ExampleWithin() {
	job := engine.NewJob("clicks")
	side := func(uid string, all ...visit) engine.Keyed[string, visit] {
		src := engine.From(job, uid, engine.SliceSource(all...), engine.EventTime(func(v visit) time.Time { return v.At }, engine.OutOfOrder(0)))
		return engine.KeyBy(src, func(v visit) string { return v.User })
	}
	shown := side("shown", visit{"ann", "/", at(0)}, visit{"ann", "/a", at(5)})
	clicked := side("clicked", visit{"ann", "yes", at(1)}, visit{"ann", "no", at(4)})
	engine.To(engine.IntervalJoin(shown, clicked, "clicks", engine.Inner, engine.Within(0, time.Minute),
		func(user string, page, click *visit) string {
			return fmt.Sprint(user, " on ", page.Page, ": ", click.Page)
		}),
		"out", engine.Lines[string](os.Stdout))
	mustRun(job)
	// Output:
	// ann on /: yes
}

// alone makes a source in which each record is a batch of its own: time moves on between any two.
func alone[T any](recs ...T) engine.Source[T] {
	return engine.SourceFunc(func(_ context.Context, from engine.Position, b *engine.Batch[T]) (engine.Position, error) {
		n := len(from) // so many have been read
		if n == len(recs) {
			return from, io.EOF
		}
		*b.Next() = recs[n]
		return from + "+", nil
	})
}
