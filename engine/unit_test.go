package engine

import (
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/pagetide/pagetide/meta"
)

func TestDelays(t *testing.T) {
	fail := errors.New("failed")
	t0 := time.Unix(1e9, 0)
	o := Options{Checkpoints: Checkpoints{Interval: time.Minute}}.withDefaults().Restart
	with := func(change func(*Restart)) Restart {
		r := o
		r.Jitter = -1
		change(&r)
		return r
	}
	tests := map[string]struct {
		o    Restart
		ran  time.Duration // of each attempt
		want []time.Duration
	}{
		"exponential": {with(func(r *Restart) { r.Multiplier = 2 }), 0,
			[]time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second, time.Minute, time.Minute}},
		"starts over":      {with(func(r *Restart) { r.ResetAfter = time.Hour }), time.Hour, []time.Duration{time.Second, time.Second}},
		"fixed":            {with(func(r *Restart) { r.Multiplier = 1 }), 0, []time.Duration{time.Second, time.Second}},
		"no more than max": {with(func(r *Restart) { r.InitialDelay, r.MaxDelay = time.Hour, time.Second }), 0, []time.Duration{time.Second, time.Second}},
		"huge": {with(func(r *Restart) { r.InitialDelay, r.MaxDelay, r.Multiplier = math.MaxInt64/2, math.MaxInt64, 1000 }), 0,
			[]time.Duration{math.MaxInt64 / 2, math.MaxInt64, math.MaxInt64}},
		"attempts": {with(func(r *Restart) { r.Attempts = 2 }), 0, []time.Duration{time.Second, 1500 * time.Millisecond, -1}},
		"attempts start over": {with(func(r *Restart) { r.Attempts, r.ResetAfter = 1, time.Hour }), time.Hour,
			[]time.Duration{time.Second, time.Second, time.Second}},
		"too often": {with(func(r *Restart) { r.Attempts, r.Within, r.Multiplier = 2, 10*time.Second, 1 }), 4 * time.Second,
			[]time.Duration{time.Second, time.Second, -1}},
		"not too often": {with(func(r *Restart) { r.Attempts, r.Within, r.Multiplier = 2, 10*time.Second, 1 }), 5 * time.Second,
			[]time.Duration{time.Second, time.Second, time.Second, time.Second, time.Second}},
		"none": {with(func(r *Restart) { r.None = true }), 0, []time.Duration{-1}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := &restarts{o: tt.o}
			now := t0
			for i, want := range tt.want {
				p.started(now)
				now = now.Add(tt.ran)
				got, end := p.after(now, fail)
				if end != nil {
					got = -1
				}
				if got != want {
					t.Fatalf("delay %d = %v (%v), want %v", i, got, end, want)
				}
				now = now.Add(got)
			}
		})
	}
}

func TestJitterStaysInItsShare(t *testing.T) {
	o := Options{Checkpoints: Checkpoints{Interval: time.Minute}}.withDefaults().Restart
	o.Jitter, o.InitialDelay = 0.5, 40*time.Second
	for range 1000 {
		p := &restarts{o: o}
		d, err := p.after(time.Unix(1e9, 0), errors.New("failed"))
		if err != nil || d < 20*time.Second || d > time.Minute {
			t.Fatalf("delay %v (%v), want 20 s to 1 min", d, err)
		}
	}
}

func TestPoisonCount(t *testing.T) {
	at := func(uid, record string) error {
		return &OperatorError{UID: uid, Record: record, Err: errors.New("bad")}
	}
	call := &OperatorError{UID: "a", Record: "1", Err: errors.New("down"), called: true}
	tests := map[string]struct {
		fails  []error
		poison bool
	}{
		"three":           {[]error{at("a", "1"), at("a", "1"), at("a", "1")}, true},
		"two":             {[]error{at("a", "1"), at("a", "1")}, false},
		"another record":  {[]error{at("a", "1"), at("a", "1"), at("a", "2"), at("a", "1")}, false},
		"another uid":     {[]error{at("a", "1"), at("a", "1"), at("b", "1"), at("a", "1")}, false},
		"no record":       {[]error{at("a", ""), at("a", ""), at("a", "")}, false},
		"others between":  {[]error{at("a", "1"), at("a", "1"), errors.New("net"), at("a", "1")}, false},
		"calls":           {[]error{call, call, call, call}, false},
		"call between":    {[]error{at("a", "1"), at("a", "1"), call, at("a", "1")}, false},
		"wrapped":         {[]error{at("a", "1"), errors.Join(at("a", "1")), at("a", "1")}, true},
		"late, but three": {[]error{at("a", "2"), at("a", "1"), at("a", "1"), at("a", "1")}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := &restarts{o: Options{Checkpoints: Checkpoints{Interval: time.Minute}}.withDefaults().Restart}
			var end error
			for _, err := range tt.fails {
				_, end = p.after(time.Unix(1e9, 0), err)
			}
			if errors.Is(end, ErrPoison) != tt.poison {
				t.Errorf("after = %v, want poison %t", end, tt.poison)
			}
		})
	}
}

