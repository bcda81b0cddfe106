package engine

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/pagetide/pagetide/mmapstate"
)

// WindowJoin pairs the records of two streams that have the same key and are in the same window, when that fires: each of
// the left with each of the right. f makes the output of a pair, which carries the last instant of the window; with an
// outer join also that of each record alone, with nil for the other side, if that has none in the window. A session is one
// of both streams' records together. Count windows cannot be joined. Records are kept as by [ProcessWindow]; those of a
// window's right are in memory together when it fires. One whose windows are over is late: it is dropped and counted. f
// must not keep its pointers.
func WindowJoin[K comparable, L, R, O any](l Keyed[K, L], r Keyed[K, R], a Assigner, uid string, kind JoinKind, f func(key K, w Span, left *L, right *R) O) Stream[O] {
	n := l.from.node.job.add("window join", uid, l.from, r.from)
	n.stateful = true
	if fault := joinFault[L, R](n, a, kind); fault != "" {
		n.job.mistake("%s: %s", n.label(), fault)
	}
	n.wants(f != nil, "function")
	checkKey[K](n)
	checkElements[L](n)
	checkElements[R](n)
	n.declared = append(n.declared, "records: "+typeOf[L]()+" and "+typeOf[R]())
	l.exchange(n, n.ins[0])
	r.exchange(n, n.ins[1])
	n.fingerprint = fmt.Sprintf("%s join %s, key %s", kind, a, reflect.TypeFor[K]())
	out := n.output("", n.timed() && !a.clock)
	n.build = func(st *subtask) {
		j := newWindowJoin(st, n, a, out, kind, f)
		st.ops = append(st.ops, j)
		j.ahead(j.core.which.cells())
		l.connect(j.keyedOp, n.ins[0], j.keyer, j.onLeft, j.hintLeft)
		r.connect(j.keyedOp, n.ins[1], j.keyer, j.onRight, j.hintRight)
	}
	return Stream[O]{out}
}

// joinFault is what is wrong with a window join, empty if nothing is.
func joinFault[L, R any](n *node, a Assigner, kind JoinKind) string {
	if fault := a.fault(); fault != "" {
		return fault
	}
	_, left := gapOf[L](a)
	_, right := gapOf[R](a)
	switch {
	case a.kind == kindCount:
		return "count windows cannot be joined"
	case !a.clock && !n.timed():
		return "a stream without event time: give From an EventTime"
	case left != nil:
		return left.Error()
	case right != nil:
		return right.Error()
	case kind < Inner || kind > FullOuter:
		return fmt.Sprintf("no such %s", kind)
	}
	return ""
}

// sides are the records of a window of a join.
type sides struct{ Left, Right bag }

// windowJoin is a WindowJoin operator in one subtask.
type windowJoin[K comparable, L, R, O any] struct {
	*windowBase[K]
	core     *windowCore[K, sides]
	out      *outlet[O]
	kind     JoinKind
	f        func(K, Span, *L, *R) O
	lefts    *elements[L]
	rights   *elements[R]
	ownLeft  func(*keyed[K, L]) Span
	ownRight func(*keyed[K, R]) Span

	left  *keyed[K, L] // in hand, if it is a left record
	right *keyed[K, R] // in hand, if it is a right one
	l     L            // of a pair
	rs    []R          // of the window that fires
}

func newWindowJoin[K comparable, L, R, O any](st *subtask, n *node, a Assigner, out *port, kind JoinKind, f func(K, Span, *L, *R) O) *windowJoin[K, L, R, O] {
	b := newWindowBase[K](st, n, a)
	j := &windowJoin[K, L, R, O]{windowBase: b, out: makeOutlet[O](st, out), kind: kind, f: f}
	j.lefts = newElements[L](b.keyedOp, "left.", a.kind == kindSession)
	j.rights = newElements[R](b.keyedOp, "right.", a.kind == kindSession)
	j.ownLeft, j.ownRight = ownWindow[K, L](b, 0), ownWindow[K, R](b, 0)
	j.core = newWindowCore[K, sides](b, rule{}, j)
	b.describe = j.describeHand
	return j
}

