package engine

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/pagetide/pagetide/meta"
)

// sourceDoors is what the engine needs of a source apart from its type.
type sourceDoors struct {
	splits    func(context.Context) ([]Split, bool, error)
	guarantee string // of a source that cannot be read again at will; empty: exactly once
}

// sourceLoop is the goroutine of a task that begins with a source.
type sourceLoop interface {
	run() error
	snapshot(*ack)
}

// command asks a source subtask for a barrier.
type command struct {
	barrier meta.CheckpointID
	stop    bool // read no further, and have nothing come after it
}

// From reads a source. The uid names the source in checkpoints. With [EventTime] the records carry time and the stream
// has watermarks; without, its time stands still until the source ends.
func From[T any](j *Job, uid string, src Source[T], t ...Times[T]) Stream[T] {
	n := j.add("source", uid)
	n.source = &sourceDoors{}
	if src == nil {
		j.mistake("source %q is nil", uid)
	} else {
		n.source.splits = src.Splits
		if once, ok := src.(interface{ guarantee() string }); ok { // of this package: others have no such method
			n.source.guarantee = once.guarantee()
		}
	}
	var times Times[T]
	if len(t) > 0 {
		times = t[0]
		n.wants(times.at != nil, "function that takes event time")
	}
	if len(t) > 1 {
		j.mistake("source %q: more than one event time", uid)
	}
	times.declare(j, uid)
	out := n.output("", times.at != nil)
	n.build = func(st *subtask) {
		to := makeOutlet[T](st, out)
		s := &sourceTask[T]{st: st, n: n, src: src, times: times, out: to, at: make([]Time, batchSize), hand: handFor[T](st, n.uid), stats: st.statsOf(n), group: st.a.align(times.group)}
		st.source = s
	}
	return Stream[T]{out}
}

// sourceTask reads the splits that fall to one subtask. Each is read by a goroutine of its own, so that a blocking read
// holds up neither barriers nor gathering.
type sourceTask[T any] struct {
	st      *subtask
	n       *node
	src     Source[T]
	times   Times[T]
	out     *outlet[T]
	stats   *nodeStats
	splits  []*splitTask[T]
	filled  chan filledBatch[T] // nil after a stop
	ended   bool                // all splits are done and no further ones will come
	at      []Time              // of the records that are sent on; zero without event time
	hand    *recordHand[T]
	drained <-chan struct{} // closed when the input is to end where it stands; nil once it has
	over    bool            // it has: there will be no further splits
	group   *alignment      // nil: none
	moved   <-chan struct{} // closed when the group has moved on since align
}

func (s *sourceTask[T]) run() error {
	ctx, cancel := context.WithCancel(s.st.ctx)
	var readers sync.WaitGroup
	defer readers.Wait()
	defer cancel()

	commands := s.st.a.commands[s.st]
	filled := make(chan filledBatch[T])
	s.filled, s.drained = filled, s.st.a.drained
	s.assign()
	s.joinGroup()
	if err := s.begin(ctx, commands); err != nil {
		return err
	}
	s.st.readClock() // what came before was not the splits' silence
	for _, p := range s.splits {
		p.heard = s.st.read
		if !p.done && !s.st.stopped {
			readers.Go(func() { s.read(ctx, p, filled) })
		}
	}
	return s.loop(commands)
}

// begin serves the first checkpoint of a fresh run, before anything is read.
func (s *sourceTask[T]) begin(ctx context.Context, commands <-chan command) error {
	for {
		select {
		case <-s.st.a.started:
			return nil
		default:
		}
		var c command
		s.st.spend(idle)
		select {
		case c = <-commands:
		case <-s.st.a.started:
		case <-ctx.Done():
		}
		s.st.spend(busy)
		s.st.step("wakes")
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if c.barrier == 0 {
			continue
		}
		if err := s.obey(c); err != nil {
			return err
		}
		s.st.gather(time.Hour) // there is no state yet
	}
}

// loop processes batches and barriers in turn; a barrier that waits goes first.
func (s *sourceTask[T]) loop(commands <-chan command) error {
	if err := s.tick(); err != nil {
		return err
	}
	for {
		if err := s.next(commands); err != nil {
			return err
		}
		if err := s.st.risk("goes on"); err != nil {
			return err
		}
		if s.st.ctx.Err() != nil {
			return context.Cause(s.st.ctx)
		}
	}
}

// next handles what is there, or waits for it.
func (s *sourceTask[T]) next(commands <-chan command) error {
	select {
	case c := <-commands:
		return s.obey(c)
	default:
	}
	select {
	case <-s.drained:
		return s.finish()
	default:
	}
	select {
	case f := <-s.input():
		return s.take(f)
	default:
	}
	return s.wait(commands)
}

