package engine

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/pagetide/pagetide/meta"
)

// Setting describes one name that [Options.Set] takes.
type Setting struct {
	Name    string
	Default string // as one would write it; empty: none
	Meaning string
}

// Settings lists all settings in the order in which they should be set: a strategy's name before its details.
func Settings() []Setting {
	doors := settingDoors()
	list := make([]Setting, len(doors))
	for i, d := range doors {
		list[i] = d.Setting
	}
	return list
}

// Set changes one setting by name. The names are Flink's where the meaning is the same, older ones included; durations are written as in
// "500 ms", "10 min" or "1m30s". The error names the setting and, for an unknown one, the nearest that exists.
//
// restart-strategy.type starts over from the defaults of the strategy it names, so it comes before that strategy's own
// settings.
func (o *Options) Set(key, value string) error {
	doors := settingDoors()
	for _, d := range doors {
		if d.Name != SettingName(key) {
			continue
		}
		if err := d.set(o, strings.TrimSpace(value)); err != nil {
			return fmt.Errorf("setting %s: %w", key, err)
		}
		return nil
	}
	return unknownSetting(key, doors)
}

// settingDoor is a setting with the way into the options.
type settingDoor struct {
	Setting
	set func(o *Options, value string) error
}

func settingDoors() []settingDoor {
	return append(engineDoors(), fixedDoors()...)
}

func engineDoors() []settingDoor {
	return []settingDoor{
		{Setting{"pipeline.name", "", "the job's name; given to NewJob, or by --name"}, setName},
		{Setting{"parallelism.default", "1", "subtasks per operator"},
			whole(1, meta.MaxKeyGroups, func(o *Options, n int) { o.Parallelism = n })},
		{Setting{"pipeline.max-parallelism", "128", "key groups; by default the checkpoint's, because another number rewrites all state"},
			whole(1, meta.MaxKeyGroups, func(o *Options, n int) { o.MaxParallelism = n })},
		{Setting{"state.backend", backendMmap, "where checkpoints keep pages: mmap (incremental), filesystem (whole) or memory (in _metadata)"}, setBackend},
		{Setting{"state.backend.memory.max-size", "5 mb", "bytes of pages in a checkpoint of the memory backend"},
			size(1, meta.MaxEmbedded, func(o *Options, n int64) { o.Checkpoints.Backend.MaxSize = n })},
		{Setting{"state.backend.mmap.memory-limit", "", "bytes of state in memory, of all subtasks together; what is above is read when needed"},
			size(leastShare, math.MaxInt64, func(o *Options, n int64) { o.Checkpoints.Backend.MemoryLimit = n })},
		{Setting{"state.checkpoints.dir", "", "the directory of checkpoint metadata"},
			directory(func(o *Options, v string) { o.Checkpoints.Dir = v })},
		{Setting{"execution.checkpointing.dir", "", "another name for state.checkpoints.dir"},
			directory(func(o *Options, v string) { o.Checkpoints.Dir = v })},
		{Setting{"state.backend.data-dir", "", "the directory of data files; by default that of the metadata"},
			directory(func(o *Options, v string) { o.Checkpoints.DataDir, o.Checkpoints.Backend.Dir = v, "" })},
		{Setting{"state.savepoints.dir", "", "the directory that savepoints go to, in a folder each"},
			directory(func(o *Options, v string) { o.Checkpoints.SavepointDir = v })},
		{Setting{"execution.checkpointing.interval", "0 s", "from the start of one checkpoint to the next, at least 10 ms; 0: no periodic ones"}, setInterval},
		{Setting{"execution.checkpointing.min-pause", "0 s", "from the end of one checkpoint to the start of the next"},
			span(0, func(o *Options, d time.Duration) { o.Checkpoints.MinPause = d })},
		{Setting{"execution.checkpointing.timeout", "10 min", "after which a checkpoint is given up"},
			span(time.Millisecond, func(o *Options, d time.Duration) { o.Checkpoints.Timeout = d })},
		{Setting{"execution.checkpointing.num-retained", "1", "completed checkpoints kept"},
			whole(1, math.MaxInt32, func(o *Options, n int) { o.Checkpoints.Retained = n })},
		{Setting{"execution.checkpointing.externalized-checkpoint-retention", string(DeleteOnCancellation),
			"what is kept when the job ends"}, setRetention},
		{Setting{"execution.checkpointing.tolerable-failed-checkpoints", "3", "failures in a row that do not fail the job"},
			whole(0, math.MaxInt32, func(o *Options, n int) { o.Checkpoints.Tolerable = noneIfZero(n) })},
		{Setting{"state.restore.verify", string(VerifyLazy), "when restored pages are verified: lazy, beside the records, or eager, before them"},
			setVerify},

		{Setting{"restart-strategy.type", "exponential-delay", "none, exponential-delay, fixed-delay or failure-rate; unset and without checkpoints: none"}, setStrategy},
		{Setting{"restart-strategy.exponential-delay.initial-backoff", "1 s", "the first delay"},
			exponential(span(time.Millisecond, func(o *Options, d time.Duration) { o.Restart.InitialDelay = d }))},
		{Setting{"restart-strategy.exponential-delay.max-backoff", "1 min", "the longest delay"},
			exponential(span(time.Millisecond, func(o *Options, d time.Duration) { o.Restart.MaxDelay = d }))},
		{Setting{"restart-strategy.exponential-delay.backoff-multiplier", "1.5", "by which the delay grows"},
			exponential(ratio(1, 1000, func(o *Options, f float64) { o.Restart.Multiplier = f }))},
		{Setting{"restart-strategy.exponential-delay.reset-backoff-threshold", "1 h", "a run of this length starts the delays over"},
			exponential(span(time.Millisecond, func(o *Options, d time.Duration) { o.Restart.ResetAfter = d }))},
		{Setting{"restart-strategy.exponential-delay.jitter-factor", "0.1", "share of the delay by which it varies"},
			exponential(ratio(0, 1, func(o *Options, f float64) { o.Restart.Jitter = noneIfZero(f) }))},
		{Setting{"restart-strategy.exponential-delay.attempts-before-reset-backoff", "infinite", "restarts in a row before the job fails"},
			exponential(attempts)},
		{Setting{"restart-strategy.fixed-delay.attempts", "1", "restarts in a row before the job fails"}, fixed(attempts)},
		{Setting{"restart-strategy.fixed-delay.delay", "1 s", "the delay before each"},
			fixed(span(time.Millisecond, func(o *Options, d time.Duration) { o.Restart.InitialDelay, o.Restart.MaxDelay = d, d }))},
		{Setting{"restart-strategy.failure-rate.max-failures-per-interval", "1", "restarts within the interval before the job fails"},
			rate(whole(1, math.MaxInt32, func(o *Options, n int) { o.Restart.Attempts = n }))},
		{Setting{"restart-strategy.failure-rate.failure-rate-interval", "1 min", "the interval in which restarts are counted"},
			rate(span(time.Millisecond, func(o *Options, d time.Duration) { o.Restart.Within = d }))},
		{Setting{"restart-strategy.failure-rate.delay", "1 s", "the delay before each"},
			rate(span(time.Millisecond, func(o *Options, d time.Duration) { o.Restart.InitialDelay, o.Restart.MaxDelay = d, d }))},
	}
}

