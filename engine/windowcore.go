package engine

import (
	"time"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/mmapstate"
)

// A window operator is put together of three parts that know little of each other:
//
//	windows  which windows a key has, and where each one's value lies     panes, sessions, counts
//	content  what the value is                                            an accumulator, or the records themselves
//	rule     when windows fire, and how long they stay                    end, lateness, early results
//
// Aggregates over sliding windows, and those over tumbling ones without a rule of their own, take records themselves: see
// sliding.go and tumbling.go.

// windows are the windows of the keys of one subtask. Each keeps a value, whose zero value is that of no records.
type windows[V any] interface {
	// place gives the value that takes in a record, nil if that is too late. The record alone would make a window of own.
	// The id is that of the value, as long as the key has no other with the same.
	place(k mmapstate.Key, own Span) (v *V, id Time)

	// hint is what place will look up, of cells.
	hint(k mmapstate.Key, at Time) mmapstate.Key
	cells() *mmapstate.Cells

	// placed is called when the value that was given last has taken the record in.
	placed(k mmapstate.Key)

	firing
}

// firing is what windows do when their time has come.
type firing interface {
	end(at Time, k mmapstate.Key)    // an entry of ends is due
	wake(at Time, k mmapstate.Key)   // an entry of woken is
	retire(at Time, k mmapstate.Key) // an entry of retired is
	finish()                         // the input has ended, and all entries were due
}

// content is what windows keep.
type content[K comparable, V any] interface {
	merge(k mmapstate.Key, into *V, from V) // from is no longer used
	emit(k mmapstate.Key, key K, w Span, parts []V)
	drop(k mmapstate.Key, v V) // what v refers to is no longer used
}

// windowCore is an operator of such parts in one subtask, apart from what it takes.
type windowCore[K comparable, V any] struct {
	*windowBase[K]
	rule
	what    content[K, V]
	which   windows[V]       // nil if the operator takes records itself
	fires   firing           // the same windows, or that operator
	mark    Time             // windows that end by the instant after it have fired: the watermark, or by the clock
	passed  Time             // the watermark that what is emitted now must not be late for
	retired *mmapstate.Index // when windows that have fired are forgotten: their ends, and the lateness; nil without
	behind  bool             // restored, so that windows may be over that have not fired yet
	woken   *mmapstate.Index // when open windows give early results; nil without
	parts   []V
}

// newCore makes a core whose windows are to be given to it.
func newCore[K comparable, V any](b *windowBase[K], r rule) *windowCore[K, V] {
	c := &windowCore[K, V]{windowBase: b, rule: r, mark: b.watermark, passed: b.watermark, behind: true}
	if b.assign.clock {
		c.mark = MinTime
	}
	if b.assign.clock || r.early {
		b.st.clocked = append(b.st.clocked, c)
	}
	if r.lateness > 0 {
		c.retired = must(b.store.Index("retired", b.shape))
	}
	return c
}

func newWindowCore[K comparable, V any](b *windowBase[K], r rule, what content[K, V]) *windowCore[K, V] {
	c := newCore[K, V](b, r)
	c.what = what
	switch b.assign.kind {
	case kindCount:
		c.which = newCountWindows(c)
	case kindSession:
		c.which = newSessionWindows(c)
	default:
		c.which = newPaneWindows(c)
	}
	c.fires = c.which
	return c
}

// outside says that not all windows of a time close, because it is too near to the ends of all time.
func (c *windowCore[K, V]) outside(at Time) bool {
	size := c.assign.size
	return at < MinTime.Add(size).Add(size).Add(c.assign.offset) || at > MaxTime.Add(-c.lateness).Add(-size).Add(-size)
}

// over says that a window has fired, by its end.
func (c *windowCore[K, V]) over(end Time) bool { return end-1 <= c.mark }

// dead says that a window is forgotten, by its end.
func (c *windowCore[K, V]) dead(end Time) bool { return end.Add(c.lateness)-1 <= c.mark }

// fire emits the result of a window, with a time to carry.
func (c *windowCore[K, V]) fire(k mmapstate.Key, w Span, at Time, parts ...V) {
	if c.assign.clock {
		at = 0
	}
	c.closing(k, w)
	c.ctx.take(k)
	c.ctx.time = at
	c.what.emit(k, c.key, w, parts)
	c.ctx.live = false
}

// stays has a window that has fired forgotten when no late record may come to it any more. It is false if none may now.
func (c *windowCore[K, V]) stays(k mmapstate.Key, end Time) bool {
	if c.retired == nil {
		return false
	}
	c.retired.Insert(k, int64(end.Add(c.lateness)))
	return true
}

// advance fires what ends by the instant after w, and forgets what is dead then.
func (c *windowCore[K, V]) advance(w Time) {
	c.drain()
	c.watermark = max(c.watermark, w)
	if !c.assign.clock || w == MaxTime {
		c.mark = max(c.mark, w)
	}
	c.catchUp()
	if w == MaxTime {
		c.fires.finish()
	}
	c.passed = c.watermark
}

// catchUp fires and forgets what is due. After it no window is over that has not fired. A restored subtask may have taken
// over windows of one that was behind: it must catch up before it takes a record.
func (c *windowCore[K, V]) catchUp() {
	c.behind = false
	c.pop(c.ends, c.mark.Add(1), c.fires.end)
	if c.retired != nil {
		c.pop(c.retired, c.mark.Add(1), c.fires.retire)
	}
}

