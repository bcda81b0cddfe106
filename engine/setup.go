package engine

import (
	"context"
	"fmt"
	"reflect"
	"sort"
	"strings"

	"github.com/pagetide/pagetide/mmapstate"
)

// Setup is handed to the constructor of a [Process] operator, which declares its state, timers and side outputs with
// it: once when the graph is checked, and once in every subtask. It must not be kept.
type Setup struct {
	op   *keyedOp // nil while the graph is checked
	node *node
	key  reflect.Type // nil: the operator has none
	out  reflect.Type

	timed bool // the stream has event time

	names  map[string]bool
	timers []string
	opens  []func(context.Context) error
	closes []func() error
}

// OnOpen registers f to run in each subtask before its first record; an error ends the attempt. Its context ends with
// the attempt.
func (s *Setup) OnOpen(f func(context.Context) error) { s.opens = append(s.opens, f) }

// OnClose registers f to run for each subtask that has begun to run, when the attempt ends, however it ends and also if
// an OnOpen failed. Its error is logged: nothing depends on it any more.
func (s *Setup) OnClose(f func() error) { s.closes = append(s.closes, f) }

// checking says that this is the graph's check: nothing runs yet.
func (s *Setup) checking() bool { return s.op == nil }

// declare takes a name for a state or timer and reports a second use of it.
func (s *Setup) declare(what, name string) {
	if s.names == nil {
		s.names = map[string]bool{}
	}
	if s.checking() {
		switch {
		case name == "":
			s.node.job.mistake("%s: %s with an empty name", s.node.label(), what)
		case s.names[name]:
			s.node.job.mistake("%s: the name %q is used twice", s.node.label(), name)
		}
	}
	s.names[name] = true
}

// needsKey reports what there is per key in an operator without keys.
func (s *Setup) needsKey(what, name string) {
	if s.checking() && s.key == nil {
		s.mistake("%s %q belongs to a key, which the stream does not have: use KeyBy and Process, or NewOperatorList", what, name)
	}
}

func (s *Setup) mistake(format string, args ...any) {
	s.node.job.mistake("%s: %s", s.node.label(), fmt.Sprintf(format, args...))
}

// fingerprint is what must not change while there is state: the kind, the key and the timers.
func (s *Setup) fingerprint() string {
	sort.Strings(s.timers)
	if s.key == nil {
		return s.node.kind + ", no key"
	}
	return fmt.Sprintf("%s, key %s, timers [%s]", s.node.kind, s.key, strings.Join(s.timers, " "))
}

// Context is the record, key and time in hand. It is valid within the callback that it was passed to: a state used
// with a Context that was kept panics, or is that of the record which is in hand by then. It is not a context.Context.
type Context struct {
	op   *keyedOp
	key  *mmapstate.Key
	time Time
	live bool
	rule bool          // a broadcast record is in hand: there is no key, and live is false
	own  mmapstate.Key // of a timer or a window
}

// take has a key in hand that is not a record's.
func (c *Context) take(k mmapstate.Key) {
	c.own = k
	c.key = &c.own
}

// Time is the event time of the record or timer in hand; zero in a stream without event time. For a timer in processing
// time it is what the records carry that it emits: see [NewTimer].
func (c *Context) Time() Time { return c.time }

// Watermark is the operator's time: no record at or before it is still to be expected.
func (c *Context) Watermark() Time { return c.op.watermark }

// ProcessingTime is the time by the job's [Clock], as of the beginning of the batch that is being worked on.
func (c *Context) ProcessingTime() Time { return c.op.st.now }

// late says that the record in hand came at or before the watermark, and counts it.
func (c *Context) late() bool {
	if c.time > c.op.watermark {
		return false
	}
	c.op.stats.late.Add(1)
	return true
}

// of gives the key in hand to a state of operator op.
func (c *Context) of(op *keyedOp) mmapstate.Key {
	c.check(op)
	return *c.key
}

// check panics unless a callback of the operator runs.
func (c *Context) check(op *keyedOp) {
	if !c.live || c.op != op {
		outside(op)
	}
}

// checkAny is check for state that does not belong to a key.
func (c *Context) checkAny(op *keyedOp) {
	if !c.rule {
		c.check(op)
	} else if c.op != op {
		outside(op)
	}
}

func outside(op *keyedOp) {
	if op.ctx.rule {
		panic(fmt.Sprintf("state per key of operator %q used in OnBroadcast, where there is no key", op.node.uid))
	}
	panic(fmt.Sprintf("state of operator %q used outside of its callback", op.node.uid))
}

