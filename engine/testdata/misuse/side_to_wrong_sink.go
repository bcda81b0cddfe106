package misuse

import "github.com/pagetide/pagetide/engine"

// Meant: reviews to the sink of alerts. A side output has its tag's type, all the way.
func sideToWrongSink() {
	engine.To(engine.SideOutput(found, review), "reviews", alertSink) // error: engine.Sink[Alert]
}