// due implements clocked.
func (c *windowCore[K, V]) due() (at Time, ok bool) {
	for _, x := range []*mmapstate.Index{c.woken, c.byClock()} {
		if x == nil {
			continue
		}
		if first, some := x.Min(); some && (!ok || Time(first) < at) {
			at, ok = Time(first), true
		}
	}
	return at, ok
}

// byClock are the ends of windows in processing time, nil for others.
func (c *windowCore[K, V]) byClock() *mmapstate.Index {
	if c.assign.clock {
		return c.ends
	}
	return nil
}

// ring implements clocked. Windows that have ended have no early results any more.
func (c *windowCore[K, V]) ring(now Time) {
	if c.assign.clock {
		c.mark = max(c.mark, now-1)
		c.pop(c.ends, now, c.fires.end)
	}
	if c.early {
		c.pop(c.woken, now, c.fires.wake)
	}
}

// timeOf is the time of a record, by its event time. A clock that is put back does not open windows again.
func (c *windowCore[K, V]) timeOf(at Time) Time {
	if c.assign.clock {
		return max(c.st.now, c.mark+1)
	}
	return at
}

// hint prepares the look at a record's window.
func (c *windowCore[K, V]) hint(hash uint64, g meta.KeyGroup, at Time) {
	c.hints = append(c.hints, c.which.hint(mmapstate.Key{Hash: hash, Group: g}, c.timeOf(at)))
}

// tick is when a window that has taken a record in gives its next early result.
func (c *windowCore[K, V]) tick() Time {
	every := Time(c.every)
	return floor(c.st.now, every) + every
}

// keeper is content that records of one input are added to.
type keeper[K comparable, In, V any] interface {
	content[K, V]
	add(k mmapstate.Key, id Time, v *V, r *keyed[K, In])
}

// windowTask is an operator over windows of any kind with one input, in one subtask.
type windowTask[K comparable, In, O, V any] struct {
	*windowOp[K, In, O]
	core *windowCore[K, V]
	keep keeper[K, In, V]
	own  func(*keyed[K, In]) Span // the window of a record alone
}

func newWindowTask[K comparable, In, O, V any](op *windowOp[K, In, O], w Windowed[K, In], keep keeper[K, In, V]) *windowTask[K, In, O, V] {
	return &windowTask[K, In, O, V]{
		windowOp: op, keep: keep, core: newWindowCore[K, V](op.windowBase, w.rule, keep), own: ownWindow[K, In](op.windowBase, w.rule.lateness),
	}
}

func (t *windowTask[K, In, O, V]) run(w Windowed[K, In]) {
	t.windowOp.run(w, t, t.core.which.cells(), t.onRecord, t.hint)
}

func (t *windowTask[K, In, O, V]) onRecord(r *keyed[K, In]) {
	if t.core.behind {
		t.core.catchUp()
	}
	t.take(r)
	r.at = t.core.timeOf(r.at)
	t.ctx.live = true
	k := t.keyOf(r)
	v, id := t.core.which.place(k, t.own(r))
	if v == nil {
		t.ctx.live = false
		t.tooLate(r)
		return
	}
	t.keep.add(k, id, v, r)
	t.core.which.placed(k)
	t.ctx.live = false
}

func (t *windowTask[K, In, O, V]) hint(r *keyed[K, In]) {
	t.core.hint(r.hash, r.group, r.at)
}

func (t *windowTask[K, In, O, V]) advance(w Time) { t.core.advance(w) }

func (t *windowTask[K, In, O, V]) snapshot(a *ack) error { return t.freeze(a) }

// ownWindow gives the window that a record alone makes: with sessions up to its gap, else just where it is.
func ownWindow[K comparable, In any](t *windowBase[K], lateness time.Duration) func(*keyed[K, In]) Span {
	if t.assign.kind != kindSession {
		return func(r *keyed[K, In]) Span { return Span{r.at, r.at} }
	}
	gap := must(gapOf[In](t.assign))
	return func(r *keyed[K, In]) Span {
		d := t.assign.size
		if gap != nil {
			d = gap(r.val)
		}
		if d <= 0 {
			t.fail(Permanent(badGap(d)))
		}
		end := r.at.Add(d)
		if end.Add(lateness) == MaxTime {
			t.beyond(r.at, d, lateness)
		}
		return Span{r.at, end}
	}
}

// folds is content that an aggregator folds.
type folds[K comparable, In, Acc, O any, A Aggregator[K, In, Acc, O]] struct {
	*windowOp[K, In, O]
	agg A
}

func (f *folds[K, In, Acc, O, A]) add(_ mmapstate.Key, _ Time, acc *Acc, r *keyed[K, In]) {
	f.agg.Add(acc, r.val)
}

func (f *folds[K, In, Acc, O, A]) merge(_ mmapstate.Key, into *Acc, from Acc) {
	f.agg.Merge(into, from)
}

func (f *folds[K, In, Acc, O, A]) emit(_ mmapstate.Key, key K, w Span, parts []Acc) {
	for _, p := range parts[1:] {
		f.agg.Merge(&parts[0], p)
	}
	result := f.agg.Result(key, w, parts[0])
	f.ctx.live = false
	f.out.push(result, f.ctx.time)
}

func (f *folds[K, In, Acc, O, A]) drop(mmapstate.Key, Acc) {}
