package engine

import "time"

// schedule says when the next periodic checkpoint is due. It is a value driven by what happened; it reads no clock.
type schedule struct {
	interval time.Duration // 0: none
	minPause time.Duration

	lastStart time.Time
	lastEnd   time.Time
}

// due is when the next checkpoint may start; ok is false if there is none.
func (s schedule) due() (at time.Time, ok bool) {
	if s.interval <= 0 {
		return time.Time{}, false
	}
	at = s.lastStart.Add(s.interval)
	if after := s.lastEnd.Add(s.minPause); after.After(at) {
		at = after
	}
	return at, true
}
