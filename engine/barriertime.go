package engine

import (
	"sync/atomic"
	"time"

	"github.com/pagetide/pagetide/meta"
)

// barrierTime is how long a barrier took to reach a subtask, and until all its inputs had it, by the job's clock.
type barrierTime struct {
	first meta.CheckpointID // that has arrived
	at    time.Time         // when

	delay, alignment atomic.Int64 // nanoseconds; anyone may read
}

// delay notes that a barrier has arrived, at one input at least.
func (st *subtask) delay(id meta.CheckpointID) {
	b := &st.barriers
	if b.first == id {
		return
	}
	b.first, b.at = id, st.a.o.Clock.Now()
	b.delay.Store(max(0, b.at.UnixNano()-st.a.triggered.Load()))
}

// aligned notes that all inputs have it.
func (st *subtask) aligned() {
	b := &st.barriers
	b.alignment.Store(max(0, int64(st.a.o.Clock.Now().Sub(b.at))))
}
