package enginetest

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// place is a number of steps or calls to storage: half of the places are within the first sixteen.
func place(rnd *rand.Rand) int { return 1 + rnd.IntN(16<<rnd.IntN(7)) }

// draw decides what will happen in a life, and after how many steps.
func (l *life) draw() {
	w := l.w
	add := func(what string, do func(*life)) {
		l.events = append(l.events, event{place(w.rnd), do, what})
	}
	if w.kills > w.sum.Kills {
		if w.rnd.IntN(2) == 0 {
			add("a kill", func(l *life) { l.kill("between two steps") })
		} else {
			n := 1 + w.rnd.IntN(8<<w.rnd.IntN(7))
			l.killAt(n)
		}
	}
	for range w.rnd.IntN(3) {
		if w.faults > w.sum.Faults {
			if w.rnd.IntN(3) == 0 {
				add("storage", (*life).hangDisk)
			} else {
				add("storage", (*life).breakDisk)
			}
		}
	}
	if w.faults > w.badLives && w.rnd.IntN(3) > 0 {
		at := w.rnd.IntN(4) // most is read at the start
		if w.rnd.IntN(4) == 0 {
			at = place(w.rnd)
		}
		l.events = append(l.events, event{at, (*life).breakReads, "reads"})
	}
	for range w.rnd.IntN(4) {
		if w.others > 0 {
			w.others--
			add("a request", (*life).request)
		}
	}
	if w.savepoints > 0 && w.rnd.IntN(2) == 0 {
		w.savepoints--
		add("a savepoint", (*life).save)
	}
	if w.drains > 0 && w.rnd.IntN(2) == 0 {
		add("a drain", (*life).drain)
	}
	if w.rewinds > 0 {
		add("a savepoint", (*life).mark)
	}
	slices.SortStableFunc(l.events, func(a, b event) int { return cmp.Compare(a.step, b.step) })
}

// happens lets the next event happen if it is due.
func (l *life) happens() bool {
	if len(l.events) == 0 || l.steps < l.events[0].step {
		return false
	}
	e := l.events[0]
	l.events = l.events[1:]
	e.do(l)
	return true
}

// changing says whether a call to storage changes anything.
func changing(c vfs.Call) bool {
	switch c.Op {
	case "open", "read", "list", "lock", "close":
		return false
	}
	return true
}

// watchDisk notes what changes on the disk.
func (l *life) watchDisk() {
	l.disk.Fail(1, func(c vfs.Call) bool {
		if changing(c) {
			l.Note("", c.Op+" "+nameless(c.Name))
		}
		return false
	}, vfs.Failure{})
}

// nameless is the name of a file without the random number of its job.
func nameless(name string) string {
	base := path.Base(name)
	kind, rest, _ := strings.Cut(base, "-")
	switch {
	case strings.HasSuffix(base, ".delta"):
		return "data file " + rest
	case kind == "_home":
		return kind
	case strings.HasSuffix(base, ".tmp") && strings.HasPrefix(base, "."):
		return kind // a savepoint that is being made
	}
	return base
}

// killAt kills the process at a call to storage.
func (l *life) killAt(n int) {
	l.disk.Fail(n, func(c vfs.Call) bool {
		if !changing(c) {
			return false
		}
		if n--; n == 0 {
			l.die("at a call to storage")
		}
		return true
	}, vfs.Failure{Err: errPower, Sticky: true})
}

// breakDisk lets one of the next changes of the disk fail.
func (l *life) breakDisk() {
	w := l.w
	w.sum.Faults++
	n := 1 + w.rnd.IntN(8)
	how := vfs.Failure{Err: errDisk, Short: w.rnd.IntN(2) == 0, Drop: w.rnd.IntN(2) == 0}
	w.tell("call %d to storage from here on will fail", n)
	l.broken = true
	l.disk.Fail(n, func(c vfs.Call) bool {
		if !changing(c) {
			return false
		}
		if n--; n == 0 {
			l.Note("", "which fails")
		}
		return true
	}, how)
}

// hangDisk has one of the next changes of the disk take its time, or go on until the process is killed. Writes of data files are left
// out, and reads: other goroutines may wait for those on a mutex, and then virtual time does not move.
func (l *life) hangDisk() {
	w := l.w
	w.sum.Faults++
	n, d := 1+w.rnd.IntN(8), time.Millisecond<<w.rnd.IntN(11)
	if w.rnd.IntN(4) == 0 {
		d = 0
	}
	w.tell("call %d to storage from here on will hang", n)
	l.disk.Fail(n, func(c vfs.Call) bool {
		data := strings.HasSuffix(c.Name, ".delta") && (c.Op == "create" || c.Op == "write")
		return changing(c) && !data
	}, vfs.Failure{Hang: func(c vfs.Call) error { return l.hang(c, d) }})
}

