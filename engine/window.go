package engine

import (
	"fmt"
	"reflect"
	"time"
	"unsafe"

	"github.com/pagetide/pagetide/mmapstate"
)

// Assigner says which windows a record belongs to.
type Assigner struct {
	kind string
	size time.Duration
}

// Tumbling cuts event time into windows of one size, counted from 1970-01-01 UTC: every record is in exactly one. The
// size must be positive. A record whose window would reach beyond the range of [Time] ends the job with a permanent error.
func Tumbling(size time.Duration) Assigner { return Assigner{"tumbling", size} }

// String reads like "tumbling 24h0m0s". It is part of the operator's fingerprint.
func (a Assigner) String() string { return fmt.Sprintf("%s %s", a.kind, a.size) }

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
	if a.size <= 0 {
		n.job.mistake("window of %s: want a positive size", a.size)
	}
	return Windowed[K, T]{in: in, assign: a, node: n, late: n.output(lateName, in.from.timed)}
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
	print, err := mmapstate.FlatFingerprint(reflect.TypeFor[Acc]())
	if err != nil {
		n.job.mistake("%s: accumulator: %v", n.label(), err)
	}
	n.fingerprint = fmt.Sprintf("window %s, key %s", w.assign, reflect.TypeFor[K]())
	w.in.exchange(n, n.ins[0])
	n.build = func(st *subtask) {
		keyer := keyerFor[K](st.a)
		op := newKeyedOp(st, n, keyer.Shape())
		t := &windowTask[K, In, Acc, O, A]{
			keyedOp: op, assign: w.assign, agg: a, keyer: keyer,
			out: makeOutlet[O](st, out), late: makeOutlet[In](st, w.late),
			accs: must(op.store.Cells("accumulators", op.shape.With(), int(unsafe.Sizeof(*new(Acc))), print)),
			ends: must(op.store.Index("ends", op.shape)),
		}
		op.describe = t.describeHand
		st.ops = append(st.ops, t)
		op.hinted = []*mmapstate.Cells{t.accs}
		w.in.connect(op, n.ins[0], keyer, t.onRecord, t.hint)
	}
	return Stream[O]{out}
}

// windowTask is an Aggregate operator in one subtask: accumulators by (key, start of the window), and the ends of the
// open windows in order of time.
type windowTask[K comparable, In, Acc, O any, A Aggregator[K, In, Acc, O]] struct {
	*keyedOp
	assign Assigner
	agg    A
	keyer  *mmapstate.Keyer[K]
	out    *outlet[O]
	late   *outlet[In]
	accs   *mmapstate.Cells
	ends   *mmapstate.Index
	rec    *keyed[K, In] // in hand; nil while a window closes
	closed struct {      // in hand if rec is nil
		key  K
		span Span
	}
	buf []byte // key bytes of a window that closes
}

func (t *windowTask[K, In, Acc, O, A]) onRecord(r *keyed[K, In]) {
	w, ok := t.assign.window(r.at)
	if !ok {
		t.rec = r
		t.fail(Permanent(fmt.Errorf("event time %s: its window of %s reaches beyond the years 1678 to 2261", r.at, t.assign.size)))
	}
	if w.End-1 <= t.watermark {
		t.late.push(r.val, r.at)
		return
	}
	t.ctx.live, t.rec = true, r
	k := mmapstate.Key{Hash: r.hash, Group: r.group, Bytes: t.keyer.Bytes(&r.key)}
	acc, created := t.accs.RefOrCreate(k.With(uint64(w.Start), &t.scratch))
	if created {
		t.ends.Insert(k, int64(w.End))
	}
	t.agg.Add((*Acc)(acc), r.val)
	t.ctx.live = false
}

// hint prepares the look at a record's accumulator.
func (t *windowTask[K, In, Acc, O, A]) hint(r *keyed[K, In]) {
	w, _ := t.assign.window(r.at)
	k := mmapstate.Key{Hash: r.hash, Group: r.group}
	t.hints = append(t.hints, k.Hinted(uint64(w.Start)))
}

// advance closes the windows that end at or before the instant after w, in order of their ends.
func (t *windowTask[K, In, Acc, O, A]) advance(w Time) {
	t.drain()
	t.watermark = max(t.watermark, w)
	for {
		end, k, ok := t.ends.Pop(int64(w.Add(1)), t.buf[:0])
		if !ok {
			return
		}
		t.buf = k.Bytes
		t.close1(Time(end), k)
		t.st.pause()
	}
}

func (t *windowTask[K, In, Acc, O, A]) close1(end Time, k mmapstate.Key) {
	span := Span{end.Add(-t.assign.size), end}
	t.rec, t.closed.key, t.closed.span = nil, t.keyer.Decode(k.Bytes), span
	t.ctx.live = true
	at := k.With(uint64(span.Start), &t.scratch)
	p := t.accs.Peek(at)
	if p == nil {
		t.fail(fmt.Errorf("window %s is open but has no accumulator", span))
	}
	acc := *(*Acc)(p)
	t.accs.Delete(at)
	result := t.agg.Result(t.closed.key, span, acc)
	t.ctx.live = false
	t.out.push(result, end-1)
}

func (t *windowTask[K, In, Acc, O, A]) describeHand() (key, record string) {
	if t.rec == nil {
		return printed(t.closed.key), "window " + t.closed.span.String()
	}
	return printed(t.rec.key), printed(t.rec.val)
}

func (t *windowTask[K, In, Acc, O, A]) flush() error {
	t.drain()
	t.stats.late.Store(t.late.pushed())
	t.stats.out.Store(t.out.pushed())
	t.stats.watermark.Store(int64(t.watermark))
	return nil
}

func (t *windowTask[K, In, Acc, O, A]) snapshot(a *ack) error { return t.freeze(a) }

func (t *windowTask[K, In, Acc, O, A]) close() error { return nil }
