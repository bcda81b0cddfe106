package engine

import (
	"context"
	"sync"
	"time"
)

// queueDepth is how many batches an input may be ahead of its reader. A full queue is the backpressure.
const queueDepth = 4

type messageKind uint8

const (
	msgBatch messageKind = iota
	msgWatermark
	msgIdle // the input has nothing to say about time until its next watermark
	msgBarrier
)

// message is what tasks exchange. Order within one input is kept.
type message struct {
	kind    messageKind
	time    Time   // of a watermark
	command        // of a barrier
	origin  origin // of a batch's records
	batch   any    // a pointer to a typed batch
}

// inbox holds a task's inputs, one bounded queue for each upstream subtask. Any number of goroutines put; one takes.
type inbox struct {
	mu     sync.Mutex // guards inputs and next
	inputs []input
	next   int           // where the search for a message goes on, so that no input starves
	wake   chan struct{} // has an item after each put, and when a call has ended
}

type input struct {
	queue   []message // 0 <= len <= queueDepth, ring order by copy: queues are tiny
	held    bool      // delivered its barrier: not read until all have
	room    chan struct{}
	waiting bool
}

func newInbox(inputs int) *inbox {
	b := &inbox{inputs: make([]input, inputs), wake: make(chan struct{}, 1)}
	for i := range b.inputs {
		b.inputs[i].room = make(chan struct{}, 1)
		b.inputs[i].queue = make([]message, 0, queueDepth)
	}
	return b
}

// tryPut appends a message unless the input is full.
func (b *inbox) tryPut(in int, m message) bool {
	b.mu.Lock()
	i := &b.inputs[in]
	ok := len(i.queue) < queueDepth
	if ok {
		i.queue = append(i.queue, m)
	} else {
		i.waiting = true
	}
	b.mu.Unlock()
	if ok {
		b.ring()
	}
	return ok
}

// ring wakes the one that takes.
func (b *inbox) ring() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// put appends a message, waiting for room. It gives up when ctx ends, and is not done when bell rings first. step is called
// after each wait.
func (b *inbox) put(ctx context.Context, in int, m message, bell <-chan time.Time, step func(string)) (done bool, err error) {
	for rung := false; !b.tryPut(in, m); {
		if rung {
			return false, nil
		}
		select {
		case <-b.inputs[in].room:
		case <-bell:
			rung = true
		case <-ctx.Done():
		}
		if step("had no room"); ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
	}
	return true, nil
}

// look is before a take: the wakes until then are served by it.
func (b *inbox) look() {
	select {
	case <-b.wake:
	default:
	}
}

// take returns the next message of an input that is not held.
func (b *inbox) take() (m message, in int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for k := range b.inputs {
		in = (b.next + k) % len(b.inputs)
		i := &b.inputs[in]
		if i.held || len(i.queue) == 0 {
			continue
		}
		m = i.queue[0]
		n := copy(i.queue, i.queue[1:])
		i.queue[n] = message{}
		i.queue = i.queue[:n]
		if i.waiting {
			i.waiting = false
			select {
			case i.room <- struct{}{}:
			default: // a token that its producer did not need is still there
			}
		}
		b.next = in + 1
		return m, in, true
	}
	return message{}, 0, false
}

// hold stops reading an input; it reports whether all are held now, and if so lets all go again.
func (b *inbox) hold(in int) (all bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inputs[in].held = true
	for i := range b.inputs {
		if !b.inputs[i].held {
			return false
		}
	}
	for i := range b.inputs {
		b.inputs[i].held = false
	}
	return true
}
