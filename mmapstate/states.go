package mmapstate

import (
	"fmt"
	"slices"

	"github.com/pagetide/pagetide/meta"
)

// States describes the store's states, those that a checkpoint brought along and nobody has declared included. The
// result must not be changed.
func (s *Store) States() []meta.State { return s.states }

// Undeclared lists the states that the checkpoint brought along and nobody has declared. They are carried from checkpoint
// to checkpoint, out of reach.
func (s *Store) Undeclared() (names []string) {
	for i, st := range s.states {
		if !s.declared[i] {
			names = append(names, st.Name)
		}
	}
	return names
}

// adoptStates takes the states of a checkpoint over.
func (s *Store) adoptStates(states []meta.State) error {
	if len(states) > maxStates {
		return &meta.DamageError{File: "states", What: fmt.Sprintf("%d states of one operator", len(states))}
	}
	states = slices.SortedFunc(slices.Values(states), func(a, b meta.State) int { return int(a.No) - int(b.No) })
	for i, st := range states {
		if int(st.No) != i || s.stateNo(st.Name) >= 0 {
			return &meta.DamageError{File: "states", What: fmt.Sprintf("state %q has number %d", st.Name, st.No)}
		}
		s.addState(st)
	}
	return nil
}

func (s *Store) addState(st meta.State) {
	s.states = append(s.states, st)
	s.tables = append(s.tables, nil)
	s.trees = append(s.trees, nil)
	s.declared = append(s.declared, false)
	for i := range s.shards {
		s.shards[i].heads = append(s.shards[i].heads, head{})
	}
}

func (s *Store) stateNo(name string) int {
	return slices.IndexFunc(s.states, func(st meta.State) bool { return st.Name == name })
}

// declare gives a state its number: the one it had in the checkpoint, if its kind and types are still the same, or the
// next free one.
func (s *Store) declare(kind meta.StateKind, name string, key KeyShape, valueType string) (uint16, error) {
	if s.err != nil {
		return 0, s.err
	}
	if name == "" {
		return 0, fmt.Errorf("a state needs a name")
	}
	want := meta.State{Kind: kind, Name: name, Key: key.Fingerprint, Type: valueType}
	no := s.stateNo(name)
	if no < 0 {
		if no = len(s.states); no == maxStates {
			return 0, fmt.Errorf("state %q: an operator has at most %d states", name, maxStates)
		}
		want.No = uint16(no)
		s.addState(want)
	}
	if s.declared[no] {
		return 0, fmt.Errorf("state %q is declared twice", name)
	}
	want.No = uint16(no)
	if got := s.states[no]; got != want {
		return 0, fmt.Errorf("state %q: checkpoint has %s, program has %s: %w", name, describeState(got), describeState(want), meta.ErrIncompatible)
	}
	s.declared[no] = true
	return want.No, nil
}

func describeState(st meta.State) string {
	if st.Type == "" {
		return fmt.Sprintf("%s of key %s", st.Kind, readable(st.Key))
	}
	return fmt.Sprintf("%s of key %s and value %s", st.Kind, readable(st.Key), readable(st.Type))
}
