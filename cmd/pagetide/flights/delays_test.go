package flights

import (
	"testing"

	"github.com/pagetide/pagetide/engine"
)

func TestDelayStats(t *testing.T) {
	flight := func(delay int32) Flight { return Flight{Origin: "LAX", Delay: delay} }
	tests := []struct {
		name   string
		delays []int32
		want   Delays
	}{
		{"one", []int32{7}, Delays{Flights: 1, MeanDelay: 7, MaxDelay: 7}},
		{"all early", []int32{-9, -3, -6}, Delays{Flights: 3, MeanDelay: -6, MaxDelay: -3}},
		{"late is more than 15", []int32{15, 16, -1, 0}, Delays{Flights: 4, MeanDelay: 7.5, MaxDelay: 16, LateShare: 0.25}},
	}
	day := engine.Span{Start: 978307200e9, End: 978393600e9}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.want.Origin, tt.want.Day = "LAX", "2001-01-01"
			for split := range len(tt.delays) + 1 {
				var whole, a, b delayAcc
				for i, d := range tt.delays {
					delayStats{}.Add(&whole, flight(d))
					if i < split {
						delayStats{}.Add(&a, flight(d))
					} else {
						delayStats{}.Add(&b, flight(d))
					}
				}
				delayStats{}.Merge(&a, b)
				if a != whole {
					t.Errorf("merged after %d: %+v, want %+v", split, a, whole)
				}
				if got := (delayStats{}).Result("LAX", day, whole); got != tt.want {
					t.Errorf("Result = %+v, want %+v", got, tt.want)
				}
			}
		})
	}
}