// noneIfZero turns a zero that somebody asked for into "none": in Options zero means the default.
func noneIfZero[T int | float64](v T) T {
	if v == 0 {
		return -1
	}
	return v
}

func setName(*Options, string) error {
	return fmt.Errorf("the name is an argument of NewJob, not an option")
}

func setVerify(o *Options, v string) error {
	switch w := Verify(v); w {
	case VerifyLazy, VerifyEager:
		o.Restore.Verify = w
		return nil
	}
	return fmt.Errorf("%q is none of %s and %s", v, VerifyLazy, VerifyEager)
}

func directory(set func(*Options, string)) func(*Options, string) error {
	return func(o *Options, v string) error {
		if v == "" {
			return fmt.Errorf("want a directory, found nothing")
		}
		set(o, v)
		return nil
	}
}

func setRetention(o *Options, v string) error {
	switch r := Retention(strings.ToUpper(v)); r {
	case NoExternalized, DeleteOnCancellation, RetainOnCancellation:
		o.Checkpoints.Retention = r
		return nil
	}
	return fmt.Errorf("%q is none of %s, %s, %s", v, NoExternalized, DeleteOnCancellation, RetainOnCancellation)
}

func setStrategy(o *Options, v string) error {
	switch v {
	case "none", "off", "disable":
		o.Restart = Restart{None: true}
	case "exponential-delay", "exponentialdelay":
		o.Restart = Restart{InitialDelay: time.Second} // asked for, not the default
	case "failure-rate", "failurerate":
		o.Restart = failureRate()
	case "fixed-delay", "fixeddelay":
		o.Restart = Restart{Attempts: 1, InitialDelay: time.Second, MaxDelay: time.Second,
			Multiplier: 1, Jitter: -1, ResetAfter: math.MaxInt64}
	default:
		return fmt.Errorf("%q is none of none, exponential-delay, fixed-delay, failure-rate", v)
	}
	return nil
}

