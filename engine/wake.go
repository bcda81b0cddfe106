package engine

// A subtask that waits is woken by its input, by the bell of rest, when storage may let it go on, by its alarm, when a time
// by the job's clock has come, and by what others do for it.

// clocked is an operator that has something to do when the job's clock reaches a time.
type clocked interface {
	due() (at Time, ok bool) // the earliest such time, if there is one
	ring(now Time)           // does what is due by now, in order of time
}

// begin is for whatever the subtask does next: it notes the time, and does what is due by then.
func (st *subtask) begin() error {
	st.readClock()
	if st.stopped {
		return nil
	}
	rung := false
	for _, c := range st.clocked {
		if at, ok := c.due(); ok && at <= st.now {
			c.ring(st.now)
			st.flush()
			rung = true
		}
	}
	if !rung {
		return nil
	}
	return st.endBatch()
}

// readClock notes the time.
func (st *subtask) readClock() {
	st.read = st.a.o.Clock.Now()
	st.now = TimeOf(st.read)
	for _, op := range st.keyed {
		if op.mortal {
			op.tellTime()
		}
	}
}

// setAlarm has the alarm ring when something is due.
func (st *subtask) setAlarm() {
	if st.stopped {
		return
	}
	for _, c := range st.clocked {
		if at, ok := c.due(); ok {
			st.alarm.set(at.UTC())
		}
	}
}

// rung is called when the alarm has rung.
func (st *subtask) rung() error {
	st.alarm.clear()
	return st.begin()
}
