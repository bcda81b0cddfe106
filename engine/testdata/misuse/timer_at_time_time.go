package misuse

import (
	"time"

	"github.com/pagetide/pagetide/engine"
)

// Meant: an hour from now. A timer takes event time, which is no wall clock's.
type timerAtTime struct{ quiet engine.Timer }

func (t timerAtTime) OnRecord(ctx *engine.Context, card string, p Payment, out engine.Out[Alert]) error {
	t.quiet.Set(ctx, time.Now().Add(time.Hour)) // error: as engine.Time value
	return nil
}
