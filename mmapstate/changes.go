package mmapstate

import (
	"bytes"
	"context"
	"fmt"
	"iter"

	"github.com/pagetide/pagetide/meta"
)

// Change is an entry that differs between two checkpoints: it is missing in one of them, or has another value or other
// times.
type Change struct {
	Before, After *Entry // nil: there is none
}

// Changes compares a state of two checkpoints, entry by entry, in the order of [StateView.All]. Key groups that skip says
// true to are left out: it may be nil, or know from a difference of pages where nothing has changed. It holds one key
// group of each checkpoint at a time. Progress is that of reading the first state, then nothing. It fails with
// meta.ErrIncompatible if kinds or key types differ, or keys are hashed in different ways; else as All does. One of the
// states may be nil, which has no entries.
func Changes(ctx context.Context, before, after *StateView, skip func(meta.KeyGroup) bool, progress func(done, total int64)) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		if err := sameKeys(before, after); err != nil {
			yield(Change{}, err)
			return
		}
		a, stopA := iter.Pull2(before.allOrNone(ctx, skip, progress))
		defer stopA()
		b, stopB := iter.Pull2(after.allOrNone(ctx, skip, nil))
		defer stopB()
		m := changeMerge{next: [2]func() (Entry, error, bool){a, b}}
		for m.step(yield) {
		}
	}
}

func (s *StateView) allOrNone(ctx context.Context, skip func(meta.KeyGroup) bool, progress func(done, total int64)) iter.Seq2[Entry, error] {
	if s == nil {
		return func(func(Entry, error) bool) {}
	}
	return s.AllBut(ctx, skip, progress)
}

func sameKeys(a, b *StateView) error {
	if a == nil || b == nil {
		return nil
	}
	nameA, seedA, groupsA := a.view.from.Hash()
	nameB, seedB, groupsB := b.view.from.Hash()
	switch {
	case nameA != nameB || seedA != seedB || groupsA != groupsB:
		return fmt.Errorf("state %q: keys are hashed in different ways: %w", a.Name, meta.ErrIncompatible)
	case a.Kind != b.Kind || a.numbers != b.numbers || a.key.shape.Fingerprint != b.key.shape.Fingerprint:
		return fmt.Errorf("state %q was a %s of key %s and has become a %s of key %s: %w", a.Name, a.Kind, a.Key, b.Kind, b.Key, meta.ErrIncompatible)
	}
	return nil
}

// changeMerge reads both sides in step.
type changeMerge struct {
	next  [2]func() (Entry, error, bool)
	hand  [2]*Entry // read and not yet told; nil: to be read
	ended [2]bool
}

// step tells of the next entry, if it has changed. It is false at the end.
func (m *changeMerge) step(yield func(Change, error) bool) bool {
	for i := range m.next {
		if m.hand[i] != nil || m.ended[i] {
			continue
		}
		e, err, ok := m.next[i]()
		if err != nil {
			yield(Change{}, err)
			return false
		}
		if m.ended[i] = !ok; ok {
			m.hand[i] = &e
		}
	}
	before, after := m.hand[0], m.hand[1]
	if before == nil && after == nil {
		return false
	}
	if before != nil && after != nil {
		switch c := before.Compare(*after); {
		case c < 0:
			after = nil
		case c > 0:
			before = nil
		}
	}
	m.take(before, after)
	if before != nil && after != nil && bytes.Equal(before.Append(nil), after.Append(nil)) {
		return true
	}
	return yield(Change{before, after}, nil)
}

func (m *changeMerge) take(before, after *Entry) {
	if before != nil {
		m.hand[0] = nil
	}
	if after != nil {
		m.hand[1] = nil
	}
}
