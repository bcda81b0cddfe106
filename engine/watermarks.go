package engine

import (
	"cmp"
	"slices"

	"github.com/pagetide/pagetide/meta"
)

// Subtasks of one operator have all seen the same when a barrier passes, but not in the same order, which matters where
// inputs fall asleep and wake: one subtask may have closed windows that another still has open. So each gets its own
// watermark back. After rescaling a subtask takes the greatest of those whose keys it has: it closes no window twice, and
// what it calls late another order would have made late, too.

// watermark is where an operator's time stands in a subtask that owns the key groups first <= g < end of groups.
func (r restored) watermark(uid string, first, end, groups int) Time {
	o := r.operator(uid)
	if o == nil {
		return MinTime
	}
	greatest := Time(o.Watermark)
	for i, w := range o.Watermarks {
		next := int(r.m.KeyGroups)
		if i+1 < len(o.Watermarks) {
			next = int(o.Watermarks[i+1].First)
		}
		if was := int(r.m.KeyGroups); int(w.First)*groups < end*was && first*was < next*groups {
			greatest = max(greatest, Time(w.Time))
		}
	}
	return greatest
}

// watermark is where a node's time stands in a subtask.
func (a *attempt) watermark(n *node, index int) Time {
	if o := a.restored.operator(n.uid); n.apart && o != nil {
		return Time(o.Watermark) // the least: no subtask knows the time of another's records
	}
	first, end := groupsOf(index, a.keyGroups, a.layout.subtasks(n))
	return a.restored.watermark(n.uid, first, end, a.keyGroups)
}

// subtaskWatermarks are an operator's watermarks as of a barrier: the least, and those of its subtasks if they differ.
func (c *coordinator) subtaskWatermarks(r *round, n *node) (least int64, differ []meta.GroupWatermark) {
	for _, k := range r.acks {
		if w, ok := k.watermarks[n]; ok {
			first, _ := groupsOf(k.subtask, c.a.keyGroups, c.a.layout.subtasks(n))
			differ = append(differ, meta.GroupWatermark{First: meta.KeyGroup(first), Time: int64(w)})
		}
	}
	slices.SortFunc(differ, func(a, b meta.GroupWatermark) int { return cmp.Compare(a.First, b.First) })
	least = int64(MaxTime)
	for _, w := range differ {
		least = min(least, w.Time)
	}
	differ = slices.CompactFunc(differ, func(a, b meta.GroupWatermark) bool { return a.Time == b.Time })
	if len(differ) < 2 {
		return least, nil
	}
	return least, differ
}
