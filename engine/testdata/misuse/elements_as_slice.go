package misuse

import "github.com/pagetide/pagetide/engine"

// Meant: to look at the records of a window, as a slice. They are read as they are asked for.
func elementsAsSlice() {
	f := func(_ *engine.Context, card string, _ engine.Span, all []Payment, out engine.Out[int]) error {
		out.Emit(len(all))
		return nil
	}
	engine.ProcessWindow(hours, "elements", f) // error: iter.Seq[Payment]
}
