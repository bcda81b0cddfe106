package misuse

import "github.com/pagetide/pagetide/engine"

// Meant: state per card. Process needs to know the key first.
func streamInsteadOfKeyed() {
	engine.Process(payments, "fraud", newFraud) // error: engine.Stream[Payment]
}
