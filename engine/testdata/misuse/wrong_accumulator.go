package misuse

import "github.com/pagetide/pagetide/engine"

// Meant: sums in an int64, but one method takes another accumulator.
type wrongAccumulator struct{}

func (wrongAccumulator) Add(acc *int64, p Payment)                     { *acc += p.Cents }
func (wrongAccumulator) Merge(into *float64, from float64)             { *into += from }
func (wrongAccumulator) Result(_ string, _ engine.Span, _ int64) int64 { return 0 }

func aggregateWrongly() {
	engine.Aggregate(hours, "wrong", wrongAccumulator{}) // error: Merge
}