func (j *windowJoin[K, L, R, O]) onLeft(r *keyed[K, L]) {
	if j.core.behind {
		j.core.catchUp()
	}
	j.left, j.right, j.firing, j.ctx.live = r, nil, false, true
	r.at = j.core.timeOf(r.at)
	k := mmapstate.Key{Hash: r.hash, Group: r.group, Bytes: j.keyer.Bytes(&r.key)}
	if v, id := j.core.which.place(k, j.ownLeft(r)); v != nil {
		j.lefts.add(k, id, &v.Left, r.val)
		j.core.which.placed(k)
	} else {
		j.stats.late.Add(1)
	}
	j.ctx.live = false
}

func (j *windowJoin[K, L, R, O]) onRight(r *keyed[K, R]) {
	if j.core.behind {
		j.core.catchUp()
	}
	j.left, j.right, j.firing, j.ctx.live = nil, r, false, true
	r.at = j.core.timeOf(r.at)
	k := mmapstate.Key{Hash: r.hash, Group: r.group, Bytes: j.keyer.Bytes(&r.key)}
	if v, id := j.core.which.place(k, j.ownRight(r)); v != nil {
		j.rights.add(k, id, &v.Right, r.val)
		j.core.which.placed(k)
	} else {
		j.stats.late.Add(1)
	}
	j.ctx.live = false
}

func (j *windowJoin[K, L, R, O]) hintLeft(r *keyed[K, L])  { j.core.hint(r.hash, r.group, r.at) }
func (j *windowJoin[K, L, R, O]) hintRight(r *keyed[K, R]) { j.core.hint(r.hash, r.group, r.at) }

// merge implements content.
func (j *windowJoin[K, L, R, O]) merge(k mmapstate.Key, into *sides, from sides) {
	j.lefts.merge(k, &into.Left, from.Left)
	j.rights.merge(k, &into.Right, from.Right)
}

// drop implements content.
func (j *windowJoin[K, L, R, O]) drop(k mmapstate.Key, v sides) {
	j.lefts.drop(k, v.Left)
	j.rights.drop(k, v.Right)
}

// emit implements content.
func (j *windowJoin[K, L, R, O]) emit(k mmapstate.Key, key K, w Span, parts []sides) {
	for _, p := range parts {
		j.rs = slices.AppendSeq(j.rs, j.rights.all(k, p.Right))
	}
	none := true
	for _, p := range parts {
		for j.l = range j.lefts.all(k, p.Left) {
			j.pairs(key, w)
			none = false
		}
	}
	for i := range j.rs {
		if none && (j.kind == RightOuter || j.kind == FullOuter) {
			j.push(j.f(key, w, nil, &j.rs[i]))
		}
	}
	clear(j.rs)
	j.l, j.rs = *new(L), j.rs[:0]
}

// pairs emits the pairs of the left record in hand.
func (j *windowJoin[K, L, R, O]) pairs(key K, w Span) {
	for i := range j.rs {
		j.push(j.f(key, w, &j.l, &j.rs[i]))
	}
	if len(j.rs) == 0 && (j.kind == LeftOuter || j.kind == FullOuter) {
		j.push(j.f(key, w, &j.l, nil))
	}
}

func (j *windowJoin[K, L, R, O]) push(v O) { j.out.push(v, j.ctx.time) }

func (j *windowJoin[K, L, R, O]) describeHand() (key, record string) {
	switch {
	case j.firing:
		return j.describeWindow()
	case j.left != nil:
		return printed(j.left.key), printed(j.left.val)
	}
	return printed(j.right.key), printed(j.right.val)
}

func (j *windowJoin[K, L, R, O]) advance(w Time) { j.core.advance(w) }

func (j *windowJoin[K, L, R, O]) flush() error {
	j.drain()
	j.stats.out.Store(j.out.pushed())
	j.stats.watermark.Store(int64(j.watermark))
	return nil
}

func (j *windowJoin[K, L, R, O]) snapshot(a *ack) error { return j.freeze(a) }

func (j *windowJoin[K, L, R, O]) close() error { return nil }
