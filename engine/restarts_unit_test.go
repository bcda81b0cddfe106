package engine

import (
	"testing"
	"time"
)

// TestRestartsWithin: as many restarts as there may be, in any stretch of the time, wherever it begins.
func TestRestartsWithin(t *testing.T) {
	p := &restarts{o: Restart{Attempts: 2, Within: 10 * time.Second}}
	for _, step := range []struct {
		after time.Duration // from the first failure
		many  bool
	}{
		{0, false},
		{time.Second, false},
		{10 * time.Second, true},
		{10*time.Second + time.Millisecond, false}, // the first one counts no more
		{11 * time.Second, true},
		{12 * time.Second, false}, // nor does the second
		{13 * time.Second, true},
		{20 * time.Second, true},
		{21 * time.Second, false},
	} {
		if got := p.tooMany(time.Unix(0, 0).Add(step.after)); got != step.many {
			t.Errorf("after %s: too many %v, want %v", step.after, got, step.many)
		}
	}
}
