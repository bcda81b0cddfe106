package mmapstate

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// TTL is a [StateOption]: each entry of the state lives for a while after it was written last. An entry that has lived
// its time is never returned and counts as absent; [Store.Expire] removes it some time later. Elements of a list and
// entries of a nested map live and end one by one, an element of a list not before those in front of it.
//
// The time is the store's: see [Store.SetTime]. In event time the life begins at the time of the record that writes, if
// that is told and later: see [Store.SetRecordTime]. An entry that was written while there was neither begins its life
// when the store first looks at it with a time.
//
// It may change between a checkpoint and its restore. Another duration or renewal costs nothing. A TTL that comes or
// goes, or another clock, rewrites the state at its declaration, which takes time in proportion to its size; entries
// then begin their life anew, and when a TTL goes, those that have expired and were not removed yet are back.
type TTL struct {
	After time.Duration // how long an entry lives; positive
	Clock Clock         // on which clock
	Renew Renewal       // what begins its life anew
}

// Clock is one of the two clocks of a store.
type Clock uint8

// The clocks that a [TTL] can count on. The numbers are not stored.
const (
	EventTime      Clock = 0 // the watermark: results do not depend on when they are computed
	ProcessingTime Clock = 1 // of the machine
)

// Renewal says which accesses begin an entry's life anew.
type Renewal uint8

// The renewals of a [TTL].
const (
	OnWrite        Renewal = 0 // Ref, Set, Put, Append
	OnReadAndWrite Renewal = 1 // also Get, Peek and All; of a list, reading it renews all its elements
)

func (t TTL) refine(o *stateOptions) { o.ttl = t }

func (t TTL) validate() error {
	if t == (TTL{}) {
		return nil
	}
	if t.After <= 0 || t.Clock > ProcessingTime || t.Renew > OnReadAndWrite {
		return fmt.Errorf("TTL of %s on clock %d, renewal %d: it must be positive, its clock and renewal one of the constants", t.After, t.Clock, t.Renew)
	}
	return nil
}

// The marks of a TTL in front of a value's fingerprint: their entries have 8 bytes more, on that clock.
const (
	markEvent      = "ttl event: "
	markProcessing = "ttl processing: "
)

func (t TTL) mark() string {
	switch {
	case t.After == 0:
		return ""
	case t.Clock == ProcessingTime:
		return markProcessing
	}
	return markEvent
}

// cutMark takes the mark off a fingerprint. The TTL has the clock that it stands for, and some duration.
func cutMark(print string) (TTL, string) {
	for c, mark := range [...]string{EventTime: markEvent, ProcessingTime: markProcessing} {
		if rest, ok := strings.CutPrefix(print, mark); ok {
			return TTL{After: 1, Clock: Clock(c)}, rest
		}
	}
	return TTL{}, print
}

// noTime is what a clock says before it was set, and the time of an entry that was written then.
const noTime = math.MinInt64

// lifetime is the TTL of one table.
type lifetime struct {
	after uint64 // nanoseconds
	reads bool   // renew
	now   *int64 // the store's clock
	rec   *int64 // the event time of the record in hand; nil in processing time

	// visit is what a sweep does with an entry; it returns how many entries it removed. At most budget are.
	visit func(sh *shard, p, off uint32, budget int) int
}

func (s *Store) lifetime(t TTL) *lifetime {
	if t.After == 0 {
		return nil
	}
	l := &lifetime{after: uint64(t.After), reads: t.Renew == OnReadAndWrite, now: &s.clocks.now[t.Clock]}
	if t.Clock == EventTime {
		l.rec = &s.clocks.record
	}
	return l
}

// stamp is the time that an entry gets now. In event time it does not fall below the one that it has.
func (l *lifetime) stamp(was int64) int64 {
	if l.rec == nil {
		return *l.now
	}
	return max(*l.now, *l.rec, was)
}

// over tells whether an entry of that time has lived long enough.
func (l *lifetime) over(at int64) bool {
	now := *l.now
	return at != noTime && now > at && uint64(now)-uint64(at) >= l.after
}

func (t *table) stampAt(pg *page, off uint32) int64 { return int64(load64(pg, off+t.stamp)) }

func (t *table) expired(pg *page, off uint32) bool {
	return t.ttl != nil && t.ttl.over(t.stampAt(pg, off))
}

// renew begins an entry's life anew.
func (t *table) renew(sh *shard, p, off uint32) {
	was := t.stampAt(sh.page(p), off)
	if at := t.ttl.stamp(was); at != was {
		sh.put64(p, off+t.stamp, uint64(at))
	}
}

// readAlive tells whether an entry is alive, and renews it if reads do.
func (t *table) readAlive(sh *shard, p, off uint32) bool {
	if t.expired(sh.page(p), off) {
		return false
	}
	if t.ttl.reads {
		t.renew(sh, p, off)
	}
	return true
}

// refAlive is Cells.Ref for a state with a TTL: an expired value begins again at zero.
func (t *table) refAlive(sh *shard, k Key) (value ptr, created bool) {
	pg, p, off := t.lookup(sh, k)
	if created = pg == nil; created {
		p, off = t.insert(sh, k)
		pg = sh.page(p)
	}
	at := off + t.value
	if t.size > 0 {
		sh.touch(p, lineBits(at, t.size))
	}
	if !created && t.expired(pg, off) {
		clear(bytesOf(ptrAt(pg, at), int(t.size)))
		created = true
	}
	t.renew(sh, p, off)
	return ptrAt(pg, at), created
}

// peekAlive is Cells.Peek for a state with a TTL.
func (t *table) peekAlive(sh *shard, k Key) ptr {
	pg, p, off := t.lookup(sh, k)
	if pg == nil || !t.readAlive(sh, p, off) {
		return nil
	}
	return ptrAt(pg, off+t.value)
}

// remove deletes a key's entry and tells whether it was there and alive.
func (t *table) remove(sh *shard, k Key) bool {
	alive := true
	if t.ttl != nil {
		pg, _, off := t.lookup(sh, k)
		alive = pg != nil && !t.expired(pg, off)
	}
	return t.delete(sh, k) && alive
}
