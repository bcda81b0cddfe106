package misuse

import "github.com/pagetide/pagetide/engine"

// Meant: to change a value where it lies. It is encoded and lies nowhere; only a Cell has Ref.
type refIntoEncodedValue struct {
	seen engine.ValueState[map[string]int64]
}

func (r refIntoEncodedValue) OnRecord(ctx *engine.Context, card string, p Payment, out engine.Out[Alert]) error {
	(*r.seen.Ref(ctx))[card]++ // error: r.seen.Ref undefined
	return nil
}
