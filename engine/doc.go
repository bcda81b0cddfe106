// Package engine runs stateful dataflow graphs inside the calling process, with exactly-once checkpoints.
//
// A program builds a [Job] from sources, functions and sinks, and starts it:
//
//	From ──► Map, Filter, FlatMap, Union ──► KeyBy ─┬─► Process ──────────────────┬─► To
//	         ProcessEach, Rebalance, Async,         ├─► Window ──► Aggregate,     │
//	         ProcessEachBroadcast                   │              ProcessWindow ─┤
//	                                   two streams  └─► Process2, IntervalJoin,   │
//	                                                    WindowJoin,               │
//	                                                    ProcessBroadcast ─────────┘
//
// Sources are at hand for slices, channels, functions and made-up records ([SliceSource], [FromChannel], [SourceFunc],
// [Generate]), sinks for functions and lines of text ([SinkFunc], [Lines], [Stdout]); those for files are in
// engine/connect/file, those for tests in engine/enginetest. [Job.Explain] says what each end guarantees: a sink is exactly
// once, its rows visible after the checkpoint, unless it embeds [AtLeastOnce].
//
// Nodes with state, sources and sinks have a uid: their name in checkpoints. Mistakes in the graph are collected and
// returned together by [Job.Start].
//
// # A program
//
//	package main
//
//	import (
//		"flag"
//		"time"
//
//		"github.com/pagetide/pagetide/engine"
//		"github.com/pagetide/pagetide/engine/app"
//		"github.com/pagetide/pagetide/engine/connect/file"
//	)
//
//	func main() { app.Main(flights) } // go run . run flights --input flights.jsonl
//
//	var flights = app.Job{Name: "flights", About: "how late flights leave", New: func(args *flag.FlagSet) app.Build {
//		input := args.String("input", "-", "flights as JSON Lines")
//		return func(job *engine.Job) error {
//			delays(job, file.JSONLines[Flight](*input), file.JSONLinesSink[Delay]("out"))
//			return nil
//		}
//	}}
//
//	type Flight struct {
//		Origin  string
//		Leaves  time.Time
//		Minutes int64 // of delay
//	}
//
//	type Delay struct {
//		Origin, Day string
//		Mean        float64 // minutes
//	}
//
//	// delays is the graph. Its ends are arguments, so that tests can pass their own.
//	func delays(job *engine.Job, in engine.Source[Flight], out engine.Sink[Delay]) {
//		leaves := func(f Flight) time.Time { return f.Leaves }
//		all := engine.From(job, "flights", in, engine.EventTime(leaves, engine.OutOfOrder(time.Hour)))
//		byOrigin := engine.KeyBy(all, func(f Flight) string { return f.Origin })
//		days := engine.Window(byOrigin, engine.Tumbling(24*time.Hour))
//		engine.To(engine.Aggregate(days, "mean delay", mean{}), "out", out)
//	}
//
//	// mean is the aggregator. What it keeps of a day is flat: it lies in a page and is updated there.
//	type mean struct{}
//
//	type sum struct{ Flights, Minutes int64 }
//
//	func (mean) Add(s *sum, f Flight)      { s.Flights++; s.Minutes += f.Minutes }
//	func (mean) Merge(into *sum, from sum) { into.Flights += from.Flights; into.Minutes += from.Minutes }
//	func (mean) Result(origin string, day engine.Span, s sum) Delay {
//		return Delay{origin, day.Start.UTC().Format(time.DateOnly), float64(s.Minutes) / float64(s.Flights)}
//	}
//
// Inside a server the same graph runs with [Job.Start], which returns a [Running] to stop it with. State that is not a
// window's belongs to a [Process]: its constructor declares handles, [NewCell], [NewValueState], [NewListState],
// [NewMapState], and timers, and its OnRecord has them for the key in hand.
//
// # How it runs
//
// Each node runs in as many subtasks as [Options].Parallelism says, or its own [Stream.Parallelism]. A chain of nodes in
// which records stay in their subtask is fused into one task: one goroutine per subtask, in which records go from function
// to function, a stretch of them at a time. Tasks exchange typed batches through bounded queues.
//
//	reader ─► source task [0] ─┬─► keyed task [0] ─► sink      records, watermarks and barriers travel together, in
//	reader ─► source task [1] ─┴─► keyed task [1] ─► sink      order, in each of these arrows
//
// With a parallelism of one, everything behind a single source is one task, up to an [Async] and from there on.
//
// # Checkpoints
//
// The coordinator sends a barrier into the sources. Where it passes, each subtask freezes its state (in constant time),
// has its sinks prepare what they wrote, notes positions and watermarks, and forwards the barrier; a subtask with several
// inputs reads none past its barrier until all have arrived. What the barrier has cut is gathered in small steps between
// batches and written by package snapshotter. When it is durable, the sinks commit. State is only ever restored from
// such a cut.
//
// # Reading order
//
// job.go, stream.go, union.go, rebalance.go, process.go, process2.go, each.go, broadcast.go, eachbroadcast.go, window.go, tumbling.go, sliding.go, slidingpanes.go, slidinglate.go, slidingearly.go, windowcore.go, panes.go, panelist.go, session.go, count.go, elements.go, processwindow.go, join.go, windowjoin.go, async.go: the surface; explain.go prints it. plan.go, task.go, inputtime.go, wake.go, inbox.go, exchange.go, forward.go, spread.go, bell.go, sourcetask.go, splitreader.go, sourcetime.go, asynctask.go: how
// records move; load.go: how busy tasks are. coordinator.go, commit.go: checkpoints. start.go, attempt.go, supervise.go, running.go, hook.go: executions and
// restarts.
//
// # Invariants
//
// A subtask's operators, states and outlets are touched by its own goroutine only. Watermarks of one input never fall.
// At most one checkpoint is in flight, and its outcome is known before the next barrier is sent. A transaction handle
// stays in every checkpoint until its commit has succeeded.
package engine