// hang returns after some time, or when the process has been killed; 0 is for ever.
func (l *life) hang(c vfs.Call, d time.Duration) error {
	l.mu.Lock()
	if l.killed {
		l.mu.Unlock()
		return errPower
	}
	l.w.sum.Hangs++
	task := fmt.Sprintf("call %d that hangs, %s %s,", l.w.sum.Hangs, c.Op, nameless(c.Name))
	l.w.tell("    %s hangs", c.Op)
	if d == 0 && l.stuck == 0 {
		l.stuck = max(l.steps, 1)
	}
	l.mu.Unlock()
	var over <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		over = t.C
	}
	select {
	case <-over:
		return l.wait(task, "goes on", false)
	case <-l.ctx.Done():
		return errPower
	}
}

// badReads are places of the disk, one of two, that cannot be read as they are. What is known of the calls to storage of
// one step is only which there are, not their order: so a place is bad for all that happens in the step, and at the time, in
// which one is met first.
type badReads struct {
	what    string
	of      string // reads of the data files alone, or all
	how     vfs.Failure
	salt    uint64
	step    int             // which has met one; -1: none yet
	at      time.Time       // when
	met     map[string]bool // places, as they are told
	damaged bool            // they give what is wrong, and no error
}

// breakReads has places of the disk be bad.
func (l *life) breakReads() {
	w := l.w
	b := &badReads{salt: w.rnd.Uint64(), step: -1, met: map[string]bool{}}
	if w.rnd.IntN(2) == 0 {
		b.of = "data file"
	}
	switch w.rnd.IntN(4) {
	case 0:
		b.what, b.how, b.damaged = "are cut short", vfs.Failure{Err: io.EOF, Short: true, Sticky: true}, true
	case 1:
		b.what, b.how, b.damaged = "give wrong bits", vfs.Failure{Flip: true, Sticky: true}, true
	default:
		b.what, b.how = "fail", vfs.Failure{Err: errDisk, Sticky: true}
	}
	w.tell("reads from here on will be such that they %s %s", b.what, b.of)
	l.disk.Fail(1, func(c vfs.Call) bool { return l.meets(b, c) }, b.how)
}

// meets says whether a call comes upon a bad place.
func (l *life) meets(b *badReads, c vfs.Call) bool {
	switch {
	case changing(c), c.Op == "lock", c.Op == "close", (b.damaged || b.of != "") && c.Op != "read", !strings.HasPrefix(nameless(c.Name), b.of):
		return false
	}
	place := fmt.Sprintf("%s %s at %d", c.Op, nameless(c.Name), c.Offset)
	if (xxhash.Sum64String(place)^b.salt)%2 != 0 {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.killed || b.step >= 0 && (b.step != l.steps || !b.at.Equal(time.Now())) {
		return false
	}
	if b.step < 0 {
		l.bad = append(l.bad, b)
		l.w.badLives++
		l.w.sum.Faults++
	}
	b.step, b.at, b.met[place] = l.steps, time.Now(), true
	l.damaged = l.damaged || b.damaged
	return true
}

// tellReads tells of bad places, when the step that has met them is over.
func (l *life) tellReads() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.bad {
		l.w.sum.BadReads += len(b.met)
		for _, place := range slices.Sorted(maps.Keys(b.met)) {
			l.w.tell("    of the reads some %s: %s", b.what, place)
		}
	}
	l.bad = nil
}

// drain has somebody drain the job.
func (l *life) drain() {
	r := l.running
	if r == nil {
		return
	}
	l.w.drains--
	l.w.sum.Drains++
	l.asked++
	task := fmt.Sprintf("request %d", l.asked)
	l.w.tell("%s is to drain", task)
	go func() {
		err := r.Drain(l.ctx)
		l.Step(task, fmt.Sprintf("is served: drained, failed %t", err != nil))
	}()
}

// request has somebody ask something of the job.
func (l *life) request() {
	r := l.running
	if r == nil {
		return
	}
	l.asked++
	task := fmt.Sprintf("request %d", l.asked)
	switch l.w.rnd.IntN(5) {
	case 0:
		l.w.tell("%s is to stop", task)
		go func() {
			r.Stop(l.ctx)
			l.Step(task, "is served")
		}()
	case 1:
		l.w.tell("%s is to cancel", task)
		go func() {
			r.Cancel()
			l.Step(task, "is served")
		}()
	default:
		l.w.tell("%s is for a checkpoint", task)
		go func() {
			cp, err := r.Checkpoint(l.ctx)
			l.Step(task, fmt.Sprintf("is served: checkpoint %d, failed %t", cp.ID, err != nil))
		}()
	}
}