// wait handles the next thing that happens.
func (s *sourceTask[T]) wait(commands <-chan command) error {
	again, err := s.st.rest()
	if err != nil {
		return err
	}
	s.listen()
	var c command
	var f filledBatch[T]
	rung := false
	if !s.st.short {
		s.st.spend(idle)
	}
	select {
	case c = <-commands:
	case f = <-s.input():
	case <-again:
	case <-s.st.alarm.ring:
		rung = true
	case <-s.moved:
	case <-s.drained:
	case <-s.st.ctx.Done():
	}
	s.st.spend(busy)
	s.st.again.clear()
	s.st.step("wakes")
	rung = s.st.alarm.rang(rung) // one that is not served now rings again
	switch {
	case s.st.ctx.Err() != nil:
		return context.Cause(s.st.ctx)
	case c.barrier != 0:
		return s.obey(c)
	case f.split != nil:
		return s.take(f)
	case len(commands) > 0:
		return s.obey(<-commands)
	case closed(s.drained):
		return s.finish()
	case rung:
		if err := s.st.rung(); err != nil {
			return err
		}
		s.doze()
		return s.tick()
	case closed(s.moved):
		if err := s.st.begin(); err != nil {
			return err
		}
		return s.tick()
	}
	return nil
}

// closed says whether a channel that nothing is sent on is closed; a nil one is not.
func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// input is where batches come from; nil while records have to wait for a checkpoint that makes room in memory.
func (s *sourceTask[T]) input() <-chan filledBatch[T] {
	if s.st.short {
		return nil
	}
	return s.filled
}

// obey sends a barrier. After the barrier of a stop nothing more is read.
func (s *sourceTask[T]) obey(c command) error {
	s.st.delay(c.barrier)
	if err := s.st.begin(); err != nil {
		return err
	}
	if c.stop {
		s.filled = nil
	}
	return s.st.barrier(c)
}

// take sends a batch of records through the chain.
func (s *sourceTask[T]) take(f filledBatch[T]) error {
	if err := s.st.begin(); err != nil {
		return err
	}
	p, start := f.split, time.Now() // by the machine's clock: it is about the machine
	p.waiting.Add(-1)
	if f.err != nil && f.err != io.EOF {
		return f.err
	}
	if len(f.batch.recs) > 0 {
		p.asleep = false
		p.heard = s.st.read
	}
	if err := s.passAll(p, f.batch.recs); err != nil {
		return err
	}
	s.stats.in.Add(int64(len(f.batch.recs)))
	s.stats.skipped.Add(f.batch.skipped)
	p.pos = f.pos
	p.done = f.err != nil
	work := time.Since(start)
	if s.suits() {
		f.batch.suit(work)
	}
	p.quick = s.st.a.quick(f.took, work)
	p.keep(f.batch)
	s.doze()
	if err := s.tick(); err != nil {
		return err
	}
	s.st.origin = origin{}
	if !p.ahead {
		p.lend()
	}
	return nil
}

// passAll sends the records of a batch on. Time moves on as often as if a large batch were several; after the last of them it
// is for the caller to do.
func (s *sourceTask[T]) passAll(p *splitTask[T], recs []T) error {
	for i := 0; i < len(recs); i += s.st.together {
		if i > 0 && i%batchSize == 0 {
			if err := s.midway(); err != nil {
				return err
			}
		}
		if err := s.pass(p, recs[i:min(i+s.st.together, len(recs))]); err != nil {
			return err
		}
	}
	return nil
}

// suits says that batches may become larger or smaller: not for a simulator, which chooses their sizes, and not for splits
// that keep together, which go by batches.
func (s *sourceTask[T]) suits() bool { return s.st.a.world == nil && s.group == nil }

// pass sends records on, with their times.
func (s *sourceTask[T]) pass(p *splitTask[T], recs []T) error {
	s.st.origin = origin{&p.name, p.pos}
	at := s.at[:len(recs)]
	if s.times.at != nil {
		if err := s.readTimes(recs, at); err != nil {
			return err
		}
		p.maxTime = s.seen(p.maxTime, recs, at)
	}
	s.out.send(stretch[T]{recs, at})
	return nil
}

// snapshot adds the positions of the splits, as of the last batch that went through.
func (s *sourceTask[T]) snapshot(a *ack) {
	for _, p := range s.splits {
		a.splits[s.n] = append(a.splits[s.n], meta.Split{ID: p.name.id, Position: string(p.pos), MaxTime: int64(p.maxTime), Done: p.done})
	}
	s.tell()
	for _, p := range s.splits {
		if stats := p.stats.read(s.n.uid); stats.State != SplitEnded {
			a.stands = append(a.stands, stats)
		}
	}
}
