package engine

import (
	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/mmapstate"
)

// metadata is what the checkpoint says, but for what storage adds.
func (c *coordinator) metadata(r *round) *meta.Metadata {
	a := c.a
	m := &meta.Metadata{
		Name: a.job.name, Created: r.started.UnixNano(), Args: a.o.Args, Notes: map[string]string{},
		HashName: mmapstate.HashName, HashSeed: a.hashSeed, KeyGroups: uint16(a.keyGroups),
	}
	for _, n := range a.job.nodes {
		switch {
		case n.stateful:
			m.Operators = append(m.Operators, c.operator(r, n))
			if held := heldAt(r, n); held != "" && n.timed() {
				m.Notes[heldNote(n.uid)] = held
			}
		case n.source != nil:
			m.Sources = append(m.Sources, meta.Source{UID: n.uid, Splits: splitsOf(r, n)})
		case n.sink != nil:
			s := meta.Sink{UID: n.uid}
			for _, t := range c.open {
				if t.node == n {
					s.Txns = append(s.Txns, t.txn)
				}
			}
			m.Sinks = append(m.Sinks, s)
		}
		if n.needsUID() {
			m.Notes[countsNote(n.uid)] = countsOf(r, n).String()
		}
	}
	return m
}

func (c *coordinator) operator(r *round, n *node) meta.Operator {
	o := meta.Operator{No: n.no, UID: n.uid, Kind: n.kind, Fingerprint: n.fingerprint, Parallelism: uint16(c.a.layout.subtasks(n))}
	o.Watermark, o.Watermarks = c.subtaskWatermarks(r, n)
	return o
}

func splitsOf(r *round, n *node) (all []meta.Split) {
	for _, k := range r.acks {
		all = append(all, k.splits[n]...)
	}
	return all
}

func countsOf(r *round, n *node) (sum counts) {
	for _, k := range r.acks {
		for _, nc := range k.counts {
			if nc.node == n {
				sum = sum.plus(nc.counts)
			}
		}
	}
	return sum
}
