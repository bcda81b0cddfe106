package engine

import (
	"slices"
	"time"

	"github.com/pagetide/pagetide/mmapstate"
)

// StateOption refines the declaration of a state: a [TTL], or [Encoded].
type StateOption = mmapstate.StateOption

// TTL lets each value of a state live for a while after it was written last; elements of a list and entries of a map
// live and end one by one, an element of a list not before those in front of it. What has lived its time is never
// returned and counts as absent. It lives in event time, from the time of the record that writes it, or the watermark if
// the record is late, until the watermark has gone on by so much: how far ahead of other inputs a record was read makes
// no difference. In a stream without event time, where it would live for ever, it is a mistake. The end of bounded input
// is no time: it expires nothing.
//
// Between two runs a TTL may come, go and change: see [mmapstate.TTL].
func TTL(after time.Duration, o ...TTLOption) StateOption {
	t := mmapstate.TTL{After: after, Clock: mmapstate.EventTime}
	if after == 0 {
		t.After = -1 // a mistake, not no TTL
	}
	for _, opt := range o {
		opt.refine(&t)
	}
	return t
}

// TTLOption is how a [TTL] differs from the usual: [ProcessingTime] or [RenewOnRead].
type TTLOption interface{ refine(*mmapstate.TTL) }

// TimeDomain says which time counts. Without one it is event time.
type TimeDomain uint8

// ProcessingTime is the time by the job's [Clock]: an option of [TTL] and of [NewTimer].
const ProcessingTime TimeDomain = 1

func (d TimeDomain) refine(t *mmapstate.TTL) {
	if d == ProcessingTime {
		t.Clock = mmapstate.ProcessingTime
	}
}

// Renewal says what lets a life begin anew, beside a write.
type Renewal uint8

// RenewOnRead has the life of a value begin anew with each read, too: an option of [TTL].
const RenewOnRead Renewal = 1

func (r Renewal) refine(t *mmapstate.TTL) {
	if r == RenewOnRead {
		t.Renew = mmapstate.OnReadAndWrite
	}
}

// Codec turns values into bytes and back: see [mmapstate.Codec].
type Codec[T any] = mmapstate.Codec[T]

// Encoded has the values of a state go through a codec, also flat ones; without it, those that are not flat go through
// CBOR.
func Encoded[T any](c Codec[T]) StateOption { return mmapstate.Encoded(c) }

// Decoder shows the values of one codec to programs that do not know their type: see [mmapstate.View].
type Decoder = mmapstate.Decoder

// DecoderOf makes a decoder of a codec, for values that encoding/json can show.
func DecoderOf[T any](c Codec[T]) Decoder { return mmapstate.DecoderOf(c) }

// declareState takes the names of a state, and reports options that cannot be.
func (s *Setup) declareState(what, name string, o []StateOption, parts ...string) {
	s.needsKey(what, name)
	s.declare("state", name)
	for _, p := range parts {
		s.declare("state", name+p)
	}
	for _, opt := range o {
		t, ok := opt.(mmapstate.TTL)
		if !ok {
			continue
		}
		switch {
		case !s.checking():
			s.op.mortal = true
		case t.After <= 0:
			s.mistake("%s %q: its TTL is not positive", what, name)
		case t.Clock == mmapstate.EventTime && !s.timed:
			s.mistake("%s %q: its TTL is in event time, which the stream does not have: use engine.ProcessingTime", what, name)
		}
	}
}

// codecOf leaves lifetimes out of a state's options: declareState has looked at them.
func codecOf(o []StateOption) []StateOption {
	return slices.DeleteFunc(slices.Clone(o), func(opt StateOption) bool {
		_, is := opt.(mmapstate.TTL)
		return is
	})
}

// formFor is how values of T are kept; a type that cannot be is a mistake.
func formFor[T any](s *Setup, what, name string, o []StateOption) *mmapstate.Form[T] {
	f, err := mmapstate.NewForm[T](codecOf(o)...)
	if err == nil {
		return f
	}
	if !s.checking() {
		panic(declarationError{err})
	}
	s.mistake("%s %q: %v", what, name, err)
	return nil
}

// encode makes the bytes of a value that is not flat; a value that cannot be encoded is the user's error.
func encode[T any](op *keyedOp, f *mmapstate.Form[T], v *T) []byte {
	b, err := f.Bytes(op.buf, v)
	if err != nil {
		op.fail(err)
	}
	op.buf = b
	return b
}

func decode[T any](op *keyedOp, f *mmapstate.Form[T], b []byte) T {
	v, err := f.Value(b)
	if err != nil {
		op.fail(err)
	}
	return v
}

// stored ends the attempt if a value was refused: it is too long, which is the user's error.
func (op *keyedOp) stored(err error) {
	if err != nil {
		op.fail(err)
	}
}

// tellTime tells the store the time, for states with a TTL. The last watermark is no time.
func (op *keyedOp) tellTime() {
	event := op.watermark
	if event == MaxTime {
		event = MinTime
	}
	op.store.SetTime(int64(event), int64(op.st.now))
}

// tellRecord tells the store the event time of the record in hand; MinTime if there is none.
func (op *keyedOp) tellRecord(at Time) {
	if op.mortal {
		op.store.SetRecordTime(int64(at))
	}
}

// expireBudget is how many entries a task looks at for expiry between two batches.
const expireBudget = 32

func (op *keyedOp) expire() {
	if op.mortal {
		op.store.Expire(expireBudget)
	}
}
