package engine

import (
	"fmt"
	"reflect"
	"time"

	"github.com/pagetide/pagetide/mmapstate"
)

// Assigner says which windows a record belongs to.
type Assigner struct {
	kind  string
	size  time.Duration
	slide time.Duration // of sliding windows
}

// Tumbling cuts event time into windows of one size, counted from 1970-01-01 UTC: every record is in exactly one. The
// size must be positive. A record whose window would reach beyond the range of [Time] ends the job with a permanent error.
func Tumbling(size time.Duration) Assigner { return Assigner{kind: "tumbling", size: size} }

// Sliding has windows of a size begin at every multiple of slide, counted from 1970-01-01 UTC: a record is in about
// size/slide of them. Both must be positive, slide at most the size. Only windows that hold a record have a result, and
// what a record costs does not grow with size/slide.
func Sliding(size, slide time.Duration) Assigner {
	return Assigner{kind: "sliding", size: size, slide: slide}
}

// String reads like "tumbling 24h0m0s" or "sliding 10s by 1s". It is part of the operator's fingerprint.
func (a Assigner) String() string {
	if a.slide > 0 {
		return fmt.Sprintf("%s %s by %s", a.kind, a.size, a.slide)
	}
	return fmt.Sprintf("%s %s", a.kind, a.size)
}

// fault is what is wrong with the assigner, empty if nothing is.
func (a Assigner) fault() string {
	switch {
	case a.size <= 0:
		return fmt.Sprintf("window of %s: want a positive size", a.size)
	case a.kind == "sliding" && (a.slide <= 0 || a.slide > a.size):
		return fmt.Sprintf("window of %s that slides by %s: want a positive slide, at most the size", a.size, a.slide)
	}
	return ""
}

// window is the one that a time falls into; ok is false if it reaches beyond the ends of event time, where it would
// never close.
func (a Assigner) window(at Time) (w Span, ok bool) {
	in := at % Time(a.size)
	if in < 0 {
		in += Time(a.size)
	}
	w.Start = at.Add(-time.Duration(in))
	w.End = w.Start.Add(a.size)
	return w, w.Start > MinTime && w.End < MaxTime
}

// Windowed is a keyed stream cut into windows. [Aggregate] says what becomes of them.
type Windowed[K comparable, T any] struct {
	in     Keyed[K, T]
	assign Assigner
	node   *node
	late   *port
}

const kindOpenWindow = "open window" // until an aggregate completes it

const lateName = "late"

// Window cuts a keyed stream with event time into windows.
func Window[K comparable, T any](in Keyed[K, T], a Assigner) Windowed[K, T] {
	n := in.from.node.job.add(kindOpenWindow, "", in.from)
	if !in.from.timed {
		n.job.mistake("window over a stream without event time: give From an EventTime")
	}
	if fault := a.fault(); fault != "" {
		n.job.mistake("%s", fault)
	}
	late := n.output(lateName, in.from.timed)
	late.label = "late records"
	return Windowed[K, T]{in: in, assign: a, node: n, late: late}
}

// Late is the stream of records that came after their window was closed. They are counted in any case. Time moves on after
// each batch that a source reads, so a record that breaks its source's promise may still be in time beside the one that
// is ahead of it: what is late is certain only for records that keep the promise, which never are.
func (w Windowed[K, T]) Late() Stream[T] {
	w.late.used = true
	return Stream[T]{w.late}
}

// Aggregator folds the records of one key and window into an accumulator, which must be flat as in a [Cell]. It is
// shared by all subtasks and must not change.
type Aggregator[K comparable, In, Acc, O any] interface {
	// Add takes a record in. The accumulator is zero before the first; it lies in the page and is valid during the call.
	Add(acc *Acc, in In)

	// Merge takes another accumulator in.
	Merge(into *Acc, from Acc)

	// Result makes the output for a window that has ended.
	Result(key K, w Span, acc Acc) O
}

