package enginetest

import (
	"sync"
	"time"

	"github.com/pagetide/pagetide/engine"
)

// Clock is a clock that a test moves by hand, for Options.Clock: time stands still between two calls of Advance. Its methods
// may be called concurrently, also while jobs run on it.
//
// What a job does because of a time happens soon after Advance, in the job's own goroutines. A checkpoint that is taken then
// follows it: timers in processing time that are due fire before a barrier passes.
type Clock struct {
	mu     sync.Mutex // guards the fields below
	now    time.Time
	alarms map[*alarm]struct{} // that have not rung
}

type alarm struct {
	at   time.Time
	ring chan time.Time // has room for its one item
}

var _ engine.Clock = (*Clock)(nil)

// NewClock makes a clock that stands at a time.
func NewClock(start time.Time) *Clock {
	return &Clock{now: start, alarms: map[*alarm]struct{}{}}
}

// Now implements [engine.Clock].
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Alarm implements [engine.Clock].
func (c *Clock) Alarm(at time.Time) (ring <-chan time.Time, stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := &alarm{at, make(chan time.Time, 1)}
	c.alarms[a] = struct{}{}
	c.ringDue()
	return a.ring, func() { c.stop(a) }
}

func (c *Clock) stop(a *alarm) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.alarms, a)
}

// Advance moves the clock on by d, which must not be negative, and rings the alarms that are due then.
func (c *Clock) Advance(d time.Duration) {
	if d < 0 {
		panic("enginetest: a clock does not go back")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.ringDue()
}

func (c *Clock) ringDue() {
	for a := range c.alarms {
		if !a.at.After(c.now) {
			delete(c.alarms, a)
			a.ring <- c.now
		}
	}
}

// Next is when the first alarm that somebody waits for will ring; ok is false if nobody does.
func (c *Clock) Next() (at time.Time, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for a := range c.alarms {
		if !ok || a.at.Before(at) {
			at, ok = a.at, true
		}
	}
	return at, ok
}
