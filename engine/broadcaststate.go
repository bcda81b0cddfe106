package engine

import (
	"fmt"
	"iter"
	"slices"

	"github.com/pagetide/pagetide/mmapstate"
)

// BroadcastState is a map that every subtask of a [ProcessBroadcast] or [ProcessEachBroadcast] operator has whole. All callbacks
// read it; only OnBroadcast writes it, so that all subtasks have the same. It is kept in memory once for each subtask, whatever
// the memory limit, and once in each checkpoint: as the operator "<uid>.broadcast", which the job must not have otherwise.
type BroadcastState[K comparable, V any] struct {
	op    *keyedOp // whose callbacks use it
	keyer *mmapstate.Keyer[K]
	form  *mmapstate.Form[V]
	cells *mmapstate.Cells // of flat values
	bytes *mmapstate.Bytes // of others
}

// NewBroadcastState declares a map. K is admitted as the keys of [KeyBy] are. Of the options, it takes [Encoded].
func NewBroadcastState[K comparable, V any](s *Setup, name string, o ...StateOption) BroadcastState[K, V] {
	const what = "broadcast state"
	s.declare("state", name)
	form := formFor[V](s, what, name, o)
	if s.checking() {
		s.share(what, name, "from "+typeOf[K]()+" to "+typeOf[V]())
		if slices.ContainsFunc(o, func(opt StateOption) bool { _, is := opt.(mmapstate.TTL); return is }) {
			s.mistake("%s %q takes no TTL", what, name)
		}
		if _, err := mmapstate.NewKeyer[K](1, 1); err != nil {
			s.mistake("%s %q: %v", what, name, err)
		}
		return BroadcastState[K, V]{}
	}
	b := BroadcastState[K, V]{op: s.op, keyer: keyerFor[K](s.op.st.a), form: form}
	if store := s.op.shared.store; form.Flat() {
		b.cells = must(store.Cells(name, b.keyer.Shape(), form.Size(), form.Fingerprint(), o...))
	} else {
		b.bytes = must(store.Bytes(name, b.keyer.Shape(), form.Fingerprint(), o...))
	}
	return b
}

// share sees to it that the operator has a node for its broadcast state, and notes a state there.
func (s *Setup) share(what, name, of string) {
	n := s.node
	if !n.broadcasts {
		s.mistake("%s %q: only ProcessBroadcast and ProcessEachBroadcast have such", what, name)
		return
	}
	if n.shared == nil {
		n.shared = n.job.add("broadcast", n.uid+".broadcast")
		n.shared.owner, n.shared.stateful, n.shared.fingerprint = n, true, "broadcast, no key"
		n.shared.build = func(*subtask) {} // the owner's makes it
	}
	n.shared.declared = append(n.shared.declared, fmt.Sprintf("%s %q: %s", what, name, of))
}

// Get returns the value of a key, and whether there is one.
func (b BroadcastState[K, V]) Get(ctx *Context, key K) (v V, ok bool) {
	ctx.checkAny(b.op)
	k := b.keyer.Key(&key)
	if b.cells != nil {
		if p := (*V)(b.cells.Peek(k)); p != nil {
			return *p, true
		}
		return v, false
	}
	if b.op.buf, ok = b.bytes.Get(k, b.op.buf[:0]); ok {
		v = decode(b.op, b.form, b.op.buf)
	}
	return v, ok
}

// Put replaces the value of a key, in OnBroadcast.
func (b BroadcastState[K, V]) Put(ctx *Context, key K, v V) {
	b.checkWrite(ctx)
	if b.cells != nil {
		*(*V)(b.cells.Ref(b.keyer.Key(&key))) = v
		return
	}
	b.op.stored(b.bytes.Put(b.keyer.Key(&key), encode(b.op, b.form, &v)))
}

// Delete removes a key, in OnBroadcast. It reports whether it was there.
func (b BroadcastState[K, V]) Delete(ctx *Context, key K) bool {
	b.checkWrite(ctx)
	if b.cells != nil {
		return b.cells.Delete(b.keyer.Key(&key))
	}
	return b.bytes.Delete(b.keyer.Key(&key))
}

func (b BroadcastState[K, V]) checkWrite(ctx *Context) {
	ctx.checkAny(b.op)
	if !ctx.rule {
		panic(fmt.Sprintf("broadcast state of operator %q written outside of OnBroadcast", b.op.node.uid))
	}
}

// Len is the number of entries.
func (b BroadcastState[K, V]) Len(ctx *Context) int {
	ctx.checkAny(b.op)
	if b.cells != nil {
		return b.cells.Len()
	}
	return b.bytes.Len()
}

// All goes through the entries, in no order, which may differ from subtask to subtask. In OnBroadcast, which may change
// them meanwhile, it goes through those that there were at the begin.
func (b BroadcastState[K, V]) All(ctx *Context) iter.Seq2[K, V] {
	ctx.checkAny(b.op)
	if !ctx.rule {
		return b.walk
	}
	type entry struct {
		k K
		v V
	}
	var all []entry
	for k, v := range b.walk {
		all = append(all, entry{k, v})
	}
	return func(yield func(K, V) bool) {
		for _, e := range all {
			if !yield(e.k, e.v) {
				return
			}
		}
	}
}

func (b BroadcastState[K, V]) walk(yield func(K, V) bool) {
	if b.cells == nil {
		for k, v := range b.bytes.All() {
			if !yield(b.keyer.Decode(k.Bytes), decode(b.op, b.form, v)) {
				return
			}
		}
		return
	}
	for k, v := range b.cells.All() {
		if !yield(b.keyer.Decode(k.Bytes), *(*V)(v)) {
			return
		}
	}
}
