package vfs

import (
	"fmt"
	"maps"
	"slices"
)

// Crash is a [Mem] that lists every changing call, so that [Crash.States] can rebuild what a power cut after any of
// them may leave behind.
//
//	fs := vfs.NewCrash()
//	run(fs)                                  // the code under test
//	for n := range fs.Len() + 1 {
//		for what, left := range fs.States(n, seed) {
//			recover(left)                    // and check what it finds, knowing fs.Marked(n)
//		}
//	}
type Crash struct {
	*Mem
	Effort int // how many states are built where not all can be: 0 and 1 are usual, n has n times the random ones

	base map[*node]disk // what was durable when recording began
}

// NewCrash makes an empty recording file system.
func NewCrash() *Crash { return NewCrashFrom(NewMem()) }

// NewCrashFrom records on top of m, whose content counts as durable. m belongs to the result from now on.
func NewCrashFrom(m *Mem) *Crash {
	c := &Crash{Mem: m, base: map[*node]disk{}}
	m.log = &recorder{}
	c.keep(m.root)
	return c
}

func (c *Crash) keep(n *node) {
	n.synced = len(n.data)
	n.data = n.data[:n.synced:n.synced]
	c.base[n] = disk{entries: maps.Clone(n.entries), data: n.data}
	for _, child := range n.entries {
		if _, ok := c.base[child]; !ok {
			c.keep(child)
		}
	}
}

// Mark adds an entry to the list that changes nothing: "at this point name had been acknowledged".
func (c *Crash) Mark(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.record(call{kind: opMark, path: name})
}

// Len is the number of calls recorded so far.
func (c *Crash) Len() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.log.calls)
}

// Marked lists the marks among the first n calls, in order.
func (c *Crash) Marked(n int) []string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var names []string
	for _, call := range c.log.calls[:n] {
		if call.kind == opMark {
			names = append(names, call.path)
		}
	}
	return names
}

// Calls describes the recorded calls, for messages.
func (c *Crash) Calls() []string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	list := make([]string, len(c.log.calls))
	for i, call := range c.log.calls {
		list[i] = call.String()
	}
	return list
}

type opKind string

const (
	opCreate  opKind = "create"
	opWrite   opKind = "write"
	opSync    opKind = "sync"
	opDrop    opKind = "drop"
	opDropDir opKind = "dropdir"
	opRename  opKind = "rename"
	opLink    opKind = "link"
	opRemove  opKind = "remove"
	opMkdir   opKind = "mkdir"
	opSyncDir opKind = "syncdir"
	opMark    opKind = "mark"
)

// recorder is the list of calls; the Mem's lock guards it.
type recorder struct{ calls []call }

// call is one changing call. Nodes name what it touched, because names move.
type call struct {
	kind        opKind
	path, path2 string
	dir, dir2   *node
	name, name2 string
	node        *node
	data        []byte
}

func (c call) String() string {
	switch c.kind {
	case opRename, opLink:
		return fmt.Sprintf("%s %s %s", c.kind, c.path, c.path2)
	case opWrite:
		return fmt.Sprintf("write %s %d bytes", c.path, len(c.data))
	}
	return fmt.Sprintf("%s %s", c.kind, c.path)
}

// disk is what of a node is durable.
type disk struct {
	entries map[string]*node
	data    []byte
}

// pending is one thing that a crash may keep or lose: a write, or a change of directory entries.
type pending struct {
	call call
	at   int // offset of a write in its file
}

func (p pending) isWrite() bool { return p.call.kind == opWrite }

// replay separates, after the first n calls, what is durable from what is pending.
func (c *Crash) replay(n int) (map[*node]disk, []pending) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	durable := make(map[*node]disk, len(c.base))
	for n, d := range c.base {
		durable[n] = disk{entries: maps.Clone(d.entries), data: d.data}
	}
	var open []pending
	size := map[*node]int{}
	for _, call := range c.log.calls[:n] {
		switch call.kind {
		case opCreate, opMkdir:
			durable[call.node] = disk{entries: maps.Clone(call.node.emptyEntries())}
			open = append(open, pending{call: call})
		case opRename, opLink, opRemove:
			open = append(open, pending{call: call})
		case opWrite:
			if _, ok := size[call.node]; !ok {
				size[call.node] = len(durable[call.node].data)
			}
			open = append(open, pending{call: call, at: size[call.node]})
			size[call.node] += len(call.data)
		case opSync:
			open = settle(durable, open, func(p pending) bool { return p.isWrite() && p.call.node == call.node })
		case opDrop:
			open = slices.DeleteFunc(open, func(p pending) bool { return p.isWrite() && p.call.node == call.node })
			size[call.node] = len(durable[call.node].data)
		case opDropDir:
			open = slices.DeleteFunc(open, func(p pending) bool { return !p.isWrite() && p.call.home() == call.dir })
		case opSyncDir:
			open = settle(durable, open, func(p pending) bool { return !p.isWrite() && p.call.home() == call.dir })
		}
	}
	return durable, open
}

func (n *node) emptyEntries() map[string]*node {
	if n.isDir() {
		return map[string]*node{}
	}
	return nil
}

// home is the directory whose sync makes the change durable.
func (c call) home() *node {
	if c.dir2 != nil {
		return c.dir2
	}
	return c.dir
}

// settle makes the pending items that match durable and returns the others.
func settle(durable map[*node]disk, open []pending, match func(pending) bool) []pending {
	rest := open[:0]
	for _, p := range open {
		if !match(p) {
			rest = append(rest, p)
			continue
		}
		p.apply(durable, len(p.call.data))
	}
	return rest
}

// apply carries a pending item out; of a write only the first keep bytes.
func (p pending) apply(on map[*node]disk, keep int) {
	c := p.call
	switch c.kind {
	case opCreate, opMkdir:
		on[c.dir].entries[c.name] = c.node
	case opRename:
		delete(on[c.dir].entries, c.name)
		on[c.dir2].entries[c.name2] = c.node
	case opLink:
		on[c.dir2].entries[c.name2] = c.node
	case opRemove:
		delete(on[c.dir].entries, c.name)
	case opWrite:
		d := on[c.node]
		d.data = overlay(d.data, p.at, c.data[:keep])
		on[c.node] = d
	}
}

// overlay writes b at an offset of data without changing data's bytes; a gap reads as zeros.
func overlay(data []byte, at int, b []byte) []byte {
	size := max(len(data), at+len(b))
	if len(b) == 0 {
		return data
	}
	whole := make([]byte, size)
	copy(whole, data)
	copy(whole[at:], b)
	return whole
}
