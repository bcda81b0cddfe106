package engine

import (
	"errors"
	"fmt"
	"reflect"
	"time"
	"unsafe"

	"github.com/pagetide/pagetide/mmapstate"
)

// Session has windows that end when a key is silent for long enough: a record belongs to a window from its time up to gap
// later, and windows that overlap are one. A session so spans the time of its first record up to gap after its last; a
// record that comes exactly then begins the next. A record that lies between two sessions and reaches both joins them. It
// is late if its own window has ended and no open session takes it in. The gap must be positive.
func Session(gap time.Duration) Assigner { return Assigner{kind: kindSession, size: gap} }

// SessionBy is [Session] with a gap that each record says. T must be the type of the stream. A gap that is not positive
// ends the job with a permanent error.
func SessionBy[T any](gap func(T) time.Duration) Assigner {
	a := Assigner{kind: kindSession, gap: gap}
	if gap == nil {
		a.gap, a.size = nil, 0 // a mistake: no gap
	}
	return a
}

// gapOf is how to read the gap of a record, nil if it is the same for all or there is none.
func gapOf[T any](a Assigner) (func(T) time.Duration, error) {
	if a.gap == nil {
		return nil, nil
	}
	f, ok := a.gap.(func(T) time.Duration)
	if !ok {
		return nil, fmt.Errorf("the gap of sessions is a %s, the stream is of %s", reflect.TypeOf(a.gap), reflect.TypeFor[T]())
	}
	return f, nil
}

func badGap(d time.Duration) error {
	return fmt.Errorf("the gap of its session is %s: want a positive one", d)
}

// session is a window that may still take records in.
type session[V any] struct {
	Start, End Time
	Look       Time // its entry in ends: that time or before, End is looked at; if it has fired, it has one in retired
	Due        Time // its entry in woken, maybe with others of the key; zero if there is none
	Older      Time // the start of the session before it; MinTime if there is none
	Fired      bool
	Value      V
}

// sessionWindows are the sessions of keys. Those of a key overlap nowhere and lie in a list from the newest to the oldest.
// The newest, nearly always the only one, lies under the key; a record that prolongs it costs one lookup, and its entry in
// ends is left as it is until it is due.
type sessionWindows[K comparable, V any] struct {
	*windowCore[K, V]
	newest *mmapstate.Cells // by key: session
	others *mmapstate.Cells // by (key, start): session
	last   *session[V]      // placed last
}

func newSessionWindows[K comparable, V any](c *windowCore[K, V]) *sessionWindows[K, V] {
	if c.early {
		c.woken = must(c.store.Index("woken", c.shape))
	}
	size, print := int(unsafe.Sizeof(session[V]{})), must(flatWindow[session[V]]())
	return &sessionWindows[K, V]{
		windowCore: c,
		newest:     must(c.store.Cells("newest", c.shape, size, print)),
		others:     must(c.store.Cells("others", c.shape.With(), size, print)),
	}
}

func (s *sessionWindows[K, V]) cells() *mmapstate.Cells { return s.newest }

func (s *sessionWindows[K, V]) hint(k mmapstate.Key, _ Time) mmapstate.Key { return k }

func (s *sessionWindows[K, V]) place(k mmapstate.Key, own Span) (*V, Time) {
	if s.dead(own.End) {
		return s.insert(k, own)
	}
	p, created := s.newest.RefOrCreate(k)
	w := (*session[V])(p)
	switch {
	case created:
		s.open(k, w, own, MinTime)
	case own.Start >= w.End:
		*s.other(k, w.Start) = *w
		s.open(k, w, own, w.Start)
	case own.Start >= w.Start && !w.Fired:
		w.End = max(w.End, own.End)
	default:
		return s.insert(k, own)
	}
	s.last = w
	return &w.Value, own.Start
}

// other is a session that is not the newest, or will be, to be written.
func (s *sessionWindows[K, V]) other(k mmapstate.Key, start Time) *session[V] {
	return (*session[V])(s.others.Ref(k.With(uint64(start), &s.scratch)))
}

// head is the newest session, nil if there is none.
func (s *sessionWindows[K, V]) head(k mmapstate.Key) *session[V] {
	if s.newest.Peek(k) == nil {
		return nil
	}
	return (*session[V])(s.newest.Ref(k))
}

// before is the next older session, nil if there is none.
func (s *sessionWindows[K, V]) before(k mmapstate.Key, w *session[V]) *session[V] {
	if w.Older == MinTime {
		return nil
	}
	return s.other(k, w.Older)
}

// open makes a new session.
func (s *sessionWindows[K, V]) open(k mmapstate.Key, w *session[V], own Span, older Time) {
	*w = session[V]{Start: own.Start, End: own.End, Older: older}
	s.watch(k, w)
}

// watch sees to it that a session that is not over fires.
func (s *sessionWindows[K, V]) watch(k mmapstate.Key, w *session[V]) {
	if !s.over(w.End) {
		w.Look, w.Fired = w.End, false
		s.ends.Insert(k, int64(w.Look))
	}
}

// unwatch takes back what watch, stays or placed has done. All sessions of the key must be in their places.
func (s *sessionWindows[K, V]) unwatch(k mmapstate.Key, w *session[V]) {
	s.sleep(k, w)
	if w.Fired {
		s.retired.Delete(k, int64(w.End.Add(s.lateness)))
		return
	}
	s.ends.Delete(k, int64(w.Look))
}

