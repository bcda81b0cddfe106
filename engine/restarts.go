package engine

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/pagetide/pagetide/meta"
)

// poisonLimit is how often in a row a record may fail an operator.
const poisonLimit = 3

// restarts decides whether and when a failed attempt is followed by another.
type restarts struct {
	o     Restart
	begun time.Time
	inRow int
	past  []time.Time // restarts, at most Attempts, with Within
	delay time.Duration

	signature string // of the last failure that had a record
	same      int
}

func (p *restarts) started(now time.Time) { p.begun = now }

// after takes a failure in and says how long to wait, or why to wait no more.
func (p *restarts) after(now time.Time, err error) (time.Duration, error) {
	if p.o.None || permanent(err) {
		return 0, err
	}
	if poison := p.poison(err); poison != nil {
		return 0, poison
	}
	if now.Sub(p.begun) >= p.o.ResetAfter {
		p.inRow, p.delay = 0, 0
	}
	if p.o.Within > 0 {
		if p.tooMany(now) {
			return 0, fmt.Errorf("%w (after %d restarts within %s)", err, p.o.Attempts, p.o.Within)
		}
	} else if p.inRow++; p.o.Attempts > 0 && p.inRow > p.o.Attempts {
		return 0, fmt.Errorf("%w (after %d restarts)", err, p.o.Attempts)
	}
	if p.delay == 0 {
		p.delay = min(p.o.InitialDelay, p.o.MaxDelay)
	} else {
		p.delay = p.scaled(p.o.Multiplier)
	}
	if p.o.Jitter <= 0 {
		return p.delay, nil
	}
	return p.scaled(1 + p.o.Jitter*(2*rand.Float64()-1)), nil
}

// tooMany counts one more restart, unless there were as many as may be within the time.
func (p *restarts) tooMany(now time.Time) bool {
	if len(p.past) == p.o.Attempts {
		if now.Sub(p.past[0]) <= p.o.Within {
			return true
		}
		p.past = p.past[1:]
	}
	p.past = append(p.past, now)
	return false
}

// scaled is the delay times a factor, at most MaxDelay.
func (p *restarts) scaled(factor float64) time.Duration {
	d := float64(p.delay) * factor
	if d >= float64(p.o.MaxDelay) {
		return p.o.MaxDelay
	}
	return time.Duration(d)
}

// poison finds the record that fails the same operator again and again.
func (p *restarts) poison(err error) error {
	op, ok := errors.AsType[*OperatorError](err)
	if !ok || op.Record == "" || op.called {
		p.signature, p.same = "", 0
		return nil
	}
	if s := op.signature(); s != p.signature {
		p.signature, p.same = s, 0
	}
	if p.same++; p.same < poisonLimit {
		return nil
	}
	return fmt.Errorf("%w, failed %d times running: %w", ErrPoison, p.same, err)
}

// permanent says that a restart would meet the same error: it was marked so, or the checkpoint to restart from is gone
// or no longer fits.
func permanent(err error) bool {
	for _, e := range []error{meta.ErrDamaged, meta.ErrVersion, meta.ErrIncompatible, meta.ErrLocked, meta.ErrNotFound, ErrStuck} {
		if errors.Is(err, e) {
			return true
		}
	}
	return IsPermanent(err)
}
