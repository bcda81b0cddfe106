package engine

// layout is how the nodes of a job are fused into tasks, and in how many subtasks each of these runs.
type layout struct {
	tasks []*taskPlan // in topological order
	of    map[*node]*taskPlan
}

// plan cuts the graph into tasks: a new one begins at each source, wherever records change subtasks, and where streams
// of several tasks meet. The parallelism is that of nodes which neither say theirs nor follow another.
func (j *Job) plan(parallelism int) layout {
	l := layout{of: map[*node]*taskPlan{}}
	for _, n := range j.nodes {
		subtasks := l.subtasksFor(n, parallelism)
		p := l.fuse(n, subtasks)
		if p == nil {
			p = &taskPlan{head: n, subtasks: subtasks}
			l.tasks = append(l.tasks, p)
		}
		p.nodes = append(p.nodes, n)
		l.of[n] = p
	}
	return l
}

// subtasksFor is in how many subtasks a node runs. One that takes its records as they come follows its input; of several
// inputs, the one with the most subtasks. What all subtasks get does not say how many there are.
func (l layout) subtasksFor(n *node, parallelism int) (most int) {
	if n.parallelism > 0 {
		return n.parallelism
	}
	if n.owner != nil {
		return l.subtasks(n.owner)
	}
	for _, e := range n.ins {
		if e.way == byKey || e.way == inTurn {
			return parallelism
		}
		if e.way == toAll {
			continue
		}
		most = max(most, l.subtasks(e.from.node))
	}
	return orDefault(most, parallelism)
}

// subtasks is the parallelism of a node.
func (l layout) subtasks(n *node) int { return l.of[n].subtasks }

// fuse gives the task that all records of a node come from and stay in, nil if there is none.
func (l layout) fuse(n *node, subtasks int) (p *taskPlan) {
	if n.owner != nil {
		return l.of[n.owner]
	}
	if n.apart {
		return nil
	}
	for _, e := range n.ins {
		up := l.of[e.from.node]
		if up.subtasks != subtasks || e.way != forwarded && subtasks > 1 || p != nil && p != up {
			return nil
		}
		p = up
	}
	return p
}

// together is how many records may go from operator to operator of the task at a time. Where ways that have parted in the
// task meet again, each record goes both before the next one does: none overtakes another.
func (p *taskPlan) together() int {
	for _, n := range p.nodes[1:] {
		if len(n.ins) > 1 {
			return 1
		}
	}
	return batchSize
}

// way is how records take an edge from task to task: what has no counterpart is dealt out.
func (l layout) way(e *edge, to *taskPlan) way {
	if e.way == forwarded && l.subtasks(e.from.node) != to.subtasks {
		return inTurn
	}
	return e.way
}

// inputs is how many inputs an edge from another task is in each subtask: a forwarding one has records from one subtask,
// any other from every subtask of the other task.
func (l layout) inputs(e *edge, to *taskPlan) int {
	if l.way(e, to) == forwarded {
		return 1
	}
	return l.subtasks(e.from.node)
}

// inputsOf is the range of inputs of an edge that leads to the head of a task.
func (l layout) inputsOf(of *edge, to *taskPlan) (first, end int) {
	for _, e := range to.head.ins {
		if e == of {
			break
		}
		first += l.inputs(e, to)
	}
	return first, first + l.inputs(of, to)
}

// assemble makes the subtasks of all tasks and connects them.
func (a *attempt) assemble() {
	made := map[*taskPlan][]*subtask{}
	for _, p := range a.layout.tasks {
		for i := range p.subtasks {
			st := &subtask{a: a, ctx: a.ctx, plan: p, index: i, together: p.together(), outlets: map[*port]any{}}
			st.watermark = a.startTime(p, i)
			st.alarm.clock = a.o.Clock
			st.readClock()
			st.load.begin(st.read)
			if p.head.source != nil {
				a.commands[st] = make(chan command, 1)
			} else {
				_, inputs := a.layout.inputsOf(p.head.ins[len(p.head.ins)-1], p)
				st.inbox, st.receivers = newInbox(inputs), make([]func(any), inputs)
				st.time = newInputTime(inputs, st.watermark)
			}
			a.subtasks = append(a.subtasks, st)
			made[p] = append(made[p], st)
			for _, n := range p.nodes {
				a.building = n
				n.build(st)
			}
		}
		for _, e := range p.head.ins {
			first, _ := a.layout.inputsOf(e, p)
			up := made[a.layout.of[e.from.node]]
			e.connect(up, made[p], a.layout.way(e, p), first, a.keyGroups)
		}
	}
}

// connect lets the upstream subtasks send: each to its counterpart if records are forwarded, else every one to every
// downstream one. Each is an input of its own there, so that barriers and watermarks of different subtasks are told apart.
func (e *edge) connect(up, down []*subtask, w way, first, groups int) {
	for i, u := range up {
		r := &route{up: u, way: w, input: first, groups: groups}
		if w == forwarded {
			r.inbox = []*inbox{down[i].inbox}
		} else {
			r.input += i
			for _, d := range down {
				r.inbox = append(r.inbox, d.inbox)
			}
		}
		e.send(u, r)
	}
}

// startTime is where the inputs of a subtask start after a restore: at the least watermark of its operators.
func (a *attempt) startTime(p *taskPlan, index int) Time {
	least, any := MaxTime, false
	for _, n := range p.nodes {
		if n.stateful && n.owner == nil {
			least, any = min(least, a.watermark(n, index)), true
		}
	}
	if !any {
		return MinTime
	}
	return least
}
