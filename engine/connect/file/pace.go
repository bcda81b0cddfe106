package file

import (
	"context"
	"math"
	"time"
)

// pace spreads rows evenly over time: it lets a slice of rows pass every few milliseconds.
type pace struct {
	rate   float64 // rows per second; 0: no limit
	credit float64 // rows that may pass now
	last   time.Time
}

const (
	slice   = 5 * time.Millisecond
	catchUp = 100 * time.Millisecond // what a reader that was held up may make good
)

func newPace(perSecond int) *pace { return &pace{rate: float64(max(perSecond, 0)), credit: 1} }

// wait returns how many rows may pass, at least one, or zero if ctx ends first.
func (p *pace) wait(ctx context.Context) int {
	if p.rate == 0 {
		return math.MaxInt
	}
	for {
		p.earn(time.Now())
		if p.credit >= 1 {
			return int(p.credit)
		}
		want := max(1, p.rate*slice.Seconds())
		t := time.NewTimer(time.Duration((want-p.credit)/p.rate*float64(time.Second)) + time.Microsecond) // past it, despite rounding
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return 0
		}
	}
}

func (p *pace) earn(now time.Time) {
	if !p.last.IsZero() {
		most := max(1, p.rate*catchUp.Seconds())
		p.credit = min(p.credit+now.Sub(p.last).Seconds()*p.rate, most)
	}
	p.last = now
}

func (p *pace) spend(rows int) { p.credit -= float64(rows) }
