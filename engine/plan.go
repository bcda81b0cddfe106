package engine

// plan cuts the graph into tasks: a new one begins at each source, wherever records change subtasks, and where streams
// of several tasks meet.
func (j *Job) plan(parallelism int) []*taskPlan {
	var plans []*taskPlan
	of := map[*node]*taskPlan{}
	for _, n := range j.nodes {
		if of[n] = fuse(n, of, parallelism); of[n] == nil {
			of[n] = &taskPlan{head: n}
			plans = append(plans, of[n])
		}
		of[n].nodes = append(of[n].nodes, n)
	}
	return plans
}

// fuse gives the task that all records of a node come from and stay in, nil if there is none.
func fuse(n *node, of map[*node]*taskPlan, parallelism int) (p *taskPlan) {
	for _, e := range n.ins {
		up := of[e.from.node]
		if e.keyed && parallelism > 1 || p != nil && p != up {
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

// inputs is how many inputs an edge from another task is in each subtask: a keyed one has records from every subtask of
// the other task, any other from one.
func (e *edge) inputs(parallelism int) int {
	if e.keyed {
		return parallelism
	}
	return 1
}

// inputsOf is the range of inputs of an edge that leads to the head of the task.
func (p *taskPlan) inputsOf(of *edge, parallelism int) (first, end int) {
	for _, e := range p.head.ins {
		if e == of {
			break
		}
		first += e.inputs(parallelism)
	}
	return first, first + of.inputs(parallelism)
}

// assemble makes the subtasks of all tasks and connects them.
func (a *attempt) assemble() {
	of := map[*node]*taskPlan{}
	made := map[*taskPlan][]*subtask{}
	for _, p := range a.plans {
		for _, n := range p.nodes {
			of[n] = p
		}
	}
	for _, p := range a.plans {
		for i := range a.parallelism {
			st := &subtask{a: a, ctx: a.ctx, plan: p, index: i, together: p.together(), outlets: map[*port]any{}}
			st.watermark = a.startTime(p, i)
			st.alarm.clock = a.o.Clock
			st.readClock()
			if p.head.source != nil {
				a.commands[st] = make(chan command, 1)
			} else {
				_, inputs := p.inputsOf(p.head.ins[len(p.head.ins)-1], a.parallelism)
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
			first, _ := p.inputsOf(e, a.parallelism)
			e.connect(made[of[e.from.node]], made[p], first, a.keyGroups)
		}
	}
}

// connect lets the upstream subtasks send: by key every one to every downstream one, else each to its counterpart. Each
// is an input of its own there, so that barriers and watermarks of different subtasks are told apart.
func (e *edge) connect(up, down []*subtask, first, groups int) {
	for i, u := range up {
		r := &route{up: u, input: first, groups: groups}
		if e.keyed {
			r.input += i
			for _, d := range down {
				r.inbox = append(r.inbox, d.inbox)
			}
		} else {
			r.inbox = []*inbox{down[i].inbox}
		}
		e.send(u, r)
	}
}

// startTime is where the inputs of a subtask start after a restore: at the least watermark of its operators.
func (a *attempt) startTime(p *taskPlan, index int) Time {
	least, any := MaxTime, false
	for _, n := range p.nodes {
		if n.stateful {
			least, any = min(least, a.watermark(n, index)), true
		}
	}
	if !any {
		return MinTime
	}
	return least
}
