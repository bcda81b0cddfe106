package misuse

import "github.com/pagetide/pagetide/engine"

// Meant: state that is declared where it is needed first. Mistakes in it would show when a record flows.
type declaresLate struct{}

func (declaresLate) OnRecord(ctx *engine.Context, card string, p Payment, out engine.Out[Alert]) error {
	sum := engine.NewCell[int64](ctx, "sum") // error: cannot use ctx (variable of type *engine.Context) as *engine.Setup value
	*sum.Ref(ctx) += p.Cents
	return nil
}
