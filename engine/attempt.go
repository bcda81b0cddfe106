package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pagetide/pagetide/engine/internal/sim"
	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/mmapstate"
	"github.com/pagetide/pagetide/snapshotter"
)

// attempt is one execution of a job, from a checkpoint or from nothing until it ends.
type attempt struct {
	job       *Job
	o         *Options
	dir       *snapshotter.Dir
	from      *snapshotter.Checkpoint // nil: fresh
	loading   *loading                // of from's state; nil: fresh, or a trial
	restored  restored
	number    meta.Attempt
	keyGroups int
	hashSeed  uint64
	world     sim.World // nil unless simulated

	ctx    context.Context
	cancel context.CancelCauseFunc

	layout   layout
	subtasks []*subtask
	stores   []*mmapstate.Store
	rehashed map[*node][]*mmapstate.Store // by subtask, of another number of key groups than the checkpoint's
	stats    []*nodeStats
	splits   splitLists
	building *node                     // whose parts are being made
	trial    bool                      // only made to be looked at
	aligned  map[string]*alignment     // groups of sources, by name
	commands map[*subtask]chan command // of the subtasks that read sources
	started  chan struct{}             // closed when sources may read
	drained  chan struct{}             // closed when they are to stop, for good
	begun    atomic.Uint64             // the last checkpoint whose barrier was sent
	coord    *coordinator

	triggered atomic.Int64 // when the newest barrier was sent, in ns since 1970
	running   *Running
}

type splitList struct {
	list  []Split
	final bool
}

type splitLists map[*node]splitList

// newAttempt prepares an execution of a job that was surveyed: from here on sinks recover and state is loaded.
func newAttempt(ctx context.Context, j *Job, o *Options, dir *snapshotter.Dir, from *snapshotter.Checkpoint, splits splitLists) (a *attempt, err error) {
	a = blankAttempt(ctx, j, o, dir, from, splits)
	if err := a.make(a.prepare); err != nil {
		return nil, err
	}
	return a, nil
}

func blankAttempt(ctx context.Context, j *Job, o *Options, dir *snapshotter.Dir, from *snapshotter.Checkpoint, splits splitLists) *attempt {
	a := &attempt{
		job: j, o: o, dir: dir, from: from, number: dir.Attempt(), layout: j.plan(o.Parallelism),
		keyGroups: orDefault(o.MaxParallelism, defaultKeyGroups),
		splits:    splits, commands: map[*subtask]chan command{}, started: make(chan struct{}), drained: make(chan struct{}),
		rehashed: map[*node][]*mmapstate.Store{},
	}
	a.ctx, a.cancel = context.WithCancelCause(ctx)
	a.world = sim.Of(ctx)
	a.hashSeed = a.seed() | 1
	if from != nil {
		a.restored.m = from.Meta
		a.keyGroups, a.hashSeed = orDefault(o.MaxParallelism, int(from.Meta.KeyGroups)), from.Meta.HashSeed
	}
	return a
}

// make runs what makes the parts of the attempt. If it fails, by a panic too, what there is of the attempt is closed.
func (a *attempt) make(parts func() error) (err error) {
	returned := false
	defer func() {
		if returned {
			return
		}
		v := recover() // nil: the constructor ends its goroutine
		closed := a.close()
		if v != nil {
			err = errors.Join(a.buildError(v), closed)
		}
	}()
	err = parts()
	returned = true
	if err != nil {
		err = errors.Join(err, a.close())
	}
	return err
}

func (a *attempt) prepare() error {
	a.coord = newCoordinator(a)
	if a.from != nil {
		a.loading = newLoading(a.from, a.o.Clock.Now())
	}
	a.assemble()
	if err := a.extraStates(); err != nil {
		return err
	}
	if err := a.recoverSinks(); err != nil {
		return err
	}
	a.reportRewrites()
	if a.loading != nil {
		a.loading.ready(a.o.Restore.Verify == VerifyEager)
		a.coord.loaded = a.loading.verified
	}
	return nil
}

