package misuse

import "github.com/pagetide/pagetide/engine"

// Meant: the time of alerts, which have none.
func eventTimeOfAnotherType(alerts engine.Source[Alert]) {
	engine.From(job, "alerts", alerts, engine.EventTime(Payment.time, engine.OutOfOrder(0))) // error: engine.Times[Payment]
}