// insert finds a place for a record among all sessions.
func (s *sessionWindows[K, V]) insert(k mmapstate.Key, own Span) (*V, Time) {
	var newer *session[V]
	w := s.head(k)
	for w != nil && w.Start >= own.End {
		newer, w = w, s.before(k, w)
	}
	switch {
	case w != nil && w.End > own.Start:
		s.last = s.join(k, newer, w, own)
	case s.dead(own.End):
		return nil, 0
	default:
		older := newer.Older // there is one: what is newer than all is no matter of insert
		newer.Older = own.Start
		s.last = s.other(k, own.Start)
		s.open(k, s.last, own, older)
	}
	return &s.last.Value, own.Start
}

// join makes one session of the window of a record and those that it overlaps, of which w is the newest.
func (s *sessionWindows[K, V]) join(k mmapstate.Key, newer, w *session[V], own Span) *session[V] {
	for o := w; o != nil && o.End > own.Start; o = s.before(k, o) {
		s.unwatch(k, o)
	}
	one, newest, next := *w, newer == nil, Time(0)
	if !newest {
		next = newer.Start
		s.remove(k, w.Start)
	}
	for older := s.before(k, &one); older != nil && older.End > own.Start; older = s.before(k, &one) {
		o := *older
		s.remove(k, o.Start)
		s.what.merge(k, &o.Value, one.Value)
		one.Start, one.Older, one.Value = o.Start, o.Older, o.Value
	}
	one.Start, one.End = min(one.Start, own.Start), max(one.End, own.End)
	p := s.head(k)
	if !newest {
		s.at(k, next).Older = one.Start
		p = s.other(k, one.Start)
	}
	*p = one
	s.watch(k, p)
	return p
}

// at is the session that begins at a time.
func (s *sessionWindows[K, V]) at(k mmapstate.Key, start Time) *session[V] {
	if h := s.head(k); h.Start == start {
		return h
	}
	return s.other(k, start)
}

// remove removes a session that is not the newest from where it lies.
func (s *sessionWindows[K, V]) remove(k mmapstate.Key, start Time) {
	s.others.Delete(k.With(uint64(start), &s.scratch))
}

// placed fires the session again if it was over when the record came, or sees to its early result.
func (s *sessionWindows[K, V]) placed(k mmapstate.Key) {
	switch w := s.last; {
	case s.over(w.End):
		s.result(k, w)
		w.Fired = s.stays(k, w.End)
	case s.early && w.Due == 0:
		w.Due = s.tick()
		s.woken.Insert(k, int64(w.Due))
	}
}

// sleep takes back the early result of a session.
func (s *sessionWindows[K, V]) sleep(k mmapstate.Key, w *session[V]) {
	due := w.Due
	if due == 0 {
		return
	}
	w.Due = 0
	for o := s.head(k); o != nil; o = s.before(k, o) {
		if o.Due == due {
			return
		}
	}
	s.woken.Delete(k, int64(due))
}

// wake gives the early results of the sessions of a key that are due.
func (s *sessionWindows[K, V]) wake(at Time, k mmapstate.Key) {
	for w := s.head(k); w != nil; w = s.before(k, w) {
		if w.Due == at {
			w.Due = 0
			s.result(k, w)
		}
	}
}

func (s *sessionWindows[K, V]) result(k mmapstate.Key, w *session[V]) {
	s.fire(k, Span{w.Start, w.End}, w.End-1, w.Value)
}

// end fires the session that was to be looked at, or looks again when it has ended.
func (s *sessionWindows[K, V]) end(at Time, k mmapstate.Key) {
	newer, w := s.find(k, func(w *session[V]) bool { return !w.Fired && w.Look == at })
	if !s.over(w.End) {
		s.watch(k, w)
		return
	}
	s.sleep(k, w)
	s.result(k, w)
	if w.Fired = s.stays(k, w.End); !w.Fired {
		s.forget(k, newer, w)
	}
}

func (s *sessionWindows[K, V]) retire(at Time, k mmapstate.Key) {
	newer, w := s.find(k, func(w *session[V]) bool { return w.Fired && w.End.Add(s.lateness) == at })
	s.forget(k, newer, w)
}

// find gives the session for which is is true, which must be there, and the one that is newer, if there is one.
func (s *sessionWindows[K, V]) find(k mmapstate.Key, is func(*session[V]) bool) (newer, w *session[V]) {
	for w = s.head(k); w != nil; newer, w = w, s.before(k, w) {
		if is(w) {
			return newer, w
		}
	}
	s.closing(k, Span{})
	s.fail(errors.New("a session that is due is not there"))
	return nil, nil
}

// forget drops a session.
func (s *sessionWindows[K, V]) forget(k mmapstate.Key, newer, w *session[V]) {
	gone := *w
	switch {
	case newer != nil:
		newer.Older = gone.Older
		s.remove(k, gone.Start)
	case gone.Older == MinTime:
		s.newest.Delete(k)
	default:
		*w = *s.before(k, w)
		s.remove(k, w.Start)
	}
	s.what.drop(k, gone.Value)
}

func (s *sessionWindows[K, V]) finish() {}
