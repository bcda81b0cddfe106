package mmapstate

import (
	"context"
	"fmt"
	"time"

	"github.com/pagetide/pagetide/meta"
)

// Another number of key groups puts every key elsewhere, so every entry has to be read and stored anew. That needs no
// types: slots are copied as they are, with what they refer to, and keys are told apart from what extends them by their
// fingerprints. A list or nested map stays whole, because all its parts lie in its key's group.

// Rehash opens the state of an operator with another number of key groups, the same in all options. It makes a store for
// each, which together own all groups. It loads the checkpoint one key group at a time, takes time and memory in
// proportion to the state, and the stores' first cuts hold every page: [Store.Rewrites] tells what it cost. Errors wrap
// meta.ErrIncompatible when the keys are hashed in a way, or are of a type, that this release does not know, and
// meta.ErrDamaged when the checkpoint is. The loader is not needed afterwards.
func Rehash(ctx context.Context, opts []Options, from meta.Loader) (_ []*Store, err error) {
	name, seed, groups := from.Hash()
	if name != HashName {
		return nil, fmt.Errorf("key hash: checkpoint has %q, this release has %q: %w", name, HashName, meta.ErrIncompatible)
	}
	r := &rehashing{from: from, op: opts[0].Operator, seed: seed, was: groups}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	start := time.Now()
	if err := r.begin(opts); err != nil {
		return nil, err
	}
	for _, info := range from.Shards(r.op) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := r.group(info.ID.Group()); err != nil {
			return nil, err
		}
	}
	r.end(time.Since(start))
	return r.stores, nil
}

// rehashing is a Rehash under way.
type rehashing struct {
	from     meta.Loader
	op       meta.OperatorNo
	seed     uint64
	was, now int // key groups
	keys     []extendedKey
	stores   []*Store
	owner    []*Store   // by key group
	tables   [][]*table // by store and state, of the slots that were found
	trees    [][]*tree
	buf      []byte
	blob     []byte
}

// begin makes the stores, without entries.
func (r *rehashing) begin(opts []Options) error {
	states := r.from.States(r.op)
	for _, st := range states {
		k, ok := parseExtendedKey(st.Key)
		if !ok {
			return fmt.Errorf("state %q: only the program knows its keys of type %q: %w", st.Name, readable(st.Key), meta.ErrIncompatible)
		}
		r.keys = append(r.keys, k)
	}
	for _, opt := range opts {
		opt.HashSeed = r.seed
		opt = opt.withDefaults()
		if err := opt.validate(); err != nil {
			return err
		}
		s := newStore(opt)
		r.stores = append(r.stores, s)
		if err := s.adoptStates(states); err != nil {
			return err
		}
		r.now = opt.KeyGroups
		r.own(s)
		r.tables = append(r.tables, make([]*table, len(states)))
		r.trees = append(r.trees, make([]*tree, len(states)))
	}
	for g := range r.now {
		if g >= len(r.owner) || r.owner[g] == nil {
			return fmt.Errorf("key group %d of %d has no store: %w", g, r.now, meta.ErrIncompatible)
		}
	}
	return nil
}

func (r *rehashing) own(s *Store) {
	grow(&r.owner, uint32(s.opt.To))
	for g := s.opt.From; g < s.opt.To; g++ {
		r.owner[g] = s
	}
}

func (r *rehashing) close() {
	for _, s := range r.stores {
		s.Close() // it has failed already
	}
}

// end makes the stores as if they had just been opened: declarations find the tables in their pages.
func (r *rehashing) end(took time.Duration) {
	for _, s := range r.stores {
		for i := range s.shards {
			for no := range s.shards[i].heads {
				h := &s.shards[i].heads[no]
				h.dir, h.at, h.checked = nil, nil, false
			}
		}
		for no, st := range s.states {
			s.rewrites = append(s.rewrites, Rewrite{
				State: st.Name, From: keyGroups(r.was), To: keyGroups(r.now), Entries: int64(s.entries(uint16(no))), Took: took,
			})
		}
	}
}

func keyGroups(n int) string { return fmt.Sprintf("%d key groups", n) }

// group takes all entries of one key group over.
func (r *rehashing) group(g meta.KeyGroup) (err error) {
	old, err := Open(Options{Operator: r.op, From: g, To: g + 1, Lazy: true}, r.from)
	if err != nil {
		return err
	}
	defer old.Close() // read only
	defer catch(&err)
	sh := old.look(0)
	if sh.pages == 0 {
		return nil
	}
	sh.open()
	for no := range sh.heads {
		switch h := &sh.heads[no]; {
		case h.root == 0:
		case old.states[no].Kind == meta.KindIndex:
			r.index(sh, newTree(old, uint16(no), r.keys[no].shape))
		default:
			r.table(sh, rawTable(sh, uint16(no), r.keys[no].shape))
		}
	}
	return nil
}

// rawTable is the layout of a table whose values nobody knows: what its buckets say is the size of a slot.
func rawTable(sh *shard, no uint16, key KeyShape) *table {
	root := sh.see(sh.heads[no].root, pageTable, no)
	first := load32(root, offDirectory)
	if root.level() > inlineDepth {
		first = load32(sh.see(first, pageDirectory, no), headSize)
	}
	return slotTable(sh, first, sh.see(first, pageBucket, no).size(), no, key)
}

