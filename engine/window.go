package engine

import (
	"fmt"
	"reflect"
	"time"

	"github.com/pagetide/pagetide/mmapstate"
)

// Assigner says which windows a record belongs to.
type Assigner struct {
	kind   string
	size   time.Duration // the gap of sessions
	slide  time.Duration // of sliding windows
	offset time.Duration // of tumbling and sliding ones: 0 <= offset < step, else a mistake
	gap    any           // func(T) time.Duration, of sessions with a gap of each record's own
	count  int           // of count windows
	clock  bool          // in processing time
}

// The kinds of assigners. They are part of fingerprints.
const (
	kindTumbling = "tumbling"
	kindSliding  = "sliding"
	kindSession  = "session"
	kindCount    = "count"
)

// mostPanes is into how many panes a slide may be cut: a window goes through all of them when it closes.
const mostPanes = 10_000

// Tumbling cuts event time into windows of one size, counted from 1970-01-01 UTC: every record is in exactly one. The
// size must be positive. A record whose window would reach beyond the range of [Time] ends the job with a permanent error.
func Tumbling(size time.Duration) Assigner { return Assigner{kind: kindTumbling, size: size} }

// Sliding has windows of a size begin at every multiple of slide, counted from 1970-01-01 UTC: a record is in about
// size/slide of them. Both must be positive, slide at most the size. Only windows that hold a record have a result, and
// what a record costs does not grow with size/slide; neither does what [Aggregate] costs for each result, whatever the options
// are, but by how late records are for some of their windows, over the slide. [ProcessWindow] and [WindowJoin] keep a record
// once, but read all records of a window for its result. What an aggregated window costs grows with the slide over the greatest
// duration that both size and slide are multiples of, which is 1 if the slide divides the size; more than 10,000 are a
// mistake.
func Sliding(size, slide time.Duration) Assigner {
	return Assigner{kind: kindSliding, size: size, slide: slide}
}

// InProcessingTime has windows go by the job's clock instead of event time, which the stream need not have: a record is in
// those of the time at which its batch is taken in, and a window fires when the clock reaches its end, or at the end of
// bounded input. None is late. The stream of results has no event time. Those that are due when a job is restored fire at
// once.
func (a Assigner) InProcessingTime() Assigner {
	a.clock = true
	return a
}

// Offset moves tumbling and sliding windows by d: they begin that long after the multiples, from 1970-01-01 UTC, at which they
// would begin without. Tumbling(24 * time.Hour).Offset(-8 * time.Hour) are the days of a place eight hours ahead of UTC,
// which begin at 16:00 UTC. d may be negative; it must be shorter than the size or, of sliding windows, the slide.
func (a Assigner) Offset(d time.Duration) Assigner {
	if d < 0 && d > -a.step() {
		d += a.step()
	}
	a.offset = d
	return a
}

// step is the time from the beginning of a tumbling or sliding window to that of the next.
func (a Assigner) step() time.Duration {
	if a.kind == kindSliding {
		return a.slide
	}
	return a.size
}

// String reads like "tumbling 24h0m0s", "sliding 10s by 1s" or "count 100". It is part of the operator's fingerprint.
func (a Assigner) String() string {
	if a.clock {
		a.clock = false
		return a.String() + " in processing time"
	}
	if a.offset != 0 {
		from := a.offset
		a.offset = 0
		return a.String() + " from " + from.String()
	}
	switch {
	case a.count > 0:
		return fmt.Sprintf("%s %d", a.kind, a.count)
	case a.gap != nil:
		return a.kind + " by record"
	case a.slide > 0:
		return fmt.Sprintf("%s %s by %s", a.kind, a.size, a.slide)
	}
	return fmt.Sprintf("%s %s", a.kind, a.size)
}

