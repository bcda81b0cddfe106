package engine

import "time"

// bell rings when a while of the machine's time has passed. One is enough for all waits of a goroutine: a wait allocates
// nothing.
type bell struct{ timer *time.Timer }

// set has the bell ring once, in place of an earlier setting.
func (b *bell) set(in time.Duration) <-chan time.Time {
	if b.timer == nil {
		b.timer = time.NewTimer(in)
	} else {
		b.timer.Reset(in)
	}
	return b.timer.C
}

// clear is also for a bell that has rung or was never set.
func (b *bell) clear() {
	if b.timer != nil {
		b.timer.Stop()
	}
}