func TestInputTime(t *testing.T) {
	const idle = MinTime + 1 // stands for an idle message
	type step struct {
		in   int
		w    Time
		want Time
	}
	tests := map[string][]step{
		"the least":              {{0, 10, 5}, {1, 7, 7}, {1, 12, 10}, {0, 20, 12}},
		"never falls":            {{0, 10, 5}, {1, 10, 10}, {1, 3, 10}},
		"idle does not count":    {{0, 10, 5}, {1, idle, 10}, {0, 30, 30}},
		"wakes where it was":     {{0, 10, 5}, {1, idle, 10}, {1, 5, 5}},
		"all idle: it stands":    {{0, idle, 5}, {1, idle, 5}},
		"all idle: the greatest": {{0, 9, 5}, {1, idle, 9}, {0, idle, 9}, {1, 7, 7}, {1, 12, 12}, {1, idle, 12}},
		"idle, then the other":   {{0, idle, 5}, {1, 50, 50}},
		"ended, the other idle":  {{0, 9, 5}, {1, MaxTime, 9}, {0, idle, 9}, {0, 12, 12}, {0, MaxTime, MaxTime}},
		"idle, the other ended":  {{0, 9, 5}, {0, idle, 5}, {1, MaxTime, 9}, {0, 12, 12}},
		"the end of all inputs":  {{0, MaxTime, 5}, {1, MaxTime, MaxTime}},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			it := newInputTime(2, 5)
			for i, s := range steps {
				move := it.watermark
				if s.w == idle {
					move = func(in int, _ Time) Time { return it.idle(in) }
				}
				got := move(s.in, s.w)
				if got != s.want {
					t.Errorf("step %d: %v, want %v", i, got, s.want)
				}
			}
		})
	}
}

func TestWindowEdges(t *testing.T) {
	const day = Time(24 * time.Hour)
	tests := map[string]struct {
		at   Time
		size time.Duration
		want Span
		ok   bool
	}{
		"start":             {day, 24 * time.Hour, Span{day, 2 * day}, true},
		"last instant":      {2*day - 1, 24 * time.Hour, Span{day, 2 * day}, true},
		"zero":              {0, time.Second, Span{0, Time(time.Second)}, true},
		"before 1970":       {-1, time.Second, Span{-Time(time.Second), 0}, true},
		"start before 1970": {-Time(time.Second), time.Second, Span{-Time(time.Second), 0}, true},
		"one nanosecond":    {-7, 1, Span{-7, -6}, true},
		"last nanosecond":   {MaxTime - 2, 1, Span{MaxTime - 2, MaxTime - 1}, true},
		"end saturates":     {MaxTime - 1, time.Hour, Span{}, false},
		"start saturates":   {MinTime + 1, time.Hour, Span{}, false},
		"size of all time":  {1, math.MaxInt64, Span{}, false},
		"negative, of all":  {-1, math.MaxInt64, Span{-math.MaxInt64, 0}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w, ok := Tumbling(tt.size).window(tt.at)
			if ok != tt.ok || ok && w != tt.want {
				t.Errorf("window(%d) = %v, %t; want %v, %t", tt.at, w, ok, tt.want, tt.ok)
			}
			if ok && (w.Start > tt.at || w.End <= tt.at || w.End.Add(-tt.size) != w.Start) {
				t.Errorf("window %v does not hold %d or is not told by its end", w, tt.at)
			}
		})
	}
}

// TestGroupsMeet: every key group has one owner, for every parallelism, and the ranges agree with the routing.
func TestGroupsMeet(t *testing.T) {
	for _, groups := range []int{1, 2, 7, 128, 4096} {
		for p := 1; p <= min(groups, 130); p++ {
			next := 0
			for s := range p {
				first, end := groupsOf(s, groups, p)
				if first != next {
					t.Fatalf("groups %d, parallelism %d: subtask %d begins at %d, want %d", groups, p, s, first, next)
				}
				for g := first; g < end; g++ {
					if got := subtaskOf(meta.KeyGroup(g), groups, p); got != s {
						t.Fatalf("groups %d, parallelism %d: group %d goes to %d, is owned by %d", groups, p, g, got, s)
					}
				}
				next = end
			}
			if next != groups {
				t.Fatalf("groups %d, parallelism %d: %d are owned", groups, p, next)
			}
		}
	}
}

