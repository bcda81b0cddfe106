package mmapstate

import (
	"errors"
	"fmt"

	"github.com/pagetide/pagetide/meta"
)

// ErrClosed is the failure of any use after [Store.Close].
var ErrClosed = errors.New("mmapstate: store is closed")

// Failure is what an access to state panics with when it cannot be completed: storage failed, a page is damaged, memory
// ran out, or the store is closed. The store is poisoned from then on: no checkpoint of it can commit, also if the
// program recovers the panic.
type Failure struct{ Err error }

// Error gives the cause.
func (f *Failure) Error() string { return "state access failed: " + f.Err.Error() }

// Unwrap gives the cause to errors.Is and errors.As.
func (f *Failure) Unwrap() error { return f.Err }

// Recovered turns a recovered panic into an error if it is a [*Failure]; else ok is false and the panic is somebody
// else's bug, to be raised again.
//
//	defer func() {
//		if v := recover(); v != nil {
//			if err, ok := mmapstate.Recovered(v); ok { ... }
func Recovered(v any) (err error, ok bool) {
	f, ok := v.(*Failure)
	if !ok {
		return nil, false
	}
	return f, true
}

// catch is deferred by entry points that return errors.
func catch(err *error) {
	v := recover()
	if v == nil {
		return
	}
	f, ok := v.(*Failure)
	if !ok {
		panic(v)
	}
	*err = f.Err
}

// fail poisons the store and unwinds the access.
func (s *Store) fail(err error) {
	s.poison(err)
	panic(&Failure{Err: s.err})
}

// poison makes every further lookup fail: no shard has the epoch noEpoch, so each one ends up in catchUp.
func (s *Store) poison(err error) {
	if s.err == nil {
		s.err = err
	}
	s.epoch = noEpoch
	s.moves++
	if s.cut != nil {
		discardLoader(s.cut.giveUp(s.err).Loader)
		s.cut.result = s.err
		s.cut = nil
	}
}

// damaged fails because a page is not what it must be.
func (sh *shard) damaged(p uint32, format string, args ...any) {
	sh.store.fail(sh.damage(p, fmt.Sprintf(format, args...)))
}

func (sh *shard) damage(p uint32, what string) error { return damage(sh.id, p, what) }

func damage(id meta.ShardID, p uint32, what string) error {
	return &meta.DamageError{File: "shard " + id.String(), Offset: int64(p) * pageSize, What: fmt.Sprintf("page %d: %s", p, what)}
}

func errShardFull(id meta.ShardID) error {
	return fmt.Errorf("shard %s has reached its limit of %d pages: use more key groups", id, maxPages)
}
