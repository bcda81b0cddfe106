package snapshotter

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/pagetide/pagetide/meta"
)

// standaloneUID names the operator of a store that is used without the engine.
const standaloneUID = "store"

// describe merges what the cuts say into the metadata: the subtasks of one operator each bring some of its shards.
func describe(m *meta.Metadata, cuts []meta.Cut) error {
	fresh := map[meta.OperatorNo]bool{}
	for _, c := range cuts {
		if err := describeHash(m, c); err != nil {
			return err
		}
		o := operator(m, c.Operator())
		if !fresh[o.No] {
			fresh[o.No] = true
			o.States, o.Shards = nil, nil // the caller's are of an earlier checkpoint
		}
		if err := addStates(o, c.States()); err != nil {
			return err
		}
		o.Shards = append(o.Shards, c.Shards()...)
	}
	for i := range m.Operators {
		o := &m.Operators[i]
		slices.SortFunc(o.States, func(a, b meta.State) int { return cmp.Compare(a.No, b.No) })
		slices.SortFunc(o.Shards, func(a, b meta.Shard) int { return cmp.Compare(a.ID, b.ID) })
		for j := 1; j < len(o.Shards); j++ {
			if o.Shards[j].ID == o.Shards[j-1].ID {
				return fmt.Errorf("shard %s is in two cuts: %w", o.Shards[j].ID, meta.ErrIncompatible)
			}
		}
	}
	return nil
}

func describeHash(m *meta.Metadata, c meta.Cut) error {
	name, seed, groups := c.Hash()
	if m.HashName == "" && m.KeyGroups == 0 {
		m.HashName, m.HashSeed, m.KeyGroups = name, seed, uint16(groups)
	}
	if m.HashName != name || m.HashSeed != seed || int(m.KeyGroups) != groups {
		return fmt.Errorf("operator %d: hash %s with seed %x over %d key groups, the job has %s with seed %x over %d: %w",
			c.Operator(), name, seed, groups, m.HashName, m.HashSeed, m.KeyGroups, meta.ErrIncompatible)
	}
	return nil
}

func operator(m *meta.Metadata, no meta.OperatorNo) *meta.Operator {
	i := slices.IndexFunc(m.Operators, func(o meta.Operator) bool { return o.No == no })
	if i < 0 {
		i = len(m.Operators)
		m.Operators = append(m.Operators, meta.Operator{No: no, UID: standaloneUID, Kind: standaloneUID, Parallelism: 1})
	}
	return &m.Operators[i]
}

func addStates(o *meta.Operator, states []meta.State) error {
	for _, s := range states {
		i := slices.IndexFunc(o.States, func(t meta.State) bool { return t.No == s.No })
		switch {
		case i < 0:
			o.States = append(o.States, s)
		case o.States[i] != s:
			return fmt.Errorf("operator %d: state %d is %q in one subtask and %q in another: %w",
				o.No, s.No, o.States[i].Name, s.Name, meta.ErrIncompatible)
		}
	}
	return nil
}

// wholeCuts says whether the cuts hold every page that the metadata speaks of.
func wholeCuts(m *meta.Metadata, cuts []meta.Cut) bool {
	brought := map[meta.OperatorNo]bool{}
	for _, c := range cuts {
		if c.Base() != (meta.Base{}) {
			return false
		}
		brought[c.Operator()] = true
	}
	for _, o := range m.Operators {
		for _, s := range o.Shards {
			if s.Pages > 0 && !brought[o.No] {
				return false
			}
		}
	}
	return true
}