func slotTable(sh *shard, p, slot uint32, no uint16, key KeyShape) *table {
	t := &table{store: sh.store, key: key, no: no, blob: sh.store.states[no].Kind == meta.KindBytes, slot: slot}
	least := uint32(0)
	if t.value = t.keyBytes(); t.blob {
		t.value, least = align8(t.value), refSize
	}
	if slot < t.value+least || slot > pageSize {
		sh.damaged(p, "slots of %d bytes", slot)
	}
	t.size = slot - t.value // padding and time are a part of it
	t.arrange()
	return t
}

func (r *rehashing) table(sh *shard, t *table) {
	h := &sh.heads[t.no]
	t.open(sh, h)
	t.walk(sh, func(pg *page, off uint32) bool {
		r.buf = t.keyAt(sh, pg, off, r.buf[:0])
		k := r.place(sh, h.root, t.no, r.buf, t.slotHash(pg, off))
		r.take(k, sh, t, pg, off)
		return true
	})
}

// place makes the key of an entry as it is now.
func (r *rehashing) place(sh *shard, root uint32, no uint16, b []byte, hash uint64) Key {
	base, all, ok := r.keys[no].hashes(b, r.seed)
	if !ok || all != hash || groupOf(base, r.was) != sh.id.Group() {
		sh.damaged(root, "state %d has a key of another key group", no)
	}
	return Key{Hash: hash, Group: groupOf(base, r.now), Bytes: b}
}

// take copies an entry: its slot as it is, but for what the slot refers to.
func (r *rehashing) take(k Key, from *shard, old *table, pg *page, off uint32) {
	s := r.owner[k.Group]
	sh := s.shard(k.Group)
	t := r.tableOf(s, from, old)
	p, at := t.insert(sh, k)
	copy(sh.page(p)[at+t.value:at+t.slot], pg[off+t.value:off+t.slot]) // rule: rehash-copies-the-slot
	if t.blob {
		r.blob = from.refBytes(pg, off+t.value, t.no, r.blob[:0])
		sh.putRef(&sh.heads[t.no], t.no, p, at+t.value, r.blob)
	}
}

// tableOf is the table of a store that has the slots of the old one.
func (r *rehashing) tableOf(s *Store, from *shard, old *table) *table {
	t := &r.tables[r.number(s)][old.no]
	if *t == nil {
		same := *old
		same.store = s
		*t = &same
	}
	if (*t).slot != old.slot {
		from.damaged(from.heads[old.no].root, "slots of %d bytes, %d in another key group", old.slot, (*t).slot)
	}
	return *t
}

func (r *rehashing) number(s *Store) int {
	for i := range r.stores {
		if r.stores[i] == s {
			return i
		}
	}
	return -1
}

func (r *rehashing) index(sh *shard, t *tree) {
	h := &sh.heads[t.no]
	t.open(sh, h)
	last := least
	for w := t.seek(sh, h, least); t.settle(sh, &w); w.pos[w.last]++ {
		pg, off := t.here(sh, &w)
		at := rankAt(pg, off)
		if at.compare(last) < 0 { // what does not ascend could go on for ever
			sh.damaged(w.page[w.last], "index is out of order")
		}
		last = rank{at: at.at, hash: at.hash, seq: at.seq + 1}
		r.buf = t.keyAt(sh, pg, off, r.buf[:0])
		k := r.place(sh, h.root, t.no, r.buf, at.hash)
		s := r.owner[k.Group]
		to := &r.trees[r.number(s)][t.no]
		if *to == nil {
			*to = newTree(s, t.no, t.key)
		}
		(*to).insert(s.shard(k.Group), k, at.at)
	}
}

// extendedKey is a key type that was parsed back from its fingerprint, with what extends it: a number, or a field.
type extendedKey struct {
	shape    KeyShape // of all
	base     KeyShape
	extended bool
}

func parseExtendedKey(print string) (k extendedKey, ok bool) {
	base, field, extended := cutExtension(print)
	b := parseViewKey(base)
	k = extendedKey{shape: b.shape, base: b.shape, extended: extended}
	switch {
	case !b.known():
		return k, false
	case !extended:
		return k, true
	case field == "u64":
		k.shape = b.shape.With()
		return k, true
	}
	f := parseViewKey(field)
	k.shape = b.shape.join(f.shape)
	return k, f.known()
}

// cutExtension splits a fingerprint at the first plus sign outside of braces.
func cutExtension(print string) (base, field string, ok bool) {
	deep := 0
	for i, c := range []byte(print) {
		switch {
		case c == '{':
			deep++
		case c == '}':
			deep--
		case c == '+' && deep == 0:
			return print[:i], print[i+1:], true
		}
	}
	return print, "", false
}

// hashes gives the hash of a key without its extension, which decides about the key group, and that of all of it.
func (k extendedKey) hashes(b []byte, seed uint64) (base, all uint64, ok bool) {
	if !k.extended {
		h := hashKey(b, k.base.Fixed != 0, seed)
		return h, h, true
	}
	key, suffix, ok := k.shape.cut(b)
	if !ok {
		return 0, 0, false
	}
	base = hashKey(key, k.base.Fixed != 0, seed)
	return base, joinHash(base, hashSuffix(suffix)), true
}
