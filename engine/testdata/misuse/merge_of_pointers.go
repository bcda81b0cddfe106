package misuse

import "github.com/pagetide/pagetide/engine"

// Meant: to spare a copy. What Merge reads comes by value: a write through a second pointer would be lost.
type pointers struct{}

func (pointers) Add(acc *int64, p Payment)                     { *acc += p.Cents }
func (pointers) Merge(into, from *int64)                       { *into += *from }
func (pointers) Result(_ string, _ engine.Span, _ int64) int64 { return 0 }

func mergePointers() {
	engine.Aggregate(hours, "pointers", pointers{}) // error: Merge
}