// fault is what is wrong with the assigner, empty if nothing is.
func (a Assigner) fault() string {
	switch {
	case a.kind == kindCount && a.count <= 0:
		return fmt.Sprintf("window of %d records: want at least 1", a.count)
	case a.kind == kindCount && a.clock:
		return "count windows go by no time: they take no InProcessingTime"
	case (a.kind == kindCount || a.kind == kindSession) && a.offset != 0:
		return a.kind + " windows begin with a record: they take no Offset"
	case a.kind == kindCount || a.gap != nil:
		return ""
	case a.kind == kindSession && a.size <= 0:
		return fmt.Sprintf("sessions with a gap of %s: want a positive one", a.size)
	case a.size <= 0:
		return fmt.Sprintf("window of %s: want a positive size", a.size)
	case a.kind == kindSliding && (a.slide <= 0 || a.slide > a.size):
		return fmt.Sprintf("window of %s that slides by %s: want a positive slide, at most the size", a.size, a.slide)
	case a.offset < 0 || a.offset >= a.step():
		return fmt.Sprintf("%s: want an offset shorter than %s", a, a.step())
	case a.kind == kindSliding && a.slide/time.Duration(gcd(Time(a.size), Time(a.slide))) > mostPanes:
		return fmt.Sprintf("window of %s that slides by %s: both are multiples of no more than %s, so each slide would be cut into more than %d panes",
			a.size, a.slide, time.Duration(gcd(Time(a.size), Time(a.slide))), mostPanes)
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
	if in -= Time(a.offset); in < 0 {
		in += Time(a.size)
	}
	w.Start = at.Add(-time.Duration(in))
	w.End = w.Start.Add(a.size)
	return w, w.Start > MinTime && w.End < MaxTime
}

// Windowed is a keyed stream cut into windows. [Aggregate] or [ProcessWindow] says what becomes of them.
type Windowed[K comparable, T any] struct {
	in     Keyed[K, T]
	assign Assigner
	rule   rule
	node   *node
	late   *port
}

const kindOpenWindow = "open window" // until an aggregate completes it

const lateName = "late"

// Window cuts a keyed stream into windows. All but count windows and those in processing time need its event time.
func Window[K comparable, T any](in Keyed[K, T], a Assigner, o ...WindowOption) Windowed[K, T] {
	n := in.from.node.job.add(kindOpenWindow, "", in.from)
	w := Windowed[K, T]{in: in, assign: a, rule: ruleOf(o), node: n}
	if fault := w.fault(); fault != "" {
		n.job.mistake("%s", fault)
	}
	w.late = n.output(lateName, in.from.timed)
	w.late.label = "late records"
	return w
}

// fault is what is wrong with the window, empty if nothing is.
func (w Windowed[K, T]) fault() string {
	if fault := w.assign.fault(); fault != "" {
		return fault
	}
	if w.assign.kind != kindCount && !w.assign.clock && !w.in.from.timed {
		return "window over a stream without event time: give From an EventTime"
	}
	if _, err := gapOf[T](w.assign); err != nil {
		return err.Error()
	}
	return w.rule.fault(w.assign)
}

// once says that windows fire once, when the watermark passes their end.
func (w Windowed[K, T]) once() bool { return w.rule.usual() && !w.assign.clock }

// begin makes the node what has become of the window, and gives it its main output. It is false if something has before.
func (w Windowed[K, T]) begin(kind, uid string) (out *port, ok bool) {
	n := w.node
	if n.kind != kindOpenWindow {
		n.job.mistake("the window at %s has an aggregate already", n.site)
		return n.output("again", true), false
	}
	n.kind, n.uid, n.site, n.stateful = kind, uid, callSite(), true
	out = n.output("", w.in.from.timed && !w.assign.clock)
	w.rule.tell(n)
	checkKey[K](n)
	n.fingerprint = fmt.Sprintf("%s %s%s, key %s", kind, w.assign, w.rule.fingerprint(), reflect.TypeFor[K]())
	w.in.exchange(n, n.ins[0])
	return out, true
}

// Late is the stream of records that came when all their windows were closed: had ended, and what [AllowedLateness] adds
// was over. They are counted in any case. Time moves on after
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

	// Result makes the output for a window that fires.
	Result(key K, w Span, acc Acc) O
}

// Aggregate folds each window and emits its result when the watermark passes its end. The result carries the last
// instant of the window; that of a count window see [Count].
func Aggregate[K comparable, In, Acc, O any, A Aggregator[K, In, Acc, O]](w Windowed[K, In], uid string, a A) Stream[O] {
	out, ok := w.begin("window", uid)
	if !ok {
		return Stream[O]{out}
	}
	n := w.node
	if err := checkAccumulator[Acc](w.assign, w.once()); err != nil {
		n.job.mistake("%s: accumulator: %v", n.label(), err)
	}
	n.build = func(st *subtask) {
		op := newWindowOp[K, In, O](st, w, out)
		switch {
		case w.assign.kind == kindTumbling && w.once():
			t := newTumblingTask[K, In, Acc](op, a)
			op.run(w, t, t.accs, t.onRecord, t.hint)
		case w.assign.kind == kindSliding:
			t := newSlidingTask[K, In, Acc](op, w.rule, a)
			op.run(w, t, nil, t.onRecord, nil)
		default:
			f := &folds[K, In, Acc, O, A]{op, a}
			newWindowTask(op, w, f).run(w)
		}
	}
	return Stream[O]{out}
}

