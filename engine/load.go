package engine

import (
	"sync"
	"time"
)

// Load is how the goroutines of a task have spent their time, by the job's [Clock]. The three add up to all of it. The clock is
// read where a goroutine begins to wait and where it goes on, never for a record.
type Load struct {
	Busy          time.Duration // all other time: at work, also in functions of the user's that wait, or waiting for calls, memory or storage
	Idle          time.Duration // waiting for input
	BackPressured time.Duration // waiting for room in a queue of the tasks behind
}

func (l Load) plus(m Load) Load {
	return Load{l.Busy + m.Busy, l.Idle + m.Idle, l.BackPressured + m.BackPressured}
}

func (l Load) minus(m Load) Load {
	return Load{l.Busy - m.Busy, l.Idle - m.Idle, l.BackPressured - m.BackPressured}
}

func (l Load) total() time.Duration { return l.Busy + l.Idle + l.BackPressured }

// activity is what a subtask spends its time on.
type activity uint8

const (
	busy activity = iota
	idle
	backPressured
)

// loadSpan is how far back the newest load reaches at least.
const loadSpan = 5 * time.Second

// loadMeter measures one subtask. The subtask alone changes what it is up to; anyone may read.
type loadMeter struct {
	mu    sync.Mutex // guards the fields below; the subtask reads now without it
	now   activity
	since time.Time
	spent [3]time.Duration // on each activity before since
	base  loadSample       // which the newest load begins with
	next  loadSample       // base of the future
}

// loadSample is the load up to a time.
type loadSample struct {
	at   time.Time
	load Load
}

func (m *loadMeter) begin(at time.Time) { m.since, m.base.at, m.next.at = at, at, at }

// spend says what the subtask spends its time on from now on.
func (st *subtask) spend(on activity) {
	m := &st.load
	if m.now == on {
		return
	}
	at := st.a.o.Clock.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.spent[m.now] += at.Sub(m.since)
	m.now, m.since = on, at
}

// read gives the load up to a time, and that of the newest span before it, which is loadSpan long at least, and twice as long at
// most where load is read so often; where it is not, it begins with the reading before. Within the first loadSpan it is all.
func (m *loadMeter) read(at time.Time) (all, recent Load) {
	m.mu.Lock()
	defer m.mu.Unlock()
	spent := m.spent
	spent[m.now] += max(0, at.Sub(m.since))
	all = Load{spent[busy], spent[idle], spent[backPressured]}
	if at.Sub(m.next.at) >= loadSpan {
		m.base, m.next = m.next, loadSample{at, all}
	}
	return all, all.minus(m.base.load)
}
