package mmapstate

import (
	"fmt"
	"slices"
	"time"

	"github.com/pagetide/pagetide/meta"
)

// change is what a state's entries need before the program can use them.
type change struct {
	state  string
	from   string    // the type in the checkpoint
	to     string    // the type in the program
	ttl    TTL       // in the checkpoint; only whether and on which clock
	size   int       // of a value in the checkpoint
	values evolution // nil if values stay as they are
}

// Rewrite tells of a state that was rewritten at its declaration.
type Rewrite struct {
	State   string
	From    string // its type in the checkpoint
	To      string // its type in the program
	Entries int64
	Took    time.Duration
}

// Rewrites tells which states of the checkpoint were rewritten because their types or their TTL have changed. That loads
// all of such a state, takes time in proportion to its size, and makes the next checkpoint carry all of it.
func (s *Store) Rewrites() []Rewrite { return s.rewrites }

// change compares a state that the checkpoint has with what the program wants. If entries must be rewritten, the state
// takes the program's type and the change is returned; where no change is needed, or none is possible for reasons that
// declare tells, it is nil. The print is the value's fingerprint with its aliases.
func (s *Store) change(want meta.State, print string, size int) (*change, error) {
	no := s.stateNo(want.Name)
	if no < 0 || s.declared[no] {
		return nil, nil
	}
	got := s.states[no]
	if got.Kind != want.Kind || got.Key != want.Key || got.Type == want.Type {
		return nil, nil
	}
	c := &change{state: want.Name, from: readable(got.Type), to: readable(want.Type), size: size}
	var was string
	if c.ttl, was = cutMark(got.Type); was != canonical(print) {
		old, err := parseShape(was)
		if err != nil || want.Kind != meta.KindCell {
			return nil, nil
		}
		now, err := parseShape(print)
		if err != nil {
			return nil, nil
		}
		if c.values, err = evolve(old, now); err != nil {
			return nil, fmt.Errorf("state %q: %w; checkpoint has %s, program has %s: %w", want.Name, err, old, now, meta.ErrIncompatible)
		}
		c.size = int(old.size)
	}
	s.states = slices.Clone(s.states) // an open cut has the old ones
	s.states[no].Type = want.Type
	return c, nil
}

// readable writes a value's fingerprint as a Go program would write the type, as far as it is one.
func readable(print string) string {
	ttl, rest := cutMark(print)
	if s, err := parseShape(rest); err == nil {
		return ttl.mark() + s.String()
	}
	return print
}

// relayout moves the entries of a state from buckets of an old layout to buckets of this one, shard by shard. Keys stay
// as they are, references too; values change as told. An entry's life goes on if it had one on the same clock, else it
// begins anew. It loads every page of the state's tables and costs time in proportion to its entries. A failure poisons
// the store.
func (t *table) relayout(old *table, c *change) (err error) {
	defer catch(&err)
	start := time.Now()
	t.store.tables[t.no] = nil // pages of both layouts are loaded meanwhile
	for i := range t.store.shards {
		sh := t.store.look(i)
		if h := &sh.heads[t.no]; len(h.dir) > 0 || old.open(sh, h) {
			t.relayoutShard(sh, h, old, c)
		}
	}
	n := int64(t.store.entries(t.no))
	t.store.rewrites = append(t.store.rewrites, Rewrite{State: c.state, From: c.from, To: c.to, Entries: n, Took: time.Since(start)})
	return nil
}

func (t *table) relayoutShard(sh *shard, h *head, old *table, c *change) {
	was := *h
	*h = head{entries: was.entries}
	t.createBeside(sh, h, was.root)
	image := new(page)
	for i := len(was.dir) - 1; i >= 0; i-- { // downwards, because a bucket is named first at its own low bits
		p := was.dir[i]
		if i >= 1<<old.bucket(sh, p).level() {
			continue
		}
		for p != 0 {
			*image = *old.bucket(sh, p)
			sh.free(p) // a circle ends here: the page is no bucket any more
			old.slots(image, func(off uint32) bool {
				t.adopt(sh, h, old, c, image, off)
				return true
			})
			p = image.link()
		}
	}
	for i := range directoryPages(len(was.dir)) {
		p := load32(sh.at(was.root), offDirectory+4*i)
		sh.see(p, pageDirectory, t.no)
		sh.free(p)
	}
	sh.see(was.root, pageTable, t.no)
	sh.free(was.root)
}

// createBeside makes a root page and the first bucket; the slabs of the old root become the new one's.
func (t *table) createBeside(sh *shard, h *head, root uint32) {
	t.create(sh, h)
	const n = 4 * uint32(len(slabClass))
	to, from := sh.edit(h.root, offSlabs, n), sh.see(root, pageTable, t.no)
	copy(to[offSlabs:offSlabs+n], from[offSlabs:offSlabs+n])
	sh.put64(h.root, offEntries, h.entries)
}

// adopt copies an entry of the old layout.
func (t *table) adopt(sh *shard, h *head, old *table, c *change, from *page, off uint32) {
	p, to := t.place(sh, h, old.slotHash(from, off))
	pg := sh.page(p)
	copy(pg[to:][:t.keyBytes()], from[off:])
	was := from[off+old.value:][:old.size]
	if c.values == nil {
		copy(pg[to+t.value:], was)
	} else {
		c.values.apply(pg[to+t.value:][:t.size], was)
	}
	if t.ttl == nil {
		return
	}
	at := int64(noTime)
	if old.ttl != nil && old.ttl.now == t.ttl.now {
		at = old.stampAt(from, off) // rule: evolution-keeps-the-time
	}
	store64(pg, to+t.stamp, uint64(at))
}
