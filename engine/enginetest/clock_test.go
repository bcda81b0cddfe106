package enginetest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
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

// TestAdvance fires timers in processing time when the harness moves it on, also over a restart.
func TestAdvance(t *testing.T) {
	h := enginetest.Process(t, lastDigit, func(s *engine.Setup) engine.Func[int, int, string] {
		later := engine.NewTimer(s, "later", func(_ *engine.Context, key int, at engine.Time, out engine.Out[string]) error {
			out.Emit(fmt.Sprint(key, " at ", at))
			return nil
		}, engine.ProcessingTime)
		return func(ctx *engine.Context, _, n int, _ engine.Out[string]) error {
			later.Set(ctx, ctx.ProcessingTime().Add(time.Duration(n)*time.Second))
			return nil
		}
	})
	h.Push(noon, 12)
	h.Push(noon, 3)
	h.Advance(11 * time.Second)
	want := []string{"3 at 2000-01-01T00:00:03Z"}
	h.Want(want...)
	h = h.Restart()
	h.Want(want...)
	h.Advance(time.Second)
	h.Push(noon, 5)
	h.Want(append(want, "2 at 2000-01-01T00:00:12Z")...)
	h.End()
	h.Want(append(want, "2 at 2000-01-01T00:00:12Z", "5 at 2000-01-01T00:00:17Z")...)
}
