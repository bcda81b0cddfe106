package misuse

import "github.com/pagetide/pagetide/engine"

// Meant: the alerts' cards, from the stream of payments.
func mapOfAnotherType() {
	engine.Map(payments, func(a Alert) string { return a.Card }) // error: func(a Alert) string
}
