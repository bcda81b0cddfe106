package engine

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"github.com/pagetide/pagetide/mmapstate"
)

// pane is in sliding.go: the greatest stretch of time that divides size and slide; of tumbling windows, all of it.

// slot is a pane with a value of its own.
type slot[V any] struct {
	Before, After Time // where the panes begin that are its neighbours: MaxTime if none is after; what is before the first one is gone

	Due   Time // when the windows that have the pane give early results: their entries in woken; zero: they do not
	Value V
}

// paneWindows are the tumbling or sliding windows of keys: each is made of panes, which overlap no other. A window costs as much
// as it has panes that are there: those of a key are a list, if a window has more than one.
type paneWindows[K comparable, V any] struct {
	*windowCore[K, V]
	grid
	slots *mmapstate.Cells // by (key, start of the pane): slot
	lists *mmapstate.Cells // by key: paneList; nil if a window is one pane
	start Time             // of the pane that was placed last
	last  *slot[V]         // the same
	of    K                // the key of a window that gives an early result
}

func newPaneWindows[K comparable, V any](c *windowCore[K, V]) *paneWindows[K, V] {
	p := &paneWindows[K, V]{windowCore: c, grid: gridOf(c.assign)}
	p.slots = must(c.store.Cells("slots", c.shape.With(), int(unsafe.Sizeof(slot[V]{})), must(flatWindow[slot[V]]())))
	if p.pane < p.size {
		p.lists = must(c.store.Cells("panes", c.shape, int(unsafe.Sizeof(paneList{})), must(flatWindow[paneList]())))
	}
	if c.early {
		c.woken = must(c.store.Index("woken", c.shape.With())) // windows by their start
	}
	return p
}

func (p *paneWindows[K, V]) place(k mmapstate.Key, own Span) (*V, Time) {
	if p.outside(own.Start) {
		p.beyond(own.Start, p.assign.size, p.lateness)
	}
	if p.dead(p.lastEnd(own.Start)) {
		return nil, 0
	}
	p.start = p.floor(own.Start, p.pane)
	s, created := p.slots.RefOrCreate(k.With(uint64(p.start), &p.scratch))
	p.last = (*slot[V])(s)
	if created {
		p.link(k, p.last, p.start)
		p.open(k, p.start)
	}
	return &p.last.Value, p.start
}

// open sees to it that the first window that is still to fire and holds a pane does. Each that fires sees to the next.
func (p *paneWindows[K, V]) open(k mmapstate.Key, start Time) {
	if end := p.firstEnd(max(start, p.mark+1)); end <= p.lastEnd(start) {
		p.ends.Insert(k, int64(end))
	}
}

func (p *paneWindows[K, V]) cells() *mmapstate.Cells { return p.slots }

func (p *paneWindows[K, V]) hint(k mmapstate.Key, at Time) mmapstate.Key {
	return k.Hinted(uint64(p.floor(at, p.pane)))
}

// placed fires the windows again that were over when the record came, and sees to early results of the others.
func (p *paneWindows[K, V]) placed(k mmapstate.Key) {
	if p.retired != nil {
		p.again(k)
	}
	if p.early && p.last.Due == 0 {
		p.watch(k)
	}
}

func (p *paneWindows[K, V]) again(k mmapstate.Key) {
	for end := p.firstEnd(p.start); p.over(end) && end <= p.lastEnd(p.start); end += p.slide {
		if !p.dead(end) {
			p.result(k, end)
			p.stays(k, end)
		}
	}
}

func (p *paneWindows[K, V]) watch(k mmapstate.Key) {
	at := p.tick()
	for end := p.firstEnd(max(p.start, p.mark+1)); end <= p.lastEnd(p.start); end += p.slide {
		p.woken.Insert(k.With(uint64(end-p.size), &p.scratch), int64(at))
		p.last.Due = at
	}
}

// result fires a window. More says that the next window has some of its panes, too.
func (p *paneWindows[K, V]) result(k mmapstate.Key, end Time) (more bool) {
	w := Span{end - p.size, end}
	p.parts = p.parts[:0]
	for start := p.seek(k, w.Start); start < end; {
		s := p.slot(k, start)
		p.parts = append(p.parts, s.Value)
		more = more || start >= w.Start+p.slide
		start = s.After
	}
	if len(p.parts) == 0 {
		p.fail(fmt.Errorf("window %s is open but has no panes", w))
	}
	p.fire(k, w, end-1, p.parts...)
	return more
}

func (p *paneWindows[K, V]) end(end Time, k mmapstate.Key) {
	if p.early {
		p.unwatch(k, end)
	}
	if p.result(k, end) {
		p.ends.Insert(k, int64(end+p.slide))
	}
	if !p.stays(k, end) {
		p.forget(k, end)
	}
}

// unwatch takes back the early results of a window.
func (p *paneWindows[K, V]) unwatch(k mmapstate.Key, end Time) {
	var window []byte
	for start := p.seek(k, end-p.size); start < end; {
		s := p.slot(k, start)
		if s.Due != 0 {
			p.woken.Delete(k.With(uint64(end-p.size), &window), int64(s.Due))
		}
		start = s.After
	}
}

// wake gives the early result of a window, whose key is extended by its start.
func (p *paneWindows[K, V]) wake(at Time, k mmapstate.Key) {
	base := len(k.Bytes) - 8
	first := Time(binary.LittleEndian.Uint64(k.Bytes[base:]))
	p.of = p.keyer.Decode(k.Bytes[:base])
	k = p.keyer.Key(&p.of)
	for start := p.seek(k, first); start < first+p.size; {
		s := p.slot(k, start)
		if s.Due == at {
			p.edit(k, start).Due = 0
		}
		start = s.After
	}
	p.result(k, first+p.size)
}

func (p *paneWindows[K, V]) retire(at Time, k mmapstate.Key) { p.forget(k, at.Add(-p.lateness)) }

// forget drops the panes that no window after one has.
func (p *paneWindows[K, V]) forget(k mmapstate.Key, end Time) {
	for start := p.oldest(k, end-p.size); start < end-p.size+p.slide; {
		s := *p.slot(k, start)
		p.slots.Delete(k.With(uint64(start), &p.scratch))
		p.unlink(k, s.After)
		p.what.drop(k, s.Value)
		start = s.After
	}
}

func (p *paneWindows[K, V]) finish() {}