// extraStates refuses state that the checkpoint has and the operator no longer declares: renamed, it would start from
// nothing.
func (a *attempt) extraStates() error {
	if a.o.Restore.IgnoreExtra {
		return nil
	}
	var found []error
	for _, st := range a.subtasks {
		if st.index > 0 {
			continue // says the same
		}
		for _, op := range st.keyed {
			for _, name := range op.store.Undeclared() {
				found = append(found, fmt.Errorf("%w: the checkpoint has state %q of operator %q, which the operator does not declare",
					meta.ErrIncompatible, name, op.node.uid))
			}
		}
	}
	return errors.Join(found...)
}

// reportRewrites says what new types of states, or another number of key groups, have cost.
func (a *attempt) reportRewrites() {
	for _, st := range a.subtasks {
		for _, op := range st.keyed {
			for _, r := range op.store.Rewrites() {
				a.o.Logger.Info("state was rewritten", "job", a.job.name, "operator", op.node.uid, "subtask", st.index,
					"state", r.State, "from", r.From, "to", r.To, "entries", r.Entries, "took", r.Took)
			}
		}
	}
}

// release lets go of the checkpoint's files.
func (a *attempt) release() error {
	if a.from == nil || a.trial {
		return nil
	}
	return a.from.Close()
}

// buildError is the error behind a panic while the parts of a subtask are made: of a constructor, or of the state.
func (a *attempt) buildError(v any) error {
	if err, ok := mmapstate.Recovered(v); ok {
		return err
	}
	if err, ok := v.(declarationError); ok {
		return fmt.Errorf("%s: %w", a.building.label(), err.error)
	}
	return &OperatorError{UID: a.building.label(), Err: panicked(v), Stack: debug.Stack()}
}

// survey compares the job with a checkpoint and lists what its sources have. It refuses what cannot run and changes
// nothing.
func survey(ctx context.Context, j *Job, o *Options, r restored) (splitLists, error) {
	groups := orDefault(o.MaxParallelism, defaultKeyGroups)
	if err := j.fit(r, o); err != nil {
		return nil, err
	}
	if r.m != nil {
		groups = orDefault(o.MaxParallelism, int(r.m.KeyGroups))
	}
	if err := j.within(o.Parallelism, groups); err != nil {
		return nil, err
	}
	all := splitLists{}
	for _, n := range j.nodes {
		if n.source == nil {
			continue
		}
		var s splitList
		err := n.await("list splits", func() (err error) {
			s.list, s.final, err = n.source.splits(ctx)
			return err
		})
		if err != nil {
			return nil, err
		}
		if id, ok := twice(s.list); ok {
			return nil, Permanent(fmt.Errorf("source %q: two splits have the id %q: each needs one of its own", n.uid, id))
		}
		if err := missingSplits(n, s.list, r, o); err != nil {
			return nil, err
		}
		all[n] = s
	}
	return all, nil
}

// within refuses a parallelism that there are not enough key groups for.
func (j *Job) within(parallelism, groups int) error {
	const wanted = "parallelism %d, max parallelism %d: want 1 <= parallelism <= max <= %d"
	var found []error
	if parallelism > groups {
		found = append(found, fmt.Errorf(wanted, parallelism, groups, meta.MaxKeyGroups))
	}
	for _, n := range j.nodes {
		if n.parallelism > groups {
			found = append(found, fmt.Errorf("%s: "+wanted, n.label(), n.parallelism, groups, meta.MaxKeyGroups))
		}
	}
	return errors.Join(found...)
}

// twice finds an id that two splits have.
func twice(list []Split) (id string, ok bool) {
	seen := map[string]bool{}
	for _, sp := range list {
		if seen[sp.ID] {
			return sp.ID, true
		}
		seen[sp.ID] = true
	}
	return "", false
}

