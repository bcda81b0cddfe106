package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/pagetide/pagetide/engine"
)

// tally counts its records and prints each count.
func tally(from engine.Source[string], printed chan<- bool) *engine.Job {
	job := engine.NewJob("tally")
	words := engine.From(job, "words", from)
	counts := engine.Process(engine.KeyBy(words, func(w string) string { return w }), "count",
		func(s *engine.Setup) engine.Func[string, string, string] {
			n := engine.NewCell[int64](s, "n")
			return func(ctx *engine.Context, word string, _ string, out engine.Out[string]) error {
				*n.Ref(ctx)++
				out.Emit(fmt.Sprint(word, " ", *n.Ref(ctx)))
				return nil
			}
		})
	engine.To(counts, "out", engine.SinkFunc(func(_ context.Context, batch []string) error {
		for _, line := range batch {
			fmt.Println(line)
			printed <- true
		}
		return nil
	}))
	return job
}

// A job is stopped with a last checkpoint, and another process goes on from there.
func ExampleJob_Start() {
	dir, err := os.MkdirTemp("", "tally")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	options := engine.Options{Checkpoints: engine.Checkpoints{Dir: dir}, Restore: engine.Resume()}

	printed := make(chan bool, 10)
	words := newFeed[string](1) // a source that never ends
	running, err := tally(words, printed).Start(ctx, options)
	if err != nil {
		fmt.Println(err)
		return
	}
	words.add(0, "tide", "page", "tide")
	for range 3 {
		<-printed
	}
	last, err := running.Stop(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	rel, _ := filepath.Rel(dir, last.Path)
	fmt.Println("resume from", filepath.ToSlash(rel))

	words.add(0, "tide")
	words.end()
	if err := tally(words, printed).Run(ctx, options); err != nil {
		fmt.Println(err)
	}
	// Output:
	// tide 1
	// page 1
	// tide 2
	// resume from tally/chk-2/_metadata
	// tide 3
}

// Checkpoints can be asked for, besides those that the interval brings.
func ExampleRunning_Checkpoint() {
	running, err := tally(newFeed[string](1), nil).Start(context.Background(), engine.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	cp, err := running.Checkpoint(context.Background())
	fmt.Println("checkpoint", cp.ID, err)
	latest, ok := running.Latest()
	fmt.Println("latest", latest.ID, ok)
	fmt.Println("cancel:", running.Cancel())
	fmt.Println(running.Wait(), "-", running.Outcome().State)
	// Output:
	// checkpoint 2 <nil>
	// latest 2 true
	// cancel: <nil>
	// job was cancelled - cancelled
}

// An error marked as permanent ends the job at once; any other is met by a restart from the newest checkpoint.
func ExamplePermanent() {
	errFormat := errors.New("no number")
	job := engine.NewJob("strict")
	rows := engine.From(job, "rows", engine.SliceSource("7", "seven"))
	numbers := engine.FlatMap(rows, func(row string, out engine.Out[string]) error {
		if row[0] < '0' || row[0] > '9' {
			return engine.Permanent(errFormat)
		}
		out.Emit(row)
		return nil
	})
	engine.To(numbers, "out", engine.SinkFunc(func(context.Context, []string) error { return nil }))
	err := job.Run(context.Background(), engine.Options{})
	fmt.Println(engine.IsPermanent(err), errors.Is(err, errFormat))
	op, _ := errors.AsType[*engine.OperatorError](err)
	fmt.Println("record:", op.Record)
	// Output:
	// true true
	// record: seven
}

// Settings by name, as files and command lines have them.
func ExampleOptions_Set() {
	var o engine.Options
	fmt.Println(o.Set("execution.checkpointing.interval", "10 s"), o.Checkpoints.Interval)
	fmt.Println(o.Set("execution.checkpointing.intervall", "10 s"))
	// Output:
	// <nil> 10s
	// unknown setting "execution.checkpointing.intervall"; did you mean execution.checkpointing.interval?
}

// Drain ends an endless input: the window that is open closes, and the job finishes.
func ExampleRunning_Drain() {
	visits := make(chan reading)
	job := engine.NewJob("visits")
	in := engine.From(job, "in", engine.FromChannel(visits, 1000), engine.EventTime(reading.When, engine.Monotonous()))
	bySensor := engine.KeyBy(in, func(r reading) string { return r.Sensor })
	means := engine.Aggregate(engine.Window(bySensor, engine.Tumbling(time.Hour)), "mean", mean{})
	engine.To(means, "out", engine.Stdout[string]())
	running, err := job.Start(context.Background(), engine.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	visits <- reading{"a", at(1), 10}
	visits <- reading{"a", at(2), 20}
	for running.Stats().RecordsIn < 2 {
		running.Checkpoint(context.Background())
	}
	fmt.Println(running.Drain(context.Background()), running.Outcome().State)
	// Output:
	// a from 12:00: mean 15 of 2
	// <nil> finished
}

// Why is this window still open? Because of a split that has come no further.
func ExampleInputStats() {
	readings := make(chan reading)
	job := engine.NewJob("why")
	in := engine.From(job, "sensors", engine.FromChannel(readings, 1000), engine.EventTime(reading.When, engine.OutOfOrder(time.Minute)))
	bySensor := engine.KeyBy(in, func(r reading) string { return r.Sensor })
	means := engine.Aggregate(engine.Window(bySensor, engine.Tumbling(time.Hour)), "mean", mean{})
	engine.To(means, "out", engine.Stdout[string]())
	running, err := job.Start(context.Background(), engine.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer running.Cancel()
	readings <- reading{"a", at(30), 10}
	for running.Stats().Watermark == engine.MinTime {
		running.Checkpoint(context.Background())
	}
	mean := running.Stats().Operators[1]
	held := mean.Inputs[0].HeldBy
	fmt.Printf("%s waits for split %s of %s, which is %s and stands at %s\n",
		mean.UID, held.ID, held.Source, held.State, held.Watermark.UTC().Format("15:04:05.0"))
	// Output:
	// mean waits for split channel of sensors, which is reading and stands at 12:28:59.9
}

// Metrics have Flink's names. These are of one operator, as a whole and by subtask.
func ExampleStats_Metrics() {
	job := engine.NewJob("metrics")
	in := engine.From(job, "sensors", engine.SliceSource(reading{"a", at(1), 10}, reading{"b", at(2), 20}, reading{"a", at(3), 30}),
		engine.EventTime(reading.When, engine.Monotonous()))
	bySensor := engine.KeyBy(in, func(r reading) string { return r.Sensor })
	means := engine.Aggregate(engine.Window(bySensor, engine.Tumbling(time.Hour)), "mean", mean{})
	engine.To(means, "out", engine.SinkFunc(func(context.Context, []string) error { return nil }))
	running, err := job.Start(context.Background(), engine.Options{Parallelism: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(running.Wait())
	for _, m := range running.Stats().Metrics() {
		switch {
		case m.UID != "mean":
		case m.Name == "numRecordsIn" || m.Name == "numFiredTimers":
			fmt.Println(m.Subtask, m.Name, m.Value, m.Unit)
		}
	}
	// Output:
	// <nil>
	// -1 numRecordsIn 3 records
	// -1 numFiredTimers 2 timers
	// 0 numRecordsIn 3 records
	// 0 numFiredTimers 2 timers
}
