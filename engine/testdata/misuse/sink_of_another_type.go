package misuse

import "github.com/pagetide/pagetide/engine"

// Meant: totals where alerts belong.
func sinkOfAnotherType() {
	engine.To(totals, "totals", alertSink) // error: engine.Sink[Alert]
}