// Aggregate folds each window and emits its result when the watermark passes its end. The result carries the last
// instant of the window.
func Aggregate[K comparable, In, Acc, O any, A Aggregator[K, In, Acc, O]](w Windowed[K, In], uid string, a A) Stream[O] {
	n := w.node
	if n.kind != kindOpenWindow {
		n.job.mistake("the window at %s has an aggregate already", n.site)
		return Stream[O]{n.output("again", true)}
	}
	n.kind, n.uid, n.site, n.stateful = "window", uid, callSite(), true
	out := n.output("", true)
	checkKey[K](n)
	if err := checkAccumulator[Acc](w.assign); err != nil {
		n.job.mistake("%s: accumulator: %v", n.label(), err)
	}
	n.fingerprint = fmt.Sprintf("window %s, key %s", w.assign, reflect.TypeFor[K]())
	w.in.exchange(n, n.ins[0])
	n.build = func(st *subtask) {
		op := newWindowOp[K, In, O](st, w, out)
		if w.assign.slide > 0 {
			t := newSlidingTask[K, In, Acc](op, a)
			op.run(w, t, t.accs, t.onRecord, t.hint)
			return
		}
		t := newTumblingTask[K, In, Acc](op, a)
		op.run(w, t, t.accs, t.onRecord, t.hint)
	}
	return Stream[O]{out}
}

// checkAccumulator refuses a type that cannot lie in a page as a window keeps it.
func checkAccumulator[Acc any](a Assigner) error {
	_, err := flatWindow[Acc]()
	if err == nil && a.slide > 0 {
		_, err = flatWindow[panes[Acc]]()
	}
	return err
}

// windowOp is what operators over windows have in common in one subtask: the ends of open windows in order of time, and
// what is in hand.
type windowOp[K comparable, In, O any] struct {
	*keyedOp
	assign Assigner
	keyer  *mmapstate.Keyer[K]
	out    *outlet[O]
	late   *outlet[In]
	ends   *mmapstate.Index
	rec    *keyed[K, In] // in hand; nil while a window closes
	closed struct {      // in hand if rec is nil
		key  K
		span Span
	}
	buf []byte // key bytes of a window that closes
}

func newWindowOp[K comparable, In, O any](st *subtask, w Windowed[K, In], out *port) *windowOp[K, In, O] {
	keyer := keyerFor[K](st.a)
	op := newKeyedOp(st, w.node, keyer.Shape())
	t := &windowOp[K, In, O]{
		keyedOp: op, assign: w.assign, keyer: keyer,
		out: makeOutlet[O](st, out), late: makeOutlet[In](st, w.late),
		ends: must(op.store.Index("ends", op.shape)),
	}
	op.describe = t.describeHand
	return t
}

// run lets the operator have its records.
func (t *windowOp[K, In, O]) run(w Windowed[K, In], op operator, accs *mmapstate.Cells, use, hint func(*keyed[K, In])) {
	t.st.ops = append(t.st.ops, op)
	t.hinted = []*mmapstate.Cells{accs}
	w.in.connect(t.keyedOp, t.node.ins[0], t.keyer, use, hint)
}

// take has a record in hand.
func (t *windowOp[K, In, O]) take(r *keyed[K, In]) { t.rec = r }

func (t *windowOp[K, In, O]) keyOf(r *keyed[K, In]) mmapstate.Key {
	return mmapstate.Key{Hash: r.hash, Group: r.group, Bytes: t.keyer.Bytes(&r.key)}
}

func (t *windowOp[K, In, O]) outOfRange(r *keyed[K, In]) {
	t.fail(Permanent(fmt.Errorf("event time %s: its window of %s reaches beyond the years 1678 to 2261", r.at, t.assign.size)))
}

func (t *windowOp[K, In, O]) tooLate(r *keyed[K, In]) { t.late.push(r.val, r.at) }

// closing has a window in hand.
func (t *windowOp[K, In, O]) closing(k mmapstate.Key, span Span) {
	t.rec, t.closed.key, t.closed.span = nil, t.keyer.Decode(k.Bytes), span
	t.ctx.live = true
}

// advance closes the windows that end at or before the instant after w, in order of their ends.
func (t *windowOp[K, In, O]) advance(w Time, fire func(end Time, k mmapstate.Key)) {
	t.drain()
	t.watermark = max(t.watermark, w)
	for {
		end, k, ok := t.ends.Pop(int64(w.Add(1)), t.buf[:0])
		if !ok {
			return
		}
		t.buf = k.Bytes
		fire(Time(end), k)
		t.st.pause()
	}
}

func (t *windowOp[K, In, O]) describeHand() (key, record string) {
	if t.rec == nil {
		return printed(t.closed.key), "window " + t.closed.span.String()
	}
	return printed(t.rec.key), printed(t.rec.val)
}

func (t *windowOp[K, In, O]) flush() error {
	t.drain()
	t.stats.late.Store(t.late.pushed())
	t.stats.out.Store(t.out.pushed())
	t.stats.watermark.Store(int64(t.watermark))
	return nil
}

func (t *windowOp[K, In, O]) close() error { return nil }
