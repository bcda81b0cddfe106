package engine

import "time"

// Clock is what a job takes for the time of day: for when checkpoints and restarts are due, for processing time, for
// splits that are idle. Waiting for storage and the deadlines of a shutdown are the machine's affair and go by its clock. The
// methods may be called concurrently.
type Clock interface {
	// Now is the time. A job asks once for a batch of records, not for each.
	Now() time.Time

	// Alarm makes a channel that gets one item, the time, when Now has reached at: at once, if it has. Ringing waits for
	// nobody. stop takes the alarm back; it may be called after the ring, and again.
	Alarm(at time.Time) (ring <-chan time.Time, stop func())
}

// machineClock is the machine's.
type machineClock struct{}

func (machineClock) Now() time.Time { return time.Now() }

func (machineClock) Alarm(at time.Time) (<-chan time.Time, func()) {
	t := time.NewTimer(time.Until(at))
	return t.C, func() { t.Stop() }
}

// alarm is one alarm that is set again and again. It belongs to one goroutine. It rings when a time has come, or before: a
// time that moves on while it is waited for does not set the clock anew.
type alarm struct {
	clock Clock
	at    time.Time
	ring  <-chan time.Time // nil: not set
	stop  func()
}

// set has the alarm ring at a time, or earlier.
func (a *alarm) set(at time.Time) {
	if a.ring != nil && !at.Before(a.at) {
		return
	}
	a.clear()
	a.at = at
	a.ring, a.stop = a.clock.Alarm(at)
}

// rang says whether the alarm has rung since it was set, which the caller may have heard, and clears it then. What several
// bells at once lead to must not depend on which of them was heard.
func (a *alarm) rang(heard bool) bool {
	select {
	case <-a.ring:
		heard = true
	default:
	}
	if heard {
		a.clear()
	}
	return heard
}

// clear is also for an alarm that has rung.
func (a *alarm) clear() {
	if a.ring != nil {
		a.stop()
		a.ring, a.stop = nil, nil
	}
}
