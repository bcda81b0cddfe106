// Package enginetest tests what runs on package engine: one operator with records and watermarks fed by hand, or a whole
// job in a simulated world where it is killed again and again.
//
//	h := enginetest.Process(t, Payment.card, newFraud)
//
//	h.Push(at, rec) ─┐              ┌─────────────┐
//	                 ├─► the feed ─►│ the operator│─► h.Out()
//	h.Watermark(at) ─┘              │  its state  │─► enginetest.Side(h, review)
//	                                └──────┬──────┘
//	h = h.Restart()     a real checkpoint ─┘ and a new attempt that starts from it
//
// Push, Watermark and Advance return when the operator has worked off what they brought. Event time moves by Watermark
// alone, processing time by Advance. Nothing waits for the machine's clock and nothing touches the disk. [ProcessEach] needs no
// key, and [Operator] drives any graph with one input; [Process2], [ProcessBroadcast], [ProcessEachBroadcast] and [Operator2] have
// two, each with records and watermarks of its own.
//
// [Run] takes a whole job to its end, step by step in an order that a seed chooses, with power cuts and other failures, and
// another parallelism after each stop. What its sinks have committed then should be what one undisturbed run commits:
//
//	var alerts enginetest.Sink[Alert]
//	enginetest.Run(t, func(job *engine.Job) { graph(job, payments, &alerts) }, enginetest.Seed(7), enginetest.Kills(3))
//	alerts.Rows() // each once
//
// A job whose Options.Clock is a [Clock] goes by a time that the test moves by hand.
//
// # Reading order
//
// harness.go, harness2.go, side.go: one operator. driver.go, input.go: what they have in common. run.go, world.go, life.go, trouble.go:
// whole jobs. feed.go, sink.go, clock.go: what either runs on.
package enginetest
