package engine

import (
	"reflect"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/mmapstate"
)

// route leads from one upstream subtask to another task: to its counterpart, or to all subtasks.
type route struct {
	up     *subtask
	way    way
	inbox  []*inbox // of the downstream subtasks
	input  int      // there, of this upstream subtask
	groups int
}

// put sends a message to one subtask.
func (r *route) put(to int, m message) {
	m.origin = r.up.origin
	r.up.put(r.inbox[to], r.input, m)
}

// subtaskOf gives the subtask that owns a key group: contiguous ranges, as even as can be.
func subtaskOf(g meta.KeyGroup, groups, parallelism int) int { return int(g) * parallelism / groups }

// groupsOf is the range of key groups that a subtask owns: first <= g < end.
func groupsOf(subtask, groups, parallelism int) (first, end int) {
	return (subtask*groups + parallelism - 1) / parallelism, ((subtask+1)*groups + parallelism - 1) / parallelism
}

// keyed is a record with its key. The hash is computed once and travels along.
type keyed[K comparable, T any] struct {
	key   K
	hash  uint64
	group meta.KeyGroup
	at    Time
	val   T
}

// keyedBatch is what crosses from task to task. Its receiver gives it back to its sender.
type keyedBatch[K comparable, T any] struct {
	recs []keyed[K, T]
	used spent[keyed[K, T]]
	home chan *keyedBatch[K, T]
	_    apart
}

// sender is the end of a chain that leads to other tasks.
type sender interface {
	flush()         // sends what is collected
	send(m message) // sends to every subtask, after all records
}

// keyColumn reads the keys of records.
type keyColumn[K comparable, T any] struct {
	key  func(T) K
	hand *recordHand[T]
	keys []K
	used spent[K]
}

func newKeyColumn[K comparable, T any](key func(T) K, h *recordHand[T]) keyColumn[K, T] {
	return keyColumn[K, T]{key, h, make([]K, batchSize), newSpent[K]()}
}

// done is called when the keys are no longer used.
func (c *keyColumn[K, T]) done(keys []K) { c.used.clear(keys) }

// of gives the keys of records in a row; they are valid until done is called.
func (c *keyColumn[K, T]) of(recs []T) []K {
	keys := c.keys[:len(recs)]
	c.hand.take(recs)
	for i := range recs {
		c.hand.i = i
		keys[i] = c.key(recs[i])
	}
	c.hand.done()
	return keys
}

// keySender spreads records over subtasks by key group.
type keySender[K comparable, T any] struct {
	*route
	keyer  *mmapstate.Keyer[K]
	keys   keyColumn[K, T]
	owners []int32 // of the key groups
	open   []*keyedBatch[K, T]
	home   chan *keyedBatch[K, T]
}

func newKeySender[K comparable, T any](r *route, keyer *mmapstate.Keyer[K], keys keyColumn[K, T]) *keySender[K, T] {
	n := len(r.inbox)
	s := &keySender[K, T]{
		route: r, keyer: keyer, keys: keys,
		owners: make([]int32, r.groups),
		open:   make([]*keyedBatch[K, T], n),
		home:   make(chan *keyedBatch[K, T], n*(queueDepth+2)),
	}
	for g := range s.owners {
		s.owners[g] = int32(subtaskOf(meta.KeyGroup(g), r.groups, n))
	}
	return s
}

func (s *keySender[K, T]) take(r stretch[T]) {
	keys := s.keys.of(r.recs)
	for i := range keys {
		hash, group := s.keyer.Hash(&keys[i])
		to := int(s.owners[group])
		b := s.open[to]
		if b == nil {
			b = s.batch()
			s.open[to] = b
		}
		b.recs = b.recs[:len(b.recs)+1]
		k := &b.recs[len(b.recs)-1]
		k.key, k.hash, k.group, k.at, k.val = keys[i], hash, group, r.at[i], r.recs[i]
		if len(b.recs) == cap(b.recs) {
			s.sendTo(to)
		}
	}
	s.keys.done(keys)
}

func (s *keySender[K, T]) batch() *keyedBatch[K, T] {
	select {
	case b := <-s.home:
		return b
	default:
		return &keyedBatch[K, T]{recs: make([]keyed[K, T], 0, batchSize), used: newSpent[keyed[K, T]](), home: s.home}
	}
}

func (s *keySender[K, T]) sendTo(to int) {
	b := s.open[to]
	s.open[to] = nil
	s.put(to, message{kind: msgBatch, batch: b})
}

