package engine

import (
	"testing"
	"time"

	"github.com/pagetide/pagetide/meta"
)

// TestNoCheckpointOfHalfADrain: while some sources have stopped and others have not, no checkpoint begins, for any reason.
func TestNoCheckpointOfHalfADrain(t *testing.T) {
	a := &attempt{o: &Options{}, drained: make(chan struct{}), commands: map[*subtask]chan command{{}: nil, {index: 1}: nil}}
	c := &coordinator{a: a}
	c.draining.asked, c.round = []chan<- error{nil}, &round{}
	if c.next(time.Time{}); c.draining.begun {
		t.Fatal("the sources are told while a checkpoint is in flight")
	}
	c.round, c.waiting, c.short = nil, []request{{}}, true
	for range 2 {
		if err := c.next(time.Time{}); err != nil || c.round != nil || c.newest != meta.CheckpointID(0) {
			t.Fatalf("a checkpoint begins while %d source subtasks read: %v", c.draining.missing, err)
		}
		<-a.drained
		c.draining.missing--
		c.stopping = true
	}
	if c.draining.missing != 0 {
		t.Errorf("%d source subtasks are waited for, of two that have stopped", c.draining.missing)
	}
}
