package engine

import (
	"context"
	"errors"

	"github.com/pagetide/pagetide/meta"
)

// sinkDoors is what the engine needs of a sink apart from its type.
type sinkDoors struct {
	recover func(context.Context, Task, []Txn) error
	commit  func(context.Context, Txn) error
	again   bool // records since the restored checkpoint are written again after a restore
}

// To writes a stream to a sink. The uid names the sink's transactions in checkpoints.
func To[T any](in Stream[T], uid string, sink Sink[T]) {
	n := in.from.node.job.add("sink", uid, in.from)
	n.sink = &sinkDoors{}
	forward[T](n.ins[0])
	if sink == nil {
		n.job.mistake("sink %q is nil", uid)
		return
	}
	n.sink.recover, n.sink.commit = sink.Recover, sink.Commit
	_, n.sink.again = sink.(interface{ atLeastOnce() })
	n.build = func(st *subtask) {
		s := &sinkTask[T]{st: st, n: n, sink: sink, buf: make([]T, 0, batchSize), time: MinTime, stats: st.statsOf(n)}
		st.ops = append(st.ops, s)
		st.hands = append(st.hands, s)
		take(st, n.ins[0], n, s.take)
	}
}

// sinkTask collects the rows of a batch for one Writer.
type sinkTask[T any] struct {
	st    *subtask
	n     *node
	sink  Sink[T]
	w     Writer[T] // nil until the first row or barrier
	calls bool      // the sink or its writer is being called
	buf   []T
	time  Time // the watermark
	stats *nodeStats
}

func (s *sinkTask[T]) take(rows stretch[T]) {
	if len(s.buf)+len(rows.recs) > cap(s.buf) {
		if err := s.write(); err != nil {
			panic(err)
		}
	}
	s.buf = append(s.buf, rows.recs...)
}

func (s *sinkTask[T]) open() (err error) {
	if s.w == nil {
		s.calls = true
		s.w, err = s.sink.Open(s.st.ctx, s.st.a.task(s.n, s.st.index))
		s.calls = false
	}
	if err == nil && s.w == nil {
		err = errors.New("the sink opened no writer")
	}
	return err
}

func (s *sinkTask[T]) flush() error {
	if err := s.write(); err != nil {
		return err
	}
	s.stats.watermark.Store(int64(s.time))
	return nil
}

// write hands the writer what is collected.
func (s *sinkTask[T]) write() error {
	if len(s.buf) == 0 {
		return nil
	}
	if err := s.open(); err != nil {
		return s.wrap(err)
	}
	s.calls, s.st.writing = true, true
	err := s.w.Write(s.st.ctx, s.buf)
	s.calls = false
	if err != nil {
		return s.wrap(err)
	}
	s.st.writing = false
	s.stats.in.Add(int64(len(s.buf)))
	clear(s.buf)
	s.buf = s.buf[:0]
	return nil
}

// step 0 of a checkpoint: what was written up to the barrier is durable and its handle goes into the checkpoint.
func (s *sinkTask[T]) snapshot(a *ack) error {
	if err := s.open(); err != nil {
		return s.wrap(err)
	}
	s.calls = true
	txn, err := s.w.Prepare(s.st.ctx, uint64(a.id))
	s.calls = false
	if err != nil {
		return s.wrap(err)
	}
	if txn != nil {
		a.txns[s.n] = append(a.txns[s.n], meta.Txn{Checkpoint: a.id, Subtask: uint16(s.st.index), Handle: txn})
	}
	return nil
}

func (s *sinkTask[T]) advance(w Time) { s.time = w }

func (s *sinkTask[T]) close() error {
	if s.w == nil {
		return nil
	}
	return s.n.await("close", s.w.Close)
}

func (s *sinkTask[T]) busy() bool { return s.calls }

func (s *sinkTask[T]) inHand() (uid, key, record string) { return s.n.uid, "", "" }

func (s *sinkTask[T]) wrap(err error) error { return &OperatorError{UID: s.n.uid, Err: err} }
