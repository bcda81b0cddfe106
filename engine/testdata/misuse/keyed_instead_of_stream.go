package misuse

import "github.com/pagetide/pagetide/engine"

// Meant: to go on with each record. KeyBy leads into an operator with state; what has none belongs before it.
func keyedInsteadOfStream() {
	engine.Filter(byCard, func(p Payment) bool { return p.Cents > 0 }) // error: engine.Keyed[string, Payment]
}
