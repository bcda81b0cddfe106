package engine

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"sync"
)

// FromChannel reads what is sent to a channel, until it is closed. A channel cannot be read again, so the source keeps
// the last records that it took, at least keep of them, for a restart or a resume with the same source to read again: let
// that be more than come between two checkpoints. What this guarantees:
//
//   - As long as the process lives, each record counts exactly once. Where a checkpoint lies further back than what is
//     kept, the job is refused and the error says how many records would be lost.
//   - When the process ends, records that were sent and are in no checkpoint are gone: at most once. A resume in another
//     process goes on with what its own channel brings.
//
// The source is one split; its position is the number of records taken. Give a channel to one job only, and to no other
// receiver.
func FromChannel[T any](ch <-chan T, keep int) Source[T] {
	return &channelSource[T]{ch: ch, keep: max(keep, leastKept)}
}

// leastKept is what may have been read and not have gone through when a job stops: the batches of a reader.
const leastKept = 2 * batchSize

type channelSource[T any] struct {
	ch   <-chan T
	keep int

	mu    sync.Mutex // guards the fields below
	begun bool       // a reader was opened
	base  int64      // records taken in earlier processes
	taken int64      // records taken, those included
	kept  []T        // the last of them: the record of number i is at slot(i)
}

func (s *channelSource[T]) guarantee() string {
	return "exactly once while the process lives, else at most once"
}

func (s *channelSource[T]) Splits(context.Context) ([]Split, bool, error) {
	if s.ch == nil {
		return nil, false, Permanent(fmt.Errorf("the channel is nil"))
	}
	return []Split{{ID: "channel"}}, true, nil
}

func (s *channelSource[T]) Open(_ context.Context, _ Split, from Position) (Reader[T], error) {
	at := int64(0)
	if from != "" {
		var err error
		if at, err = strconv.ParseInt(string(from), 10, 64); err != nil || at < 0 {
			return nil, Permanent(fmt.Errorf("channel position %q: want a number of records", from))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.begun {
		s.begun, s.base, s.taken = true, at, at
	}
	switch first := s.taken - int64(len(s.kept)); {
	case at < first:
		return nil, Permanent(fmt.Errorf("channel: %d records since the checkpoint are lost: it stands at %d, and of %d taken the last %d are kept",
			first-at, at, s.taken, len(s.kept)))
	case at > s.taken:
		return nil, Permanent(fmt.Errorf("channel position %d: %d records were taken", at, s.taken))
	}
	return &channelReader[T]{source: s, at: at}, nil
}

// remember keeps records that were just taken, in place of the oldest.
func (s *channelSource[T]) remember(recs []T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range recs {
		if len(s.kept) < s.keep {
			s.kept = append(s.kept, r)
		} else {
			s.kept[s.slot(s.taken)] = r
		}
		s.taken++
	}
}

func (s *channelSource[T]) slot(i int64) int { return int((i - s.base) % int64(s.keep)) }

type channelReader[T any] struct {
	source *channelSource[T]
	at     int64
}

func (r *channelReader[T]) Read(ctx context.Context, b *Batch[T]) error {
	if r.again(b); b.Len() > 0 {
		return nil
	}
	n := b.Len()
	err := r.receive(ctx, b)
	r.source.remember(b.Records()[n:])
	r.at += int64(b.Len() - n)
	return err
}

// again adds records that were taken before.
func (r *channelReader[T]) again(b *Batch[T]) {
	s := r.source
	s.mu.Lock()
	defer s.mu.Unlock()
	for ; r.at < s.taken && b.Len() < batchSize && !b.Full(); r.at++ {
		*b.Next() = s.kept[s.slot(r.at)]
	}
}

// receive waits for a record and takes what else is at hand.
func (r *channelReader[T]) receive(ctx context.Context, b *Batch[T]) error {
	select {
	case v, ok := <-r.source.ch:
		if !ok {
			return io.EOF
		}
		*b.Next() = v
	case <-ctx.Done():
		return nil
	}
	for b.Len() < batchSize && !b.Full() { // so that leastKept is enough
		select {
		case v, ok := <-r.source.ch:
			if !ok {
				return io.EOF
			}
			*b.Next() = v
		default:
			return nil
		}
	}
	return nil
}

func (r *channelReader[T]) Position() Position { return Position(strconv.FormatInt(r.at, 10)) }
func (r *channelReader[T]) Close() error       { return nil }
