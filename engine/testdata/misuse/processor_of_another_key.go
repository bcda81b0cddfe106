package misuse

import "github.com/pagetide/pagetide/engine"

// Meant: payments by amount, for an operator whose key is the card.
func processorOfAnotherKey() {
	byCents := engine.KeyBy(payments, func(p Payment) int64 { return p.Cents })
	engine.Process(byCents, "fraud", newFraud) // error: wrong type for method OnRecord
}
