package engine

import (
	"errors"
	"slices"
)

// readTimes asks the records for their event times.
func (s *sourceTask[T]) readTimes(recs []T, at []Time) error {
	s.hand.take(recs)
	for i := range recs {
		s.hand.i = i
		t := TimeOf(s.times.at(recs[i]))
		if t == MinTime || t == MaxTime {
			return Permanent(&OperatorError{UID: s.n.uid, Record: printed(recs[i]),
				Err: errors.New("event time is outside the years 1678 to 2261")})
		}
		at[i] = t
	}
	s.hand.done()
	return nil
}

// seen is what a split keeps of the times that it has seen, with those of more records.
func (s *sourceTask[T]) seen(seen Time, recs []T, at []Time) Time {
	if s.times.next == nil {
		return max(seen, slices.Max(at))
	}
	s.hand.take(recs)
	for i := range recs {
		s.hand.i = i
		seen = s.times.see(seen, recs[i], at[i])
	}
	s.hand.done()
	return seen
}

// silent says that nothing is to be had from the split for now. One whose records wait for the task is not silent, however
// long it takes.
func (p *splitTask[T]) silent() bool { return !p.done && !p.ahead && p.waiting.Load() == 0 }

// listen has the alarm ring when the first split that is awake will have been silent for too long.
func (s *sourceTask[T]) listen() {
	if s.times.idle == 0 || s.st.stopped {
		return
	}
	for _, p := range s.splits {
		if p.silent() && !p.asleep {
			s.st.alarm.set(p.heard.Add(s.times.idle))
		}
	}
}

// doze marks the splits that have been silent for too long, so that time goes on without them.
func (s *sourceTask[T]) doze() {
	if s.times.idle == 0 || s.st.stopped {
		return
	}
	for _, p := range s.splits {
		p.asleep = p.silent() && s.st.read.Sub(p.heard) >= s.times.idle
	}
}

// tick moves time on to what the splits allow, and reports the end of the input.
func (s *sourceTask[T]) tick() error {
	if err := s.st.endBatch(); err != nil {
		return err
	}
	return s.moveOn()
}

// midway is tick within a large batch: what is collected for other tasks waits for more if time stands still.
func (s *sourceTask[T]) midway() error {
	if err := s.st.workOff(); err != nil {
		return err
	}
	s.st.expire()
	if err := s.st.breathe(); err != nil {
		return err
	}
	return s.moveOn()
}

// moveOn tells the chain where time stands, and ends the input when all splits have.
func (s *sourceTask[T]) moveOn() error {
	s.align()
	s.tell()
	defer func() { s.stats.watermark.Store(int64(s.st.watermark)) }()
	least, greatest, awake, done := MaxTime, MinTime, false, true
	for _, p := range s.splits {
		if p.done {
			continue
		}
		done = false
		w := s.times.after(p.maxTime)
		greatest = max(greatest, w)
		if !p.asleep {
			least, awake = min(least, w), true
		}
	}
	if awake {
		s.st.wake()
		return s.st.advance(least)
	}
	if !done || !s.st.a.splits[s.n].final && !s.over { // no time to expect from here for now
		if err := s.st.advance(greatest); err != nil {
			return err
		}
		s.st.sleep()
		return nil
	}
	if s.ended {
		return nil
	}
	s.ended = true
	s.st.wake()
	if err := s.st.advance(MaxTime); err != nil {
		return err
	}
	return s.st.ended()
}
