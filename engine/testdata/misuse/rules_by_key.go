package misuse

import "github.com/pagetide/pagetide/engine"

// limits is an operator with rules as it should be.
type limits struct {
	most engine.BroadcastState[string, int64]
}

func (l *limits) OnRecord(ctx *engine.Context, card string, p Payment, out engine.Out[Alert]) error {
	return nil
}

func (l *limits) OnBroadcast(ctx *engine.Context, rule int64, out engine.Out[Alert]) error {
	return nil
}

// Meant: rules that reach all subtasks. Those of a keyed stream reach the subtask of their key only.
func rulesByKey(rules engine.Stream[int64]) {
	byRule := engine.KeyBy(rules, func(r int64) int64 { return r })
	engine.ProcessBroadcast(byCard, byRule, "limits", func(*engine.Setup) *limits { return nil }) // error: engine.Keyed[int64, int64]
}
