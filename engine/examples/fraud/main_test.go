package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/enginetest"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func pay(card string, cents int64, after time.Duration) Payment {
	return Payment{Card: card, Cents: cents, At: noon.Add(after), Dealer: "x"}
}

type collected[T any] struct {
	mu   sync.Mutex
	rows []T
}

func (c *collected[T]) sink() engine.Sink[T] {
	return engine.SinkFunc(func(_ context.Context, batch []T) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.rows = append(c.rows, batch...)
		return nil
	})
}

func TestAlertsAndReviews(t *testing.T) {
	payments := []Payment{
		pay("a", 50, 0), pay("a", 900_00, 30*time.Second), // small, then large: an alert
		pay("b", 50, 0), pay("b", 900_00, 2*time.Minute), // too late for one
		pay("d", 50, 10*time.Minute), pay("d", 900_00, 80*time.Minute), // forgotten in between
	}
	for i := range 7 { // the sixth and seventh within a minute go to review
		payments = append(payments, pay("c", 20_00, 80*time.Minute+time.Duration(i)*time.Second))
	}
	slices.SortStableFunc(payments, func(a, b Payment) int { return a.At.Compare(b.At) })
	for _, p := range []int{1, 2} {
		t.Run(fmt.Sprintf("parallelism=%d", p), func(t *testing.T) {
			var alerts collected[Alert]
			var reviews collected[Payment]
			job := engine.NewJob("fraud")
			graph(job, engine.SliceSource(payments...), rules{large: 500_00}, alerts.sink(), reviews.sink())
			if err := job.Run(t.Context(), engine.Options{Parallelism: p}); err != nil {
				t.Fatal(err)
			}
			if want := []Alert{{"a", 50, 900_00}}; !slices.Equal(alerts.rows, want) {
				t.Errorf("alerts = %v, want %v", alerts.rows, want)
			}
			if len(reviews.rows) != 2 || reviews.rows[0].Card != "c" || reviews.rows[1].Card != "c" {
				t.Errorf("reviews = %v, want two of card c", reviews.rows)
			}
		})
	}
}

// The operator alone, with its state restored in the middle.
func TestOneCard(t *testing.T) {
	card := func(p Payment) string { return p.Card }
	h := enginetest.Process(t, card, rules{large: 500_00}.newFraud)
	push := func(p Payment) { t.Helper(); h.Push(p.At, p) }

	push(pay("a", 50, 0))
	h = h.Restart()
	push(pay("a", 900_00, 30*time.Second))
	h.Want(Alert{"a", 50, 900_00})

	for i := range 6 {
		push(pay("b", 20_00, time.Duration(i)*time.Second))
		h.Rescale(1 + i%3)
	}
	if got, want := enginetest.Side(h, review), []Payment{pay("b", 20_00, 5*time.Second)}; !slices.Equal(got, want) {
		t.Errorf("reviews %v, want %v", got, want)
	}

	h.Watermark(noon.Add(2 * time.Hour)) // both cards are forgotten
	push(pay("a", 900_00, 31*time.Second))
	h.Want(Alert{"a", 50, 900_00})
}

// The whole job, killed now and then.
func TestAlertsAfterKills(t *testing.T) {
	var payments []Payment
	var want []Alert
	for i := range 300 {
		at, card := time.Duration(i)*time.Second, fmt.Sprint("card", i%40)
		payments = append(payments, pay(card, 50, at), pay(card, 900_00, at+time.Second))
		want = append(want, Alert{card, 50, 900_00})
	}
	byCard := func(a, b Alert) int { return strings.Compare(a.Card, b.Card) }
	slices.SortFunc(want, byCard)
	for seed := range uint64(5) {
		var alerts enginetest.Sink[Alert]
		var reviews enginetest.Sink[Payment]
		enginetest.Run(t, func(job *engine.Job) {
			graph(job, engine.SliceSource(payments...), rules{large: 500_00}, &alerts, &reviews)
		}, enginetest.Seed(seed), enginetest.Kills(3))
		got := alerts.Rows()
		slices.SortFunc(got, byCard)
		if !slices.Equal(got, want) {
			t.Errorf("seed %d: %d alerts, want %d", seed, len(got), len(want))
		}
	}
}
