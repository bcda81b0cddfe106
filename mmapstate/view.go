package mmapstate

import (
	"context"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"

	"github.com/pagetide/pagetide/meta"
)

// View reads the state of one operator of a checkpoint without the program that wrote it: types are known by their
// fingerprints, values become JSON. It opens one key group at a time and gives its memory back before the next. It
// writes nothing. Several goroutines may use it if its loader allows that.
type View struct {
	from   meta.Loader
	op     meta.OperatorNo
	all    []meta.State
	states []*StateView
}

// StateView is one state of a [View]. The tables of a list or of a nested map are one state.
type StateView struct {
	Name    string
	Kind    ViewKind
	Key     string // its type as a Go program would write it
	Type    string // of the values, likewise, with the TTL's clock in front; empty for an index
	Entries uint64 // keys of lists and nested maps; those too that have expired and were not removed yet

	view      *View
	key       viewKey // as the program declared it
	field     viewKey // of a nested map
	numbers   int     // that extend the keys, at most 2: the start of a window, an element's place in it
	ttl       TTL
	main      meta.State
	items     meta.State // of a list or nested map
	valueSize int        // -1 if not flat
	value     texter
}

// ViewKind says what a state looks like.
type ViewKind string

// The kinds of state in a view.
const (
	ViewValue ViewKind = "value" // one value for each key; of windows, for each key and start
	ViewList  ViewKind = "list"
	ViewMap   ViewKind = "map"
	ViewIndex ViewKind = "index" // keys in order of time
)

// OpenView looks at an operator's states. Decoders show values that went through codecs other than CBOR, which is known.
// No page is read. Errors wrap meta.ErrIncompatible when keys are hashed in a way that this release does not know, or the
// operator has no state.
func OpenView(from meta.Loader, op meta.OperatorNo, d ...Decoder) (*View, error) {
	if name, _, _ := from.Hash(); name != HashName {
		return nil, fmt.Errorf("key hash: checkpoint has %q, this release has %q: %w", name, HashName, meta.ErrIncompatible)
	}
	v := &View{from: from, op: op, all: from.States(op)}
	parts := map[string]bool{}
	for _, st := range v.all {
		s := v.describe(st, d)
		v.states = append(v.states, s)
		if s.items.Name != "" {
			parts[s.items.Name], parts[st.Name+".order"] = true, true
		}
	}
	v.states = slices.DeleteFunc(v.states, func(s *StateView) bool { return parts[s.Name] })
	return v, nil
}

// States lists the states, in the order of their declaration.
func (v *View) States() []*StateView { return v.states }

// State finds a state by its name, nil if there is none.
func (v *View) State(name string) *StateView {
	for _, s := range v.states {
		if s.Name == name {
			return s
		}
	}
	return nil
}

func (v *View) describe(st meta.State, d []Decoder) *StateView {
	s := &StateView{Name: st.Name, Kind: ViewValue, view: v, main: st, Entries: v.entries(st.No)}
	var print string
	s.ttl, print = cutMark(st.Type)
	of, numbers := cutNumbers(st.Key)
	s.numbers, s.key = numbers, parseViewKey(of)
	switch {
	case st.Kind == meta.KindIndex:
		s.Kind = ViewIndex
	case st.Kind == meta.KindCell && strings.HasPrefix(print, "list of ") && s.part(".items", &s.items):
		s.Kind = ViewList
	case st.Kind == meta.KindCell && strings.HasPrefix(print, "map of ") && s.part(".items", &s.items):
		var order meta.State
		if s.Kind = ViewMap; s.part(".order", &order) {
			s.field = parseViewKey(order.Type)
		}
	}
	about := s.main
	if s.items.Name != "" {
		about = s.items
	}
	ttl, print := cutMark(about.Type)
	s.ttl = TTL{After: ttl.After * math.MaxInt64, Clock: ttl.Clock} // the clocks are never set: nothing expires
	s.Key, s.Type = readable(of), readable(st.Type)
	s.valueSize, s.value = texterOf(about.Kind, print, d)
	return s
}