// keyedOp is the part of a keyed operator in one subtask that does not depend on its types.
type keyedOp struct {
	node       *node
	shared     *keyedOp // its broadcast state; nil: it has none
	st         *subtask
	store      *mmapstate.Store
	share      share // of restored state
	untilShare int   // looks at its memory before the share of it is computed anew
	shape      mmapstate.KeyShape
	ctx        Context
	timers     []*timerIndex // in event time
	clocks     []*timerIndex // in processing time
	watermark  Time
	describe   func() (key, record string) // what is in hand
	stats      *nodeStats
	opens      []func(context.Context) error
	closes     []func() error
	opening    bool            // an OnOpen runs
	held       drainer         // of its inputs the one that records are collected for, nil at first
	hinted     []*lookahead    // in what a record will most likely look up
	hints      []mmapstate.Key // of the records about to be worked on
	place      int             // of the record in hand among those that were looked up ahead; workBatch if none were
	buf        []byte          // an encoded value
	scratch    []byte          // a key with a number
	mortal     bool            // some state has a TTL
	_          apart
}

// newKeyedOp opens the operator's share of state in a subtask.
func newKeyedOp(st *subtask, n *node, shape mmapstate.KeyShape) *keyedOp {
	op := &keyedOp{node: n, st: st, shape: shape, stats: st.statsOf(n)}
	op.store, op.share = st.a.openStore(n, st.index)
	op.measure()
	op.watermark = st.a.watermark(n, st.index)
	op.tellTime() // states begin where time stood
	op.ctx.op = op
	op.hints, op.place = make([]mmapstate.Key, 0, workBatch), workBatch
	st.keyed = append(st.keyed, op)
	st.hands = append(st.hands, op)
	return op
}

// drainer is an input that collects records.
type drainer interface{ drain() }

// collect says that an input collects a record next: what another one has is worked off first, so that order is kept.
func (op *keyedOp) collect(from drainer) {
	if op.held != from {
		op.drain()
		op.held = from
	}
}

// drain works off the records collected for the operator.
func (op *keyedOp) drain() {
	if op.held != nil {
		op.held.drain()
	}
}

// open runs what the constructor has registered with OnOpen.
func (op *keyedOp) open(ctx context.Context) error {
	for _, f := range op.opens {
		op.opening = true
		if err := f(ctx); err != nil {
			return &OperatorError{UID: op.node.uid, Err: fmt.Errorf("OnOpen: %w", err)}
		}
		op.opening = false
	}
	return nil
}

func (op *keyedOp) busy() bool { return op.ctx.live || op.ctx.rule || op.opening }

func (op *keyedOp) inHand() (uid, key, record string) {
	if op.ctx.live || op.ctx.rule {
		key, record = op.describe()
	}
	return op.node.uid, key, record
}

// lookahead is a state and what was found in it for the records that are being worked on.
type lookahead struct {
	cells *mmapstate.Cells
	found [workBatch + 1]mmapstate.Found // nothing is ever found at the end
}

// ahead has records look a state up before they are worked on.
func (op *keyedOp) ahead(c *mmapstate.Cells) *lookahead {
	l := &lookahead{cells: c}
	op.hinted = append(op.hinted, l)
	return l
}

// look looks keys up that are about to be worked on.
func (op *keyedOp) look(keys []mmapstate.Key) {
	for _, l := range op.hinted {
		l.cells.Look(keys, l.found[:len(keys)])
	}
}

// freeze adds the operator's state to a checkpoint.
func (op *keyedOp) freeze(a *ack) error {
	cut, err := op.store.Freeze()
	if err != nil {
		return fmt.Errorf("operator %q: freeze: %w", op.node.uid, err)
	}
	a.cuts = append(a.cuts, nodeCut{op.node, cut})
	a.watermarks[op.node] = op.watermark
	return nil
}

// fail ends the attempt with a user's error.
func (op *keyedOp) fail(err error) {
	key, record := op.describe()
	panic(&OperatorError{UID: op.node.uid, Key: key, Record: record, Err: err})
}

// must turns the error of a declaration that was checked before into a failure of the attempt.
func must[T any](v T, err error) T {
	if err != nil {
		panic(declarationError{err})
	}
	return v
}

type declarationError struct{ error }

func (e declarationError) Unwrap() error { return e.error }

// keyerFor gives the attempt's keyer for a key type.
func keyerFor[K comparable](a *attempt) *mmapstate.Keyer[K] {
	return must(mmapstate.NewKeyer[K](a.hashSeed, a.keyGroups))
}

// checkKey reports a key type that cannot be hashed as bytes.
func checkKey[K comparable](n *node) {
	if _, err := mmapstate.NewKeyer[K](1, 1); err != nil {
		n.job.mistake("%s: key: %v", n.label(), err)
	}
}
