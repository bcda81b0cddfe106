package enginetest_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/enginetest"
)

// pairs hands numbers on two by two.
func pairs(s *engine.Setup) engine.EachFunc[int, string] {
	waiting := engine.NewOperatorList[int64](s, "waiting")
	return func(ctx *engine.Context, n int, out engine.Out[string]) error {
		if n < 0 {
			return errNegative
		}
		if waiting.Append(ctx, int64(n)); waiting.Len(ctx) == 2 {
			out.Emit(fmt.Sprint(slices.Collect(waiting.All(ctx))))
			waiting.Clear(ctx)
		}
		return nil
	}
}

// limited counts the numbers up to a limit by their last digit, and tells of those above. Limits are broadcast.
type limited struct {
	n     engine.Cell[int64]
	limit engine.BroadcastState[string, int64]
}

func newLimited(s *engine.Setup) *limited {
	return &limited{engine.NewCell[int64](s, "n"), engine.NewBroadcastState[string, int64](s, "limit")}
}

func (l *limited) OnRecord(ctx *engine.Context, digit int, n int, out engine.Out[string]) error {
	if most, ok := l.limit.Get(ctx, "most"); ok && int64(n) > most {
		out.Emit(fmt.Sprintf("%d is above %d, after %d that end in %d", n, most, *l.n.Ref(ctx), digit))
		return nil
	}
	*l.n.Ref(ctx)++
	return nil
}

func (l *limited) OnBroadcast(ctx *engine.Context, most int64, _ engine.Out[string]) error {
	if most < 0 {
		return errNegative
	}
	l.limit.Put(ctx, "most", most)
	return nil
}

// eachLimited is limited without keys.
type eachLimited struct{ *limited }

func newEachLimited(s *engine.Setup) eachLimited {
	return eachLimited{&limited{limit: engine.NewBroadcastState[string, int64](s, "limit")}}
}

func (l eachLimited) OnRecord(ctx *engine.Context, n int, out engine.Out[string]) error {
	if most, ok := l.limit.Get(ctx, "most"); ok && int64(n) > most {
		out.Emit(fmt.Sprintf("%d is above %d", n, most))
	}
	return nil
}

func ExampleProcessEach() {
	defer t.end()
	h := enginetest.ProcessEach(t, pairs)
	h.Push(noon, 1)
	h.Push(noon, 2)
	h.Push(noon, 3)
	fmt.Println(h.Out())
	h = h.Restart() // what waits is part of the checkpoint
	h.Push(noon, 4)
	fmt.Println(h.Out())
	// Output:
	// [[1 2]]
	// [[1 2] [3 4]]
}

// Left are the records, right are the rules.
func ExampleProcessBroadcast() {
	defer t.end()
	h := enginetest.ProcessBroadcast(t, lastDigit, newLimited)
	h.PushLeft(noon, 13)
	h.PushRight(noon, 10)
	h = h.Rescale(4) // every subtask has the rule
	h.PushLeft(noon, 23)
	h.PushLeft(noon, 14)
	fmt.Println(h.Out())
	// Output:
	// [23 is above 10, after 1 that end in 3 14 is above 10, after 0 that end in 4]
}

func ExampleProcessEachBroadcast() {
	defer t.end()
	h := enginetest.ProcessEachBroadcast(t, newEachLimited)
	h.PushLeft(noon, 13)
	h.PushRight(noon, 10)
	h = h.Rescale(2)
	h.PushLeft(noon, 23)
	h.PushLeft(noon, 14)
	fmt.Println(h.Out())
	// Output:
	// [23 is above 10 14 is above 10]
}

// TestProcessEachDoor: after a rescale each subtask has its part of the list, and gets its part of the records.
func TestProcessEachDoor(t *testing.T) {
	h := enginetest.ProcessEach(t, pairs)
	h.Push(noon, 1)
	if err := h.PushError(noon, -1); err == nil {
		t.Error("a negative number was taken")
	}
	h.Rescale(2)
	for i := range 4 {
		h.Push(noon, 10+i)
	}
	h.Rescale(4).Rescale(1).Push(noon, 20)
	turns := enginetest.ProcessEach(t, pairs).Rescale(4)
	for n := range 4 { // one for each subtask
		turns.Push(noon, n)
	}
	turns.Want()
	if n := len(h.Out()); n != 3 {
		t.Errorf("%d pairs of 6 numbers: %q", n, h.Out())
	}
}

// TestBroadcastDoors: rules of before and after reach all subtasks, with and without keys; a bad one is named and taken back.
func TestBroadcastDoors(t *testing.T) {
	keyed, each := enginetest.ProcessBroadcast(t, lastDigit, newLimited), enginetest.ProcessEachBroadcast(t, newEachLimited)
	var wantKeyed, wantEach []string
	for round, parallelism := range []int{1, 4, 2} {
		keyed.Rescale(parallelism)
		each.Rescale(parallelism)
		most := int64(10 * (round + 1))
		keyed.PushRight(noon, most)
		each.PushRight(noon, most)
		for _, h := range []*enginetest.Harness2[int, int64, string]{keyed, each} {
			if err := h.PushRightError(noon, -1); err == nil {
				t.Error("a negative limit was taken")
			}
		}
		for digit := range 8 {
			n := 100 + digit
			keyed.PushLeft(noon, digit)
			keyed.PushLeft(noon, n)
			each.PushLeft(noon, n)
			wantKeyed = append(wantKeyed, fmt.Sprintf("%d is above %d, after %d that end in %d", n, most, round+1, digit))
			wantEach = append(wantEach, fmt.Sprintf("%d is above %d", n, most))
		}
	}
	keyed.Want(wantKeyed...)
	each.Want(wantEach...)
}