// cutNumbers takes off what Key.With or WithPair have added to a key type.
func cutNumbers(print string) (of string, numbers int) {
	if of, ok := strings.CutSuffix(print, "+u64"); ok {
		return of, 1
	}
	if of, ok := strings.CutSuffix(print, "+"+pairPrint); ok {
		return of, 2
	}
	return print, 0
}

// part finds another table of the state.
func (s *StateView) part(suffix string, st *meta.State) bool {
	for _, other := range s.view.all {
		if other.Name == s.Name+suffix {
			*st = other
			return true
		}
	}
	return false
}

func (v *View) entries(no uint16) (n uint64) {
	for _, sh := range v.from.Shards(v.op) {
		for _, st := range sh.States {
			if st.No == no {
				n += st.Entries
			}
		}
	}
	return n
}

// All gives every entry: by key group, then by the bytes of the key, or by time in an index. Entries that have expired
// and were not removed yet are among them: how long they live is known to the program alone. Progress, if not nil, is
// called with pages done and in total. An error ends the walk: it wraps meta.ErrDamaged or meta.ErrIncompatible, is
// ctx's, or one of reading.
func (s *StateView) All(ctx context.Context, progress func(done, total int64)) iter.Seq2[Entry, error] {
	return s.AllBut(ctx, nil, progress)
}

// AllBut is [StateView.All] without the key groups that skip says true to.
func (s *StateView) AllBut(ctx context.Context, skip func(meta.KeyGroup) bool, progress func(done, total int64)) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		shards := s.view.from.Shards(s.view.op)
		done, total := int64(0), int64(0)
		for _, sh := range shards {
			total += int64(sh.Pages)
		}
		for _, sh := range shards {
			if err := ctx.Err(); err != nil {
				yield(Entry{}, err)
				return
			}
			if skip == nil || !skip(sh.ID.Group()) {
				if !s.group(sh.ID.Group(), nil, yield) {
					return
				}
			}
			if done += int64(sh.Pages); progress != nil {
				progress(done, total)
			}
		}
	}
}

// Get gives what is there of a key, which is JSON as an [Entry] has it, or a string as it is: at most one entry, but all
// windows of the key, and all its times in an index. It reads one key group, and of that only what it needs if there can
// be one entry only. Errors are those of [StateView.All]; a key that does not fit the state is an error, too.
func (s *StateView) Get(key string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		b, err := s.key.parse(key)
		if err != nil {
			yield(Entry{}, fmt.Errorf("key of state %q: %w", s.Name, err))
			return
		}
		_, seed, groups := s.view.from.Hash()
		hash := hashKey(b, s.key.shape.Fixed != 0, seed)
		s.group(groupOf(hash, groups), &Key{Hash: hash, Group: groupOf(hash, groups), Bytes: b}, yield)
	}
}

// CheckKey says what is wrong with a key that [StateView.Get] would not take, or nil.
func (s *StateView) CheckKey(key string) error {
	if _, err := s.key.parse(key); err != nil {
		return fmt.Errorf("key of state %q: %w", s.Name, err)
	}
	return nil
}

// group gives the entries of one key group, or those of one key.
func (s *StateView) group(g meta.KeyGroup, only *Key, yield func(Entry, error) bool) bool {
	r, err := s.open(g)
	if err == nil {
		defer r.store.Close() // read only
		err = r.collect(only)
	}
	if err != nil {
		yield(Entry{}, fmt.Errorf("state %q: %w", s.Name, err))
		return false
	}
	for i := range r.refs {
		e, err := r.entry(i)
		if err != nil {
			yield(Entry{}, fmt.Errorf("state %q: %w", s.Name, err))
			return false
		}
		if !yield(e, nil) {
			return false
		}
	}
	return true
}
