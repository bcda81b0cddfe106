package enginetest_test

import (
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine/enginetest"
)

// TestClock rings what is due, once, and nothing that was taken back.
func TestClock(t *testing.T) {
	c := enginetest.NewClock(noon)
	if _, ok := c.Next(); ok {
		t.Error("an alarm nobody has set")
	}
	early, _ := c.Alarm(noon.Add(time.Second))
	late, stop := c.Alarm(noon.Add(time.Minute))
	past, _ := c.Alarm(noon)
	rung := func(name string, ring <-chan time.Time, want bool) {
		t.Helper()
		select {
		case at := <-ring:
			if !want || !at.Equal(c.Now()) {
				t.Errorf("%s rang with %s", name, at)
			}
		default:
			if want {
				t.Errorf("%s has not rung", name)
			}
		}
	}
	rung("the past", past, true)
	if at, ok := c.Next(); !ok || !at.Equal(noon.Add(time.Second)) {
		t.Errorf("Next = %s, %t", at, ok)
	}
	c.Advance(time.Second - 1)
	rung("the early one", early, false)
	c.Advance(1)
	rung("the early one", early, true)
	rung("the late one", late, false)
	stop()
	c.Advance(time.Hour)
	rung("the late one", late, false)
	stop()
	if got := c.Now(); !got.Equal(noon.Add(time.Hour + time.Second)) {
		t.Errorf("Now = %s", got)
	}
}
