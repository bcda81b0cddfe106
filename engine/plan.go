package engine

// plan cuts the graph into tasks: a new one begins at each source, and wherever records change subtasks.
func (j *Job) plan(parallelism int) []*taskPlan {
	var plans []*taskPlan
	of := map[*node]*taskPlan{}
	for _, n := range j.nodes {
		if n.in == nil || n.keyed && parallelism > 1 {
			of[n] = &taskPlan{head: n}
			plans = append(plans, of[n])
		} else {
			of[n] = of[n.in.node]
		}
		of[n].nodes = append(of[n].nodes, n)
	}
	return plans
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
			st := &subtask{a: a, ctx: a.ctx, plan: p, index: i, outlets: map[*port]any{}}
			st.watermark = a.startTime(p)
			if p.head.source != nil {
				a.commands[st] = make(chan command, 1)
			} else {
				st.inbox = newInbox(a.parallelism)
				st.time = newInputTime(a.parallelism, st.watermark)
			}
			a.subtasks = append(a.subtasks, st)
			made[p] = append(made[p], st)
			for _, n := range p.nodes {
				a.building = n
				n.build(st)
			}
		}
		if p.head.source == nil {
			connect(p.head, made[of[p.head.in.node]], made[p], a.keyGroups)
		}
	}
}

// connect lets every upstream subtask send to every downstream one. Each is an input of its own there, so that barriers
// and watermarks of different subtasks are told apart.
func connect(head *node, up, down []*subtask, groups int) {
	for i, u := range up {
		r := &route{up: u, groups: groups}
		for _, d := range down {
			r.inbox = append(r.inbox, d.inbox)
			r.input = append(r.input, i)
		}
		head.exchange(u, r)
	}
}

// startTime is where a task's inputs start after a restore: at the least watermark of its operators.
func (a *attempt) startTime(p *taskPlan) Time {
	least, any := MaxTime, false
	for _, n := range p.nodes {
		if n.stateful {
			least, any = min(least, a.restored.watermark(n.uid)), true
		}
	}
	if !any {
		return MinTime
	}
	return least
}
