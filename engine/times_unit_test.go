package engine

import (
	"testing"
	"time"
)

// TestSee: what a split keeps of a strategy's watermarks neither falls nor reaches the end of time.
func TestSee(t *testing.T) {
	var says Time
	times := EventTime(func(int) time.Time { return time.Time{} }, Watermarks(func(Time, int, Time) Time { return says }))
	seen := MinTime
	for _, step := range []struct{ says, want Time }{
		{MinTime, MinTime}, {5, 5}, {3, 5}, {MinTime, 5}, {7, 7}, {MaxTime, MaxTime - 2}, {7, MaxTime - 2},
	} {
		says = step.says
		seen = times.see(seen, 0, 0)
		if got := times.after(seen); got != step.want {
			t.Errorf("the strategy says %s: the watermark is %s, want %s", step.says, got, step.want)
		}
	}
}

// TestDozeAhead: a split that is not read has a reason to be silent, and one whose records wait is not.
func TestDozeAhead(t *testing.T) {
	silent, ahead, done, waits := &splitTask[int]{}, &splitTask[int]{ahead: true}, &splitTask[int]{done: true}, &splitTask[int]{}
	waits.waiting.Add(1)
	s := &sourceTask[int]{st: &subtask{read: time.Unix(1, 0)}, splits: []*splitTask[int]{silent, ahead, done, waits}}
	s.times.idle = time.Hour
	s.doze()
	if waits.asleep {
		t.Error("the split whose records wait is asleep")
	}
	if !silent.asleep || ahead.asleep || done.asleep {
		t.Errorf("asleep are: the silent one %v, the one ahead %v, the one at its end %v", silent.asleep, ahead.asleep, done.asleep)
	}
}