// checkAccumulator refuses a type that cannot lie in a page as a window keeps it.
func checkAccumulator[Acc any](a Assigner, once bool) error {
	_, err := flatWindow[Acc]()
	switch {
	case err != nil || a.kind == kindTumbling && once:
	case a.kind == kindSliding:
		_, err = flatWindow[panes[Acc]]()
	default:
		_, err = flatWindow[session[Acc]]() // the largest
	}
	return err
}

// windowBase is what operators over windows have in common in one subtask apart from what they take and emit: the ends of
// open windows in order of time, and the window in hand.
type windowBase[K comparable] struct {
	*keyedOp
	assign Assigner
	keyer  *mmapstate.Keyer[K]
	ends   *mmapstate.Index
	firing bool // a window is in hand, not a record
	key    K    // of that window
	span   Span
	buf    []byte // key bytes of a window that closes
}

func newWindowBase[K comparable](st *subtask, n *node, a Assigner) *windowBase[K] {
	keyer := keyerFor[K](st.a)
	op := newKeyedOp(st, n, keyer.Shape())
	return &windowBase[K]{keyedOp: op, assign: a, keyer: keyer, ends: must(op.store.Index("ends", op.shape))}
}

// windowOp is a windowBase with one input.
type windowOp[K comparable, In, O any] struct {
	*windowBase[K]
	out  *outlet[O]
	late *outlet[In]
	rec  *keyed[K, In] // in hand, unless a window is
	_    apart
}

func newWindowOp[K comparable, In, O any](st *subtask, w Windowed[K, In], out *port) *windowOp[K, In, O] {
	b := newWindowBase[K](st, w.node, w.assign)
	t := &windowOp[K, In, O]{windowBase: b, out: makeOutlet[O](st, out), late: makeOutlet[In](st, w.late)}
	b.describe = t.describeHand
	return t
}

// run lets the operator have its records.
func (t *windowOp[K, In, O]) run(w Windowed[K, In], op operator, accs *mmapstate.Cells, use, hint func(*keyed[K, In])) {
	t.st.ops = append(t.st.ops, op)
	if accs != nil {
		t.ahead(accs)
	}
	w.in.connect(t.keyedOp, t.node.ins[0], t.keyer, use, hint)
}

// take has a record in hand.
func (t *windowOp[K, In, O]) take(r *keyed[K, In]) { t.rec, t.firing = r, false }

func (t *windowOp[K, In, O]) keyOf(r *keyed[K, In]) mmapstate.Key {
	return mmapstate.Key{Hash: r.hash, Group: r.group, Bytes: t.keyer.Bytes(&r.key)}
}

func (t *windowOp[K, In, O]) outOfRange(r *keyed[K, In], lateness time.Duration) {
	t.beyond(r.at, t.assign.size, lateness)
}

// beyond ends the attempt with the record in hand, whose window would not close, or never be forgotten.
func (t *windowBase[K]) beyond(at Time, size, lateness time.Duration) {
	kept := ""
	if lateness > 0 {
		kept = fmt.Sprintf(", kept for %s more,", lateness)
	}
	t.fail(Permanent(fmt.Errorf("event time %s: its window of %s%s reaches beyond the years 1678 to 2261", at, size, kept)))
}

func (t *windowOp[K, In, O]) tooLate(r *keyed[K, In]) { t.late.push(r.val, r.at) }

// closing has a window in hand.
func (t *windowBase[K]) closing(k mmapstate.Key, span Span) {
	t.firing, t.key, t.span = true, t.keyer.Decode(k.Bytes), span
	t.ctx.live = true
}

// advance closes the windows that end at or before the instant after w, in order of their ends.
func (t *windowBase[K]) advance(w Time, fire func(end Time, k mmapstate.Key)) {
	t.drain()
	t.watermark = max(t.watermark, w)
	t.pop(t.ends, w.Add(1), fire)
}

// pop calls f with the entries of an index up to a time, in order of time.
func (t *windowBase[K]) pop(x *mmapstate.Index, until Time, f func(at Time, k mmapstate.Key)) {
	for {
		at, k, ok := x.Pop(int64(until), t.buf[:0])
		if !ok {
			return
		}
		t.stats.timers.Add(1)
		t.buf = k.Bytes
		f(Time(at), k)
		t.st.pause()
	}
}

func (t *windowOp[K, In, O]) describeHand() (key, record string) {
	if t.firing {
		return t.describeWindow()
	}
	return printed(t.rec.key), printed(t.rec.val)
}

func (t *windowBase[K]) describeWindow() (key, record string) {
	return printed(t.key), "window " + t.span.String()
}

func (t *windowOp[K, In, O]) flush() error {
	t.drain()
	t.stats.late.Store(t.late.pushed())
	t.stats.out.Store(t.out.pushed())
	t.stats.watermark.Store(int64(t.watermark))
	return nil
}

func (t *windowOp[K, In, O]) close() error { return nil }
