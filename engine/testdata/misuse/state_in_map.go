package misuse

import (
	"context"

	"github.com/pagetide/pagetide/engine"
)

// Meant: a running sum in a Map. State belongs to a key, and a Map has none: only a callback of Process has the Context
// that state is asked with.
func stateInMap(sum engine.Cell[int64]) {
	engine.Map(payments, func(p Payment) int64 {
		return *sum.Ref(context.Background()) + p.Cents // error: cannot use context.Background() (value of interface type context.Context) as *engine.Context value
	})
}