// fixedDelay recognises what setStrategy made of "fixed-delay".
func (r Restart) fixedDelay() bool {
	return r.Multiplier == 1 && r.Jitter < 0 && r.ResetAfter == math.MaxInt64
}

func exponential(set func(*Options, string) error) func(*Options, string) error {
	return func(o *Options, v string) error {
		if o.Restart.None || o.Restart.fixedDelay() || o.Restart.Within > 0 {
			return fmt.Errorf("restart-strategy.type is another strategy, so this has no effect")
		}
		return set(o, v)
	}
}

func fixed(set func(*Options, string) error) func(*Options, string) error {
	return func(o *Options, v string) error {
		if !o.Restart.fixedDelay() {
			return fmt.Errorf("restart-strategy.type is not fixed-delay, so this has no effect")
		}
		return set(o, v)
	}
}

func attempts(o *Options, v string) error {
	if v == "infinite" || v == strconv.Itoa(math.MaxInt32) {
		o.Restart.Attempts = 0
		return nil
	}
	return whole(1, math.MaxInt32-1, func(o *Options, n int) { o.Restart.Attempts = n })(o, v)
}

func whole(low, high int, set func(*Options, int)) func(*Options, string) error {
	return func(o *Options, v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n < low || n > high {
			return fmt.Errorf("%q: want a whole number from %d to %d", v, low, high)
		}
		set(o, n)
		return nil
	}
}

func ratio(low, high float64, set func(*Options, float64)) func(*Options, string) error {
	return func(o *Options, v string) error {
		f, err := strconv.ParseFloat(v, 64)
		if err != nil || !(low <= f && f <= high) { // a NaN fails both
			return fmt.Errorf("%q: want a number from %g to %g", v, low, high)
		}
		set(o, f)
		return nil
	}
}

func span(low time.Duration, set func(*Options, time.Duration)) func(*Options, string) error {
	return func(o *Options, v string) error {
		d, err := parseSpan(v)
		if err != nil {
			return err
		}
		if d < low {
			return fmt.Errorf("%q: want at least %v", v, low)
		}
		set(o, d)
		return nil
	}
}

// spanPattern is Flink's way to write a duration: one whole number and one unit.
var spanPattern = regexp.MustCompile(`^(\d+)\s*([a-zµ]+)$`)

var spanUnits = map[string]time.Duration{
	"d": 24 * time.Hour, "day": 24 * time.Hour,
	"h": time.Hour, "hour": time.Hour,
	"m": time.Minute, "min": time.Minute, "minute": time.Minute,
	"s": time.Second, "sec": time.Second, "second": time.Second,
	"ms": time.Millisecond, "milli": time.Millisecond, "millisecond": time.Millisecond,
	"us": time.Microsecond, "µs": time.Microsecond, "micro": time.Microsecond, "microsecond": time.Microsecond,
	"ns": time.Nanosecond, "nano": time.Nanosecond, "nanosecond": time.Nanosecond,
}

// parseSpan reads a duration as Go or as Flink writes it. A number without a unit is refused: Flink takes it for
// milliseconds, most readers for seconds.
func parseSpan(v string) (time.Duration, error) {
	if d, err := time.ParseDuration(v); err == nil {
		return d, nil
	}
	bad := fmt.Errorf("%q: want a duration with its unit, such as 500 ms, 10 min or 1m30s", v)
	m := spanPattern.FindStringSubmatch(strings.ToLower(v))
	if m == nil {
		return 0, bad
	}
	unit, ok := spanUnits[m[2]]
	if !ok {
		unit, ok = spanUnits[strings.TrimSuffix(m[2], "s")]
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if !ok || err != nil || n > math.MaxInt64/int64(unit) {
		return 0, bad
	}
	return time.Duration(n) * unit, nil
}

func unknownSetting(key string, doors []settingDoor) error {
	best, least := "", len(key)/2+1 // farther than that is no likeness
	for _, d := range doors {
		n := editDistance(key, d.Name)
		if key != "" && strings.HasSuffix(d.Name, "."+key) {
			n = 0 // only the prefix was left out
		}
		if n < least {
			best, least = d.Name, n
		}
	}
	if best == "" {
		return fmt.Errorf("unknown setting %q", key)
	}
	return fmt.Errorf("unknown setting %q; did you mean %s?", key, best)
}

// editDistance counts the bytes to insert, delete or replace to turn a into b.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j]+1, row[j+1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
