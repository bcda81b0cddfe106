package misuse

import "github.com/pagetide/pagetide/engine"

// Meant: late payments to the sink of alerts. What is late is a record of the window's, not a result.
func lateOfAnotherType() {
	engine.To(hours.Late(), "late", alertSink) // error: engine.Sink[Alert]
}
