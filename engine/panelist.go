package engine

import "github.com/pagetide/pagetide/mmapstate"

// paneList is the list of a key's panes. The finger is where the last window was looked for: the next one is near.
type paneList struct{ First, Last, Finger Time }

// slot is a pane that exists, to be read.
func (p *paneWindows[K, V]) slot(k mmapstate.Key, start Time) *slot[V] {
	return (*slot[V])(p.slots.Peek(k.With(uint64(start), &p.scratch)))
}

// edit is a pane that exists, to be written.
func (p *paneWindows[K, V]) edit(k mmapstate.Key, start Time) *slot[V] {
	return (*slot[V])(p.slots.Ref(k.With(uint64(start), &p.scratch)))
}

// seek finds where the first pane begins that does not begin before a time; MaxTime if there is none.
func (p *paneWindows[K, V]) seek(k mmapstate.Key, from Time) Time {
	if p.lists == nil {
		return p.oldest(k, from)
	}
	l := (*paneList)(p.lists.Peek(k))
	if l == nil || l.Last < from {
		return MaxTime
	}
	at := l.Finger
	for at < from {
		at = p.slot(k, at).After
	}
	for at > l.First {
		before := p.slot(k, at).Before
		if before < from {
			break
		}
		at = before
	}
	if at != l.Finger {
		(*paneList)(p.lists.Ref(k)).Finger = at
	}
	return at
}

// oldest is the first pane of a key; of windows of one pane, that of a window.
func (p *paneWindows[K, V]) oldest(k mmapstate.Key, window Time) Time {
	switch {
	case p.lists != nil:
		if l := (*paneList)(p.lists.Peek(k)); l != nil {
			return l.First
		}
	case p.slot(k, window) != nil:
		return window
	}
	return MaxTime
}

// link puts a new pane into its place.
func (p *paneWindows[K, V]) link(k mmapstate.Key, s *slot[V], start Time) {
	s.Before, s.After = MinTime, MaxTime
	if p.lists == nil {
		return
	}
	at, created := p.lists.RefOrCreate(k)
	l := (*paneList)(at)
	switch {
	case created:
		*l = paneList{start, start, start}
	case start < l.First:
		s.After, l.First = l.First, start
		p.edit(k, s.After).Before = start
	default:
		s.Before = l.Last
		for s.Before > start {
			s.Before, s.After = p.slot(k, s.Before).Before, s.Before
		}
		p.edit(k, s.Before).After = start
		if s.After == MaxTime {
			l.Last = start
		} else {
			p.edit(k, s.After).Before = start
		}
	}
}

// unlink takes the first pane of a key, which is gone, out of its list.
func (p *paneWindows[K, V]) unlink(k mmapstate.Key, after Time) {
	if p.lists == nil {
		return
	}
	if after == MaxTime {
		p.lists.Delete(k)
		return
	}
	l := (*paneList)(p.lists.Ref(k))
	l.First, l.Finger = after, max(l.Finger, after)
}