// missingSplits refuses to drop a position: a split that the checkpoint knows half read must still be there.
func missingSplits(n *node, list []Split, r restored, o *Options) error {
	s := r.source(n.uid)
	if s == nil || o.Restore.IgnoreExtra {
		return nil
	}
	have, names := map[string]bool{}, []string{}
	for _, sp := range list {
		have[sp.ID] = true
		names = append(names, sp.ID)
	}
	for _, sp := range s.Splits {
		if !have[sp.ID] && !sp.Done {
			return fmt.Errorf("%w: source %q: the checkpoint stands at %s of split %q, the job has only %s",
				meta.ErrIncompatible, n.uid, orDefault(sp.Position, "the beginning"), sp.ID, orDefault(strings.Join(names, ", "), "none"))
		}
	}
	return nil
}

// recoverSinks finishes what the restored checkpoint has prepared, before anything new is written.
func (a *attempt) recoverSinks() error {
	for _, n := range a.job.nodes {
		if n.sink == nil {
			continue
		}
		t := a.task(n, 0)
		if t.Fresh = a.from == nil; t.Fresh {
			t.Discard = a.o.Restore.earlier
		}
		if err := n.await("recover", func() error { return n.sink.recover(a.ctx, t, a.restored.txns(n.uid)) }); err != nil {
			return err
		}
	}
	return nil
}

func (a *attempt) task(n *node, index int) Task {
	return Task{Job: a.job.name, JobID: a.dir.Job(), UID: n.uid, Attempt: a.number, Index: index, Parallelism: a.layout.subtasks(n)}
}

// openStore opens a subtask's share of a node's state. It is not read before it is looked up, or the background loader
// gets to it; only for another number of key groups it is read here.
func (a *attempt) openStore(n *node, index int) (s *mmapstate.Store, part share) {
	switch o := a.storeOptions(n, index); {
	case a.restored.operator(n.uid) == nil:
		s = mmapstate.New(o)
	case a.trial:
		o.KeyGroups, o.From, o.To = 0, 0, 0 // whatever they will be
		s = must(mmapstate.Open(o, typesOnly{a.from}))
	case !a.rehashes():
		from := a.watchLoading(fmt.Sprintf("loading %s [%d]", n.uid, index))
		s = must(mmapstate.Open(o, from))
		if a.loading != nil {
			part = a.loading.join(from)
		}
	case n.owner != nil:
		s = must(mmapstate.Rehash(a.ctx, []mmapstate.Options{o}, a.from))[0]
	default:
		return a.rehash(n)[index], part
	}
	a.stores = append(a.stores, s)
	return s, part
}

// typesOnly is a checkpoint without pages: a store that is only looked at needs no memory for their guard.
type typesOnly struct{ meta.Loader }

// Shards gives none.
func (typesOnly) Shards(meta.OperatorNo) []meta.Shard { return nil }

func (a *attempt) storeOptions(n *node, index int) mmapstate.Options {
	first, end := groupsOf(index, a.keyGroups, a.layout.subtasks(n))
	if n.owner != nil {
		first, end = 0, a.keyGroups // every subtask has all of it
	}
	return mmapstate.Options{
		Operator: n.no, KeyGroups: a.keyGroups, HashSeed: a.hashSeed,
		From: meta.KeyGroup(first), To: meta.KeyGroup(end), Lazy: true, Preload: !a.trial, CheckOnly: a.trial,
		MemoryLimit: a.memoryAtOpen(n),
	}
}

// rehashes says that the job wants another number of key groups than the checkpoint has.
func (a *attempt) rehashes() bool { return a.keyGroups != int(a.from.Meta.KeyGroups) }

// rehash makes the stores of all subtasks of a node: every entry is read once.
func (a *attempt) rehash(n *node) []*mmapstate.Store {
	if a.rehashed[n] == nil {
		var opts []mmapstate.Options
		for i := range a.layout.subtasks(n) {
			opts = append(opts, a.storeOptions(n, i))
		}
		a.rehashed[n] = must(mmapstate.Rehash(a.ctx, opts, a.from))
		a.stores = append(a.stores, a.rehashed[n]...)
	}
	return a.rehashed[n]
}

