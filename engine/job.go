package engine

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/pagetide/pagetide/meta"
)

// Job is a named dataflow graph under construction. Build it with [From] and the functions that take a [Stream], then
// Start it, once. Mistakes in the graph do not stop its construction: Start returns them all. A Job is not safe for
// concurrent use.
type Job struct {
	name     string
	nodes    []*node // in construction order, which is a topological one
	mistakes []error
	started  bool
	awaited  awaited
}

// NewJob names a job. The name is its identity on disk.
func NewJob(name string) *Job {
	j := &Job{name: name}
	if name == "" || strings.ContainsAny(name, `/\:`) || strings.HasPrefix(name, ".") {
		j.mistake("job name %q: want a plain folder name", name)
	}
	return j
}

// Name is the job's name.
func (j *Job) Name() string { return j.name }

// node is an operator of the graph. What it does is typed and lives in closures; everything here is plain.
type node struct {
	job         *Job
	id          int
	uid         string // empty for stateless operators
	kind        string
	fingerprint string // what must not change between checkpoint and restore
	site        string // file:line of its construction
	ins         []*edge
	out         []*port

	no       meta.OperatorNo // of a stateful node, given at start
	stateful bool
	apart    bool     // begins a task of its own, whose subtasks have times of their own
	declared []string // states, timers and side outputs, for Explain

	parallelism int // that it was given; 0: none

	broadcasts bool  // it may have broadcast state
	shared     *node // what has that in checkpoints; nil: it has none
	owner      *node // of a shared node: whose it is

	build  func(*subtask) // makes the operator in one subtask
	sink   *sinkDoors     // for a sink
	source *sourceDoors   // for a source
}

// edge leads the records of a port to a node.
type edge struct {
	from *port
	way  way
	key  string                 // its type if records go by key, for Explain
	send func(*subtask, *route) // makes the sender in an upstream subtask, where the edge leads from task to task
}

// way says which subtasks of a task get a record that comes from another one.
type way uint8

const (
	forwarded way = iota // the counterpart of the one it comes from; dealt out in turn if there is none
	byKey                // the one that owns its key
	inTurn               // one after the other
	toAll                // all
)

// port is one output of a node: where a Stream comes from.
type port struct {
	node  *node
	name  string // empty for the main output
	label string // what it is, for Explain; empty for the main output
	timed bool   // records carry event time
	used  bool
	site  string
}

func (j *Job) add(kind, uid string, in ...*port) *node {
	n := &node{job: j, id: len(j.nodes), kind: kind, uid: uid, site: callSite()}
	for _, p := range in {
		p.used = true
		n.ins = append(n.ins, &edge{from: p})
		if p.node.job != j {
			n.job.mistake("%s joins streams of the jobs %q and %q", n.label(), j.name, p.node.job.name)
		}
	}
	j.nodes = append(j.nodes, n)
	return n
}

// timed says whether all that the node reads has event time.
func (n *node) timed() bool {
	return !slices.ContainsFunc(n.ins, func(e *edge) bool { return !e.from.timed })
}

func (n *node) output(name string, timed bool) *port {
	p := &port{node: n, name: name, timed: timed, site: n.site}
	n.out = append(n.out, p)
	return p
}

// label is how messages name the node.
func (n *node) label() string {
	if n.uid != "" {
		return fmt.Sprintf("%s %q", n.kind, n.uid)
	}
	return n.kind + " at " + n.site
}

// wants has the lack of what the operator cannot do without be a mistake.
func (n *node) wants(given bool, what string) {
	if !given {
		n.job.mistake("%s: no %s", n.label(), what)
	}
}

func (j *Job) mistake(format string, args ...any) {
	j.mistakes = append(j.mistakes, fmt.Errorf("%s: %s", callSite(), fmt.Sprintf(format, args...)))
}

// check finds the mistakes that only show in the whole graph and returns all of them.
func (j *Job) check() error {
	found := append([]error(nil), j.mistakes...)
	uids := map[string]*node{}
	for _, n := range j.nodes {
		if n.kind == kindOpenWindow {
			found = append(found, fmt.Errorf("%s: window without an aggregate", n.site))
			continue
		}
		if n.needsUID() {
			switch first := uids[n.uid]; {
			case n.uid == "":
				found = append(found, fmt.Errorf("%s: %s has an empty uid", n.site, n.kind))
			case first != nil:
				found = append(found, fmt.Errorf("%s: uid %q is taken by the %s at %s", n.site, n.uid, first.kind, first.site))
			}
			uids[n.uid] = n
		}
		for _, p := range n.out {
			if p.name == "" && !p.used {
				found = append(found, fmt.Errorf("%s: the stream of %s is not used", p.site, n.label()))
			}
		}
	}
	if len(j.nodes) == 0 {
		found = append(found, fmt.Errorf("job %q has no source", j.name))
	}
	return errors.Join(found...)
}

func (n *node) needsUID() bool { return n.source != nil || n.sink != nil || n.stateful }

// callSite is the file and line of the caller outside this package.
func callSite() string {
	var pcs [16]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		f, more := frames.Next()
		if !strings.HasPrefix(f.Function, enginePrefix) {
			return fmt.Sprintf("%s:%d", shortFile(f.File), f.Line)
		}
		if !more {
			return "unknown"
		}
	}
}

const enginePrefix = "github.com/pagetide/pagetide/engine."

func shortFile(path string) string {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		if k := strings.LastIndexByte(path[:i], '/'); k >= 0 {
			return path[k+1:]
		}
	}
	return path
}
