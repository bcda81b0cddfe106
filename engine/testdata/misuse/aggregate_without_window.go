package misuse

import "github.com/pagetide/pagetide/engine"

// Meant: a total per card that never ends. Without windows that is a Process with a Cell.
func aggregateWithoutWindow() {
	engine.Aggregate(byCard, "totals", total{}) // error: engine.Keyed[string, Payment]
}
