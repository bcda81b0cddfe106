package engine

import (
	"cmp"
	"slices"

	"github.com/pagetide/pagetide/mmapstate"
)

// callState keeps the records of an Async node's queue: in lists under a few keys that are numbers, chosen so that they
// lie in key groups of the subtask. Another parallelism shares them out by their groups.
type callState[T any] struct {
	list   ListState[queued[T]]
	keyer  *mmapstate.Keyer[uint64]
	places []uint64 // where the subtask puts records
	used   []uint64 // where there are some
	next   uint64   // number of the next record
}

// queued is a record of the queue.
type queued[T any] struct {
	No  uint64 // in order of arrival
	At  Time
	Val T
}

// callPlaces is how many key groups the records of a subtask are spread over: it may become so many subtasks.
const callPlaces = 8

func declareCalls[T any](s *Setup) callState[T] {
	const what, name = "records that are called for", "calls"
	s.tell("%s: %s", what, typeOf[T]())
	form := formFor[queued[T]](s, what, name, nil)
	if s.checking() {
		return callState[T]{}
	}
	lists := must(s.op.store.Lists(name, s.op.shape, form.Size(), form.Fingerprint()))
	return callState[T]{list: ListState[queued[T]]{s.op, form, lists}}
}

// at has the list of a key in hand.
func (c *callState[T]) at(ctx *Context, n uint64) *Context {
	k := c.keyer.Key(&n)
	k.Bytes = slices.Clone(k.Bytes)
	ctx.take(k)
	ctx.live = true
	return ctx
}

// restore gives the records that the checkpoint has for the subtask, in order.
func (c *callState[T]) restore(ctx *Context) (all []queued[T]) {
	for k := range c.list.lists.Keys() {
		c.used = append(c.used, c.keyer.Decode(k.Bytes))
	}
	for _, n := range c.used {
		all = slices.AppendSeq(all, c.list.All(c.at(ctx, n)))
	}
	ctx.live = false
	slices.SortStableFunc(all, func(a, b queued[T]) int { return cmp.Compare(a.No, b.No) })
	return all
}

// begin forgets the records of the checkpoint before.
func (c *callState[T]) begin(ctx *Context) {
	for _, n := range c.used {
		c.list.Clear(c.at(ctx, n))
	}
	ctx.live = false
	c.used, c.next = c.used[:0], 0
}

func (c *callState[T]) add(ctx *Context, v T, at Time) {
	if c.places == nil {
		c.places = c.choose(ctx.op)
	}
	n := c.places[c.next%uint64(len(c.places))]
	if c.next < uint64(len(c.places)) {
		c.used = append(c.used, n)
	}
	c.list.Append(c.at(ctx, n), queued[T]{c.next, at, v})
	ctx.live = false
	c.next++
}

// choose finds numbers that are keys of some of the subtask's groups, spread evenly.
func (c *callState[T]) choose(op *keyedOp) []uint64 {
	first, end := groupsOf(op.st.index, op.st.a.keyGroups, op.st.plan.subtasks)
	places := make([]uint64, min(callPlaces, end-first))
	wanted := map[int]int{}
	for i := range places {
		wanted[first+i*(end-first)/len(places)] = i
	}
	for n := uint64(0); len(wanted) > 0; n++ {
		g := int(c.keyer.Key(&n).Group)
		if i, ok := wanted[g]; ok {
			places[i] = n
			delete(wanted, g)
		}
	}
	return places
}