func TestSchedule(t *testing.T) {
	t0 := time.Unix(1e9, 0)
	tests := map[string]struct {
		s    schedule
		want time.Duration // from t0; negative: never
	}{
		"none":     {schedule{lastStart: t0, lastEnd: t0}, -1},
		"interval": {schedule{interval: time.Minute, lastStart: t0, lastEnd: t0.Add(time.Second)}, time.Minute},
		"pause":    {schedule{interval: time.Minute, minPause: time.Minute, lastStart: t0, lastEnd: t0.Add(time.Second)}, 61 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			at, ok := tt.s.due()
			if ok != (tt.want >= 0) || ok && at.Sub(t0) != tt.want {
				t.Errorf("due = %v, %t; want %v", at.Sub(t0), ok, tt.want)
			}
		})
	}
}

func TestTimes(t *testing.T) {
	if got := TimeOf(time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC)); got != MaxTime {
		t.Errorf("2300 = %v", got)
	}
	if got := TimeOf(time.Time{}); got != MinTime {
		t.Errorf("year 1 = %v", got)
	}
	at := time.Date(1969, 12, 31, 23, 59, 59, 999, time.UTC)
	if got := TimeOf(at).UTC(); !got.Equal(at) {
		t.Errorf("%v became %v", at, got)
	}
	for _, tt := range []struct {
		at   Time
		d    time.Duration
		want Time
	}{{MaxTime - 1, 2, MaxTime}, {MinTime + 1, -2, MinTime}, {5, -7, -2}, {MaxTime, -1, MaxTime - 1}} {
		if got := tt.at.Add(tt.d); got != tt.want {
			t.Errorf("%d.Add(%d) = %d, want %d", tt.at, tt.d, got, tt.want)
		}
	}
	if MaxTime.Sub(MinTime) != math.MaxInt64 || MinTime.Sub(MaxTime) != math.MinInt64 || Time(7).Sub(9) != -2 {
		t.Error("Sub is wrong at the ends of the range")
	}
}

// A checkpoint has the watermarks of subtasks only if they differ.
func TestSubtaskWatermarks(t *testing.T) {
	n := &node{}
	c := &coordinator{a: &attempt{layout: layout{of: map[*node]*taskPlan{n: {subtasks: 3}}}, keyGroups: 128}}
	for _, tt := range []struct {
		marks []Time // by subtask
		least int64
		want  []meta.GroupWatermark
	}{
		{[]Time{5, 5, 5}, 5, nil},
		{[]Time{5, 7, 7}, 5, []meta.GroupWatermark{{First: 0, Time: 5}, {First: 43, Time: 7}}},
		{[]Time{7, 7, 5}, 5, []meta.GroupWatermark{{First: 0, Time: 7}, {First: 86, Time: 5}}},
		{[]Time{7, 5, 7}, 5, []meta.GroupWatermark{{First: 0, Time: 7}, {First: 43, Time: 5}, {First: 86, Time: 7}}},
	} {
		r := &round{}
		for i := range tt.marks {
			i = len(tt.marks) - 1 - i // in any order
			r.acks = append(r.acks, &ack{subtask: i, watermarks: map[*node]Time{n: tt.marks[i]}})
		}
		if least, got := c.subtaskWatermarks(r, n); least != tt.least || !slices.Equal(got, tt.want) {
			t.Errorf("%v: %d %v, want %d %v", tt.marks, least, got, tt.least, tt.want)
		}
	}
}

// TestRestartDefault: what would begin anew each time does not restart unless it is told to.
func TestRestartDefault(t *testing.T) {
	for name, tt := range map[string]struct {
		o    Options
		none bool
	}{
		"nothing said":      {Options{}, true},
		"an interval":       {Options{Checkpoints: Checkpoints{Interval: time.Second}}, false},
		"a directory":       {Options{Checkpoints: Checkpoints{Dir: "state"}}, false},
		"said all the same": {Options{Restart: Restart{Attempts: 1}}, false},
	} {
		if got := tt.o.withDefaults().withDefaults().Restart.None; got != tt.none {
			t.Errorf("%s: none %t, want %t", name, got, tt.none)
		}
	}
}
