package engine

// inputTime joins the watermarks of a task's inputs: the least of those that are neither idle nor at their end.
type inputTime struct {
	marks  []Time // never fall
	asleep []bool
}

func newInputTime(n int, start Time) inputTime {
	t := inputTime{marks: make([]Time, n), asleep: make([]bool, n)}
	for i := range t.marks {
		t.marks[i] = start
	}
	return t
}

func (t *inputTime) watermark(in int, w Time) Time {
	t.marks[in], t.asleep[in] = max(w, t.marks[in]), false
	return t.least()
}

func (t *inputTime) idle(in int) Time {
	t.asleep[in] = true
	return t.least()
}

// idles says that no input has anything to say about time for now.
func (t *inputTime) idles() bool {
	ended := true
	for i, m := range t.marks {
		if m == MaxTime {
			continue
		}
		if ended = false; !t.asleep[i] {
			return false
		}
	}
	return !ended
}

// least is the greatest of all that have not ended while these are idle: what it would be had they fallen asleep one
// after the other. One that is idle may go on, so only when all have ended does time.
func (t *inputTime) least() Time {
	least, greatest := MaxTime, MinTime
	for i, m := range t.marks {
		if m == MaxTime {
			continue
		}
		greatest = max(greatest, m)
		if !t.asleep[i] {
			least = min(least, m)
		}
	}
	if least == MaxTime && t.idles() {
		return greatest
	}
	return least
}
