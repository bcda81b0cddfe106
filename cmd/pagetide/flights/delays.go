package flights

import (
	"time"

	"github.com/pagetide/pagetide/engine"
)

// Delays is a row of the output: how late the flights of one airport left on one day.
type Delays struct {
	Origin    string  `json:"origin"`
	Day       string  `json:"day"`
	Flights   int64   `json:"flights"`
	MeanDelay float64 `json:"mean_delay"` // minutes
	MaxDelay  int32   `json:"max_delay"`  // minutes
	LateShare float64 `json:"late_share"` // of flights that left more than 15 minutes late
}

// lateAfter is how many minutes of delay do not yet count as late.
const lateAfter = 15

// delayStats folds a day of one airport. Its sums are integers, so the order of arrival does not show in the result.
type delayStats struct{}

type delayAcc struct {
	Flights, Late, Total int64
	Max                  int32
}

func (delayStats) Add(a *delayAcc, f Flight) {
	if a.Flights == 0 || f.Delay > a.Max {
		a.Max = f.Delay
	}
	a.Flights++
	a.Total += int64(f.Delay)
	if f.Delay > lateAfter {
		a.Late++
	}
}

func (delayStats) Merge(into *delayAcc, from delayAcc) {
	if into.Flights == 0 || from.Flights > 0 && from.Max > into.Max {
		into.Max = from.Max
	}
	into.Flights += from.Flights
	into.Late += from.Late
	into.Total += from.Total
}

func (delayStats) Result(origin string, day engine.Span, a delayAcc) Delays {
	n := float64(a.Flights)
	return Delays{
		Origin: origin, Day: day.Start.UTC().Format(time.DateOnly), Flights: a.Flights,
		MeanDelay: float64(a.Total) / n, MaxDelay: a.Max, LateShare: float64(a.Late) / n,
	}
}
