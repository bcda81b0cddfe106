package misuse

import "github.com/pagetide/pagetide/engine"

// Meant: one stream of payments and alerts. They need one type first.
func unionOfTwoTypes() {
	engine.Union(payments, found) // error: engine.Stream[Alert]
}
