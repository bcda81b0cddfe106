package misuse

import "github.com/pagetide/pagetide/engine"

// Meant: a pair. With an outer join one side may be missing, so a join hands out pointers.
func joinByValue() {
	alerts := engine.KeyBy(found, func(a Alert) string { return a.Card })
	pair := func(card string, p Payment, a Alert) Alert { return a }
	engine.IntervalJoin(byCard, alerts, "join", engine.Inner, engine.Within(0, 0), pair) // error: pair
}