// run executes until the attempt ends, and cleans up. The error says why it ended; nil for a bounded input that was
// read to its end with all output committed, errStopped after a stop. It returns within the shutdown timeout of each of
// its two parts, the end of the tasks and the clean-up, and then names what does not.
func (a *attempt) run() error {
	errs := make(chan error, len(a.subtasks)+2)
	var tasks sync.WaitGroup
	running := newRoster(a.subtasks)
	if l := a.loading; l != nil {
		running.enter(l)
		tasks.Go(func() {
			defer running.leave(l)
			if err := l.run(a.ctx, a.step); err != nil {
				errs <- err
			}
		})
	}
	for _, st := range a.subtasks {
		tasks.Go(func() {
			defer running.leave(st)
			st.run(func(err error) { errs <- err })
		})
	}
	coordinated := make(chan struct{})
	go func() {
		defer close(coordinated)
		errs <- call("checkpoints", "coordinate", func() error { return a.coord.run(a.ctx) })
	}()
	err := <-errs
	a.cancel(err)
	stuck := make(chan error, 1)
	go func() { stuck <- running.wait(&tasks, a.o.ShutdownTimeout) }()
	<-coordinated // bounds itself
	if s := errors.Join(<-stuck, a.coord.stuck); s != nil {
		return errors.Join(s, err) // their arenas stay mapped: the tasks may still touch them
	}
	close(errs)
	for e := range errs {
		err = graver(err, e)
	}
	switch e := within(a.o.ShutdownTimeout, a.job.awaited.or("closing sinks and operators"), a.close); {
	case errors.Is(e, ErrStuck):
		return errors.Join(e, err)
	case e != nil:
		a.o.Logger.Warn("close", "job", a.job.name, "error", e) // what had to be durable is
	}
	return err
}

// graver prefers the error that says more: a failure over the end of the context that it caused.
func graver(a, b error) error {
	if errors.Is(a, context.Canceled) && b != nil && !errors.Is(b, context.Canceled) {
		return b
	}
	return a
}

func (a *attempt) close() (err error) {
	a.cancel(context.Canceled)
	for _, st := range a.subtasks {
		if !a.trial { // nothing of it was opened
			err = errors.Join(err, st.close())
		}
	}
	for _, s := range a.stores {
		err = errors.Join(err, s.Close())
	}
	return errors.Join(err, a.release())
}

// acknowledge hands a subtask's part of a checkpoint to the coordinator.
func (a *attempt) acknowledge(ctx context.Context, k *ack) error {
	select {
	case a.coord.acks <- k:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// inputEnded says that a source subtask has read all there is, or that an async one has let go of all.
func (a *attempt) inputEnded(ctx context.Context) error {
	select {
	case a.coord.ends <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// inputs is how many subtasks say when the input has ended for them.
func (a *attempt) inputs() int {
	n := len(a.commands)
	for _, st := range a.subtasks {
		if st.async != nil {
			n++
		}
	}
	return n
}

// roster knows which subtasks, and what works beside them, have not returned yet.
type roster struct {
	mu  sync.Mutex
	out map[fmt.Stringer]bool // guarded by mu: still running
}

func newRoster(all []*subtask) *roster {
	r := &roster{out: map[fmt.Stringer]bool{}}
	for _, st := range all {
		r.enter(st)
	}
	return r
}

func (r *roster) enter(who fmt.Stringer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out[who] = true
}

func (r *roster) leave(who fmt.Stringer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.out, who)
}

// wait waits for all subtasks, at most for the deadline; then it names those that ignore it.
func (r *roster) wait(tasks *sync.WaitGroup, deadline time.Duration) error {
	done := make(chan struct{})
	go func() { tasks.Wait(); close(done) }()
	timer := time.NewTimer(deadline)
	defer timer.Stop()
	select {
	case <-done:
		return nil
	case <-timer.C:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var names []string
	for who := range r.out {
		names = append(names, who.String())
	}
	return fmt.Errorf("%w within %s: %s", ErrStuck, deadline, strings.Join(names, "; "))
}
