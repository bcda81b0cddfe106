package misuse

import "github.com/pagetide/pagetide/engine"

// Meant: a counter that begins at 1. A constructor only declares; there is no key yet.
func stateInConstructor(s *engine.Setup) *fraud {
	f := newFraud(s)
	f.sum.Set(s, 1) // error: cannot use s (variable of type *engine.Setup) as *engine.Context value
	return f
}
