package vfs

import (
	"fmt"
	"iter"
	"maps"
	"math/bits"
	"math/rand/v2"
)

const (
	allSubsets   = 8  // up to so many pending items every subset is tried; more with more effort
	randomStates = 24 // beyond that, so many random ones after the families, times the effort
	tornCuts     = 8  // places where one write is cut
	sector       = 512
)

// States goes through the file systems that a crash after the first n calls may leave, each with a description. Every
// state is fresh and independent. Pending items are unsynced writes and unsynced changes of directory entries, a rename
// being one change. With few of them every subset is built, otherwise: none, all, each alone, all but each, every prefix,
// and random subsets drawn from seed. In addition each pending write is left as zeros, which is what a file has whose size
// became durable before its blocks, and cut at one byte and at sectors, keeping either side.
func (c *Crash) States(n int, seed uint64) iter.Seq2[string, *Mem] {
	return func(yield func(string, *Mem) bool) {
		durable, open := c.replay(n)
		for what, kept := range c.subsets(len(open), seed) {
			if !yield(what, build(c.root, durable, open, func(i int) int { return kept.bytes(i, open[i]) })) {
				return
			}
		}
		for i, p := range open {
			if !p.isWrite() {
				continue
			}
			zeros := tornEarlier(open, i, len(p.call.data))
			zeros[i].call.data = make([]byte, len(p.call.data))
			if !yield(fmt.Sprintf("write %d of %d left as zeros", i, len(open)), build(c.root, durable, zeros, keepAll(zeros))) {
				return
			}
			for _, cut := range cuts(len(p.call.data)) {
				what := fmt.Sprintf("write %d of %d torn at %d", i, len(open), cut)
				earlier := tornEarlier(open, i, cut)
				if !yield(what, build(c.root, durable, earlier, keepAll(earlier))) {
					return
				}
				later := tornLater(open, i, cut)
				if !yield(what+", later half", build(c.root, durable, later, keepAll(later))) {
					return
				}
			}
		}
	}
}

const lost = -1

func keepAll(open []pending) func(int) int {
	return func(i int) int { return len(open[i].call.data) }
}

// tornEarlier replaces write i by its bytes before cut.
func tornEarlier(open []pending, i, cut int) []pending {
	changed := append([]pending(nil), open...)
	changed[i].call.data = changed[i].call.data[:cut]
	return changed
}

// tornLater replaces write i by its bytes from cut on.
func tornLater(open []pending, i, cut int) []pending {
	changed := append([]pending(nil), open...)
	changed[i].at += cut
	changed[i].call.data = changed[i].call.data[cut:]
	return changed
}

// cuts picks places inside a write: after one byte, before the last, and at sectors.
func cuts(size int) []int {
	var at []int
	if size > 1 {
		at = append(at, 1)
	}
	if size > 2 {
		at = append(at, size-1)
	}
	sectors := (size - 1) / sector
	step := max(1, (sectors+tornCuts-1)/tornCuts)
	for s := 1; s <= sectors; s += step {
		at = append(at, s*sector)
	}
	return at
}

// subset says which of the pending items survive.
type subset []bool

func (s subset) bytes(i int, p pending) int {
	if !s[i] {
		return lost
	}
	return len(p.call.data)
}

func (c *Crash) subsets(k int, seed uint64) iter.Seq2[string, subset] {
	effort := max(c.Effort, 1)
	if k < allSubsets+bits.Len(uint(effort)) {
		return everySubset(k)
	}
	return families(k, seed, effort*randomStates)
}

func everySubset(k int) iter.Seq2[string, subset] {
	return func(yield func(string, subset) bool) {
		for bits := range 1 << k {
			s := make(subset, k)
			for i := range s {
				s[i] = bits>>i&1 == 1
			}
			if !yield(fmt.Sprintf("subset %0*b", k, bits), s) {
				return
			}
		}
	}
}

func families(k int, seed uint64, randoms int) iter.Seq2[string, subset] {
	fill := func(keep func(i int) bool) subset {
		s := make(subset, k)
		for i := range s {
			s[i] = keep(i)
		}
		return s
	}
	return func(yield func(string, subset) bool) {
		for j := range k {
			if !yield(fmt.Sprintf("prefix %d of %d", j, k), fill(func(i int) bool { return i < j })) ||
				!yield(fmt.Sprintf("only %d of %d", j, k), fill(func(i int) bool { return i == j })) ||
				!yield(fmt.Sprintf("all but %d of %d", j, k), fill(func(i int) bool { return i != j })) {
				return
			}
		}
		if !yield(fmt.Sprintf("all %d", k), fill(func(int) bool { return true })) {
			return
		}
		rnd := rand.New(rand.NewPCG(seed, uint64(k)))
		for j := range randoms {
			if !yield(fmt.Sprintf("random %d of seed %d", j, seed), fill(func(int) bool { return rnd.IntN(2) == 0 })) {
				return
			}
		}
	}
}

// build makes a file system from what is durable and what survives of the pending items.
func build(root *node, durable map[*node]disk, open []pending, keep func(i int) int) *Mem {
	left := make(map[*node]disk, len(durable))
	for n, d := range durable {
		left[n] = disk{entries: maps.Clone(d.entries), data: d.data}
	}
	for i, p := range open {
		if n := keep(i); n != lost {
			p.apply(left, n)
		}
	}
	made := map[*node]*node{}
	var copyNode func(n *node) *node
	copyNode = func(n *node) *node {
		if made[n] != nil {
			return made[n] // a second link
		}
		d := left[n]
		fresh := &node{data: d.data[:len(d.data):len(d.data)], synced: len(d.data)}
		made[n] = fresh
		if n.isDir() {
			fresh.entries = make(map[string]*node, len(d.entries))
			for name, child := range d.entries {
				fresh.entries[name] = copyNode(child)
			}
		}
		return fresh
	}
	return &Mem{root: copyNode(root)}
}
