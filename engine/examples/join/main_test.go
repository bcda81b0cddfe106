package main

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
)

func TestOrdersMeetTheirPayments(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	orders := []Order{{"a", 100, noon}, {"b", 70, noon.Add(time.Minute)}, {"c", 5, noon.Add(2 * time.Minute)}}
	payments := []Payment{
		{"c", 5, noon.Add(time.Minute)},      // a minute ahead: just in time
		{"a", 60, noon.Add(3 * time.Minute)}, // in part
		{"a", 40, noon.Add(10 * time.Minute)},
		{"b", 70, noon.Add(20 * time.Minute)}, // too late
	}
	want := []string{
		`{"Order":"a","Due":40,"Wait":180000000000}`,
		`{"Order":"a","Due":60,"Wait":600000000000}`,
		`{"Order":"c","Due":0,"Wait":-60000000000}`,
	}
	for _, p := range []int{1, 2} {
		t.Run(fmt.Sprintf("parallelism=%d", p), func(t *testing.T) {
			broker, job := newBroker(), engine.NewJob("match")
			graph(job, engine.SliceSource(orders...), engine.SliceSource(payments...), Topic[Match](broker, "matches", "match-out"))
			if err := job.Run(t.Context(), engine.Options{Parallelism: p}); err != nil {
				t.Fatal(err)
			}
			var rows []string
			for _, row := range broker.committed {
				rows = append(rows, string(row))
			}
			if slices.Sort(rows); !slices.Equal(rows, want) {
				t.Errorf("committed %q, want %q", rows, want)
			}
		})
	}
}
