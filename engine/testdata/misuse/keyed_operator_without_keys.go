package misuse

import "github.com/pagetide/pagetide/engine"

// Meant: an operator with state per card, on a stream that has no keys yet.
func keyedOperatorWithoutKeys() {
	engine.ProcessEach(payments, "fraud", newFraud) // error: wrong type for method OnRecord
}