func (s *keySender[K, T]) flush() {
	for to, b := range s.open {
		if b != nil {
			s.sendTo(to)
		}
	}
}

func (s *keySender[K, T]) send(m message) {
	s.flush()
	for to := range s.inbox {
		s.put(to, m)
	}
}

// release gives a batch back to its sender, or to the garbage collector if there are plenty.
func (b *keyedBatch[K, T]) release() {
	b.used.clear(b.recs)
	b.recs = b.recs[:0]
	select {
	case b.home <- b:
	default:
	}
}

// connect lets a keyed operator take the records of one of its edges in its subtask: from the operator before it in the
// same task, or as batches from other tasks. What use is called with has its key in the operator's context. Hint adds the
// key of the state that a record will need to op.hints; nil if it is the record's own.
func (in Keyed[K, T]) connect(op *keyedOp, e *edge, keyer *mmapstate.Keyer[K], use func(*keyed[K, T]), hint func(*keyed[K, T])) {
	st, w := op.st, &keyedWork[K, T]{op: op, keyer: keyer, use: use, hint: hint}
	if st.plan.head == op.node {
		st.receive(e, func(batch any) {
			b := batch.(*keyedBatch[K, T])
			w.work(b.recs)
			st.received += int64(len(b.recs))
			b.release()
		})
		return
	}
	w.recs, w.used = make([]keyed[K, T], 0, workBatch), newSpent[keyed[K, T]]()
	column := newKeyColumn(in.key, handFor[T](st, op.node.uid))
	listenTo(st, in.from, func(s stretch[T]) {
		op.collect(w)
		keys := column.of(s.recs)
		for i := range keys {
			w.recs = w.recs[:len(w.recs)+1]
			r := &w.recs[len(w.recs)-1]
			r.key, r.at, r.val = keys[i], s.at[i], s.recs[i]
			r.hash, r.group = keyer.Hash(&r.key)
			if len(w.recs) == workBatch {
				w.drain()
			}
		}
		column.done(keys)
	})
}

// workBatch is how many records are looked up side by side.
const workBatch = 64

// keyedWork hands records to a keyed operator, a few at a time, so that the cache misses of their state overlap.
type keyedWork[K comparable, T any] struct {
	op    *keyedOp
	keyer *mmapstate.Keyer[K]
	use   func(*keyed[K, T])
	hint  func(*keyed[K, T])
	recs  []keyed[K, T] // collected in the same task; empty at the end of a batch
	used  spent[keyed[K, T]]
	keys  [workBatch]mmapstate.Key
}

func (w *keyedWork[K, T]) work(recs []keyed[K, T]) {
	w.op.stats.in.Add(int64(len(recs)))
	for len(recs) > 0 {
		n := min(workBatch, len(recs))
		w.some(recs[:n])
		recs = recs[n:]
	}
}

func (w *keyedWork[K, T]) some(recs []keyed[K, T]) {
	op, keys := w.op, w.keys[:len(recs)]
	for i := range recs {
		r, k := &recs[i], &keys[i]
		k.Hash, k.Group, k.Bytes = r.hash, r.group, w.keyer.Bytes(&r.key)
	}
	looks := op.store.LooksPay()
	if looks {
		w.look(recs, keys)
	}
	for i := range recs {
		if looks {
			op.place = i
		}
		op.ctx.key = &keys[i]
		w.use(&recs[i])
	}
	op.place = workBatch
}

// look looks ahead for what the records will need.
func (w *keyedWork[K, T]) look(recs []keyed[K, T], keys []mmapstate.Key) {
	if w.hint == nil {
		w.op.look(keys)
		return
	}
	for i := range recs {
		w.hint(&recs[i])
	}
	w.op.look(w.op.hints)
	w.op.hints = w.op.hints[:0]
}

// drain works off what was collected. Nothing may overtake it: it runs before time moves on and before a batch ends.
func (w *keyedWork[K, T]) drain() {
	w.work(w.recs)
	w.used.clear(w.recs)
	w.recs = w.recs[:0]
}

// exchange makes an edge of a node one that goes by key.
func (in Keyed[K, T]) exchange(n *node, e *edge) {
	e.way, e.key = byKey, reflect.TypeFor[K]().String()
	e.send = func(st *subtask, r *route) {
		s := newKeySender(r, keyerFor[K](st.a), newKeyColumn(in.key, handFor[T](st, n.uid)))
		st.senders = append(st.senders, s)
		listenTo(st, in.from, s.take)
	}
}
