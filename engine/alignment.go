package engine

import "sync"

// alignment keeps the splits of a group of sources together, within one attempt. The source tasks report where their
// splits stand and ask how far they may go; a split that is too far ahead keeps the batches that its reader would fill.
type alignment struct {
	mu       sync.Mutex // guards the fields below
	expected int        // subtasks that have not reported yet: until then nobody goes ahead
	stands   []*stand
	least    Time
	moved    chan struct{} // closed when least has changed
}

// stand is where one split stands: its watermark, or MaxTime if it holds nobody up. Its alignment guards it.
type stand struct{ at Time }

// align gives the group of that name, and one more subtask to it. It is called while the attempt is made.
func (a *attempt) align(group string) *alignment {
	if group == "" {
		return nil
	}
	g := a.aligned[group]
	if g == nil {
		g = &alignment{least: MinTime, moved: make(chan struct{})}
		if a.aligned == nil {
			a.aligned = map[string]*alignment{}
		}
		a.aligned[group] = g
	}
	g.expected++
	return g
}

// join adds the splits of one subtask.
func (g *alignment) join(stands []*stand) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.expected--
	g.stands = append(g.stands, stands...)
	g.settle()
}

// settle finds the least again.
func (g *alignment) settle() {
	least := MaxTime
	for _, s := range g.stands {
		least = min(least, s.at)
	}
	if g.expected > 0 {
		least = MinTime
	}
	if least == g.least {
		return
	}
	g.least = least
	close(g.moved)
	g.moved = make(chan struct{})
}

// joinGroup adds the splits to their group, if they have one.
func (s *sourceTask[T]) joinGroup() {
	if s.group == nil {
		return
	}
	var all []*stand
	for _, p := range s.splits {
		p.stand = &stand{s.standing(p)}
		all = append(all, p.stand)
	}
	s.group.join(all)
}

func (s *sourceTask[T]) standing(p *splitTask[T]) Time {
	if p.done || p.asleep {
		return MaxTime
	}
	return s.times.after(p.maxTime)
}

// align reports where the splits stand, and lets those be read on that are not too far ahead.
func (s *sourceTask[T]) align() {
	if s.group == nil {
		return
	}
	g := s.group
	g.mu.Lock()
	for _, p := range s.splits {
		p.stand.at = s.standing(p)
	}
	g.settle()
	least := g.least
	s.moved = g.moved
	g.mu.Unlock()
	for _, p := range s.splits {
		s.allow(p, least)
	}
}

// allow gives the reader back what was kept from it, unless the split is too far ahead. Time spent so is not silence.
func (s *sourceTask[T]) allow(p *splitTask[T], least Time) {
	ahead := !p.done && s.times.after(p.maxTime) > least.Add(s.times.drift)
	if ahead || p.ahead {
		p.heard = s.st.read
	}
	p.ahead = ahead
	if ahead {
		return
	}
	p.lend()
}
