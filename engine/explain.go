package engine

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/pagetide/pagetide/mmapstate"
)

// Explanation is how a job will run: its operators with what they declare, the tasks that they are fused into, and where
// records go by key. It prints as text, or as [Explanation.Mermaid].
type Explanation struct {
	job    string
	layout layout
}

// Explain shows how the job would run with these options. It starts nothing. The mistakes in the graph are returned as
// [Job.Start] returns them.
func (j *Job) Explain(o Options) (Explanation, error) {
	if err := j.check(); err != nil {
		return Explanation{}, err
	}
	return Explanation{j.name, j.plan(o.withDefaults().Parallelism)}, nil
}

// String is the explanation as text. Operators are numbered in the order in which they were made.
func (x Explanation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "job %q\n", x.job)
	for i, p := range x.layout.tasks {
		fmt.Fprintf(&b, "\n%s\n", x.title(i))
		for _, n := range p.nodes {
			fmt.Fprintf(&b, "  %d  %s%s%s\n", n.id+1, n.title(), x.inputs(n), n.about())
			for _, d := range n.declared {
				fmt.Fprintf(&b, "       %s\n", d)
			}
		}
	}
	return b.String()
}

// Mermaid is the explanation as a flowchart in the language of Mermaid, which GitHub draws.
func (x Explanation) Mermaid() string {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	for i, p := range x.layout.tasks {
		fmt.Fprintf(&b, "  subgraph task%d[%s]\n", i+1, mermaidText(x.title(i)))
		for _, n := range p.nodes {
			lines := append([]string{n.title() + n.about()}, n.declared...)
			fmt.Fprintf(&b, "    n%d[%s]\n", n.id+1, mermaidText(lines...))
		}
		b.WriteString("  end\n")
	}
	for _, p := range x.layout.tasks {
		for _, n := range p.nodes {
			for _, e := range n.ins {
				fmt.Fprintf(&b, "  n%d %s n%d\n", e.from.node.id+1, x.arrow(e, p), n.id+1)
			}
		}
	}
	return b.String()
}

func (x Explanation) title(task int) string {
	n := x.layout.tasks[task].subtasks
	if n == 1 {
		return fmt.Sprintf("task %d, 1 subtask", task+1)
	}
	return fmt.Sprintf("task %d, %d subtasks", task+1, n)
}

// title is what the node is; one without a uid needs no place in the source here.
func (n *node) title() string {
	if n.uid == "" {
		return n.kind
	}
	return n.label()
}

// inputs says which nodes the records come from, and how.
func (x Explanation) inputs(n *node) (s string) {
	for i, e := range n.ins {
		if i == 0 {
			s += ", of "
		} else {
			s += " and "
		}
		s += fmt.Sprint(e.from.node.id + 1)
		for _, part := range x.parts(e, x.layout.of[n]) {
			s += " " + part
		}
	}
	return s
}

// parts are what is special about an edge.
func (x Explanation) parts(e *edge, to *taskPlan) (parts []string) {
	if e.from.label != "" {
		parts = append(parts, e.from.label)
	}
	switch x.layout.way(e, to) {
	case byKey:
		parts = append(parts, "by key "+e.key)
	case inTurn:
		parts = append(parts, "in turn")
	case toAll:
		parts = append(parts, "to all")
	}
	return parts
}

func (x Explanation) arrow(e *edge, to *taskPlan) string {
	parts := x.parts(e, to)
	if len(parts) == 0 {
		return "-->"
	}
	return "-->|" + mermaidText(strings.Join(parts, " ")) + "|"
}

// about is what there is to say of the node itself: its window or join, its time, its guarantee.
func (n *node) about() string {
	switch {
	case n.owner != nil:
		return fmt.Sprintf(": all of it in each subtask of %d", n.owner.id+1)
	case n.source != nil:
		return ": " + n.source.about(n.out[0].timed)
	case n.sink != nil && n.sink.again:
		return ": at least once"
	case n.sink != nil:
		return ": exactly once, visible after the checkpoint"
	case n.stateful && !strings.HasPrefix(n.fingerprint, n.kind+", "):
		what, _, _ := strings.Cut(n.fingerprint, ", key ")
		return ": " + strings.TrimPrefix(what, n.kind+" ")
	}
	return ""
}

func (d *sourceDoors) about(timed bool) string {
	s := "no event time"
	if timed {
		s = "event time"
	}
	if d.guarantee != "" {
		s += ", " + d.guarantee
	}
	return s
}

// mermaidText quotes a label of some lines.
func mermaidText(lines ...string) string {
	quoted := strings.NewReplacer("&", "&amp;", `"`, "&quot;", "<", "&lt;", ">", "&gt;").Replace(strings.Join(lines, "\n"))
	return `"` + strings.ReplaceAll(quoted, "\n", "<br/>") + `"`
}

// tell notes what is declared, while the graph is checked.
func (s *Setup) tell(format string, args ...any) {
	if s.checking() {
		s.node.declared = append(s.node.declared, fmt.Sprintf(format, args...))
	}
}

// tellState notes a state with its type and how long its values live.
func (s *Setup) tellState(what, name, of string, o []StateOption) {
	for _, opt := range o {
		if t, ok := opt.(mmapstate.TTL); ok {
			of += ", TTL " + ttlText(t)
		}
	}
	s.tell("%s %q: %s", what, name, of)
}

func ttlText(t mmapstate.TTL) string {
	s := t.After.String() + " of event time"
	if t.Clock == mmapstate.ProcessingTime {
		s = t.After.String() + " of processing time"
	}
	if t.Renew == mmapstate.OnReadAndWrite {
		s += ", renewed when read"
	}
	return s
}

func typeOf[T any]() string { return reflect.TypeFor[T]().String() }
