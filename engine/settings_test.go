package engine

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

func TestSet(t *testing.T) {
	const interval, exp, fixed, rates = "execution.checkpointing.interval", "restart-strategy.exponential-delay.", "restart-strategy.fixed-delay.", "restart-strategy.failure-rate."
	const strategy = "restart-strategy.type"
	tests := map[string]struct {
		set  []string // key, value, key, value ...
		want func(Options) bool
	}{
		"parallelism":      {[]string{"parallelism.default", "4"}, func(o Options) bool { return o.Parallelism == 4 }},
		"key groups":       {[]string{"pipeline.max-parallelism", "4096"}, func(o Options) bool { return o.MaxParallelism == 4096 }},
		"backend":          {[]string{"state.backend", "mmap"}, func(o Options) bool { return o.Checkpoints.Backend == Mmap("") }},
		"memory backend":   {[]string{"state.backend", "memory", "state.backend.memory.max-size", "5 MB"}, func(o Options) bool { return o.Checkpoints.Backend == Memory() }},
		"files, whole":     {[]string{"state.backend", "filesystem"}, func(o Options) bool { return o.Checkpoints.Backend == Filesystem("") }},
		"size, binary":     {[]string{"state.backend.memory.max-size", "512KiB"}, func(o Options) bool { return o.Checkpoints.Backend.MaxSize == 512<<10 }},
		"memory limit":     {[]string{"state.backend.mmap.memory-limit", "2 gb"}, func(o Options) bool { return o.Checkpoints.Backend.MemoryLimit == 2<<30 }},
		"size, plain":      {[]string{"state.backend.memory.max-size", "100000"}, func(o Options) bool { return o.Checkpoints.Backend.MaxSize == 100_000 }},
		"dir":              {[]string{"state.checkpoints.dir", "d"}, func(o Options) bool { return o.Checkpoints.Dir == "d" }},
		"dir's other name": {[]string{"execution.checkpointing.dir", "d"}, func(o Options) bool { return o.Checkpoints.Dir == "d" }},
		"data dir":         {[]string{"state.backend.data-dir", "d"}, func(o Options) bool { return o.Checkpoints.DataDir == "d" }},
		"interval, Flink":  {[]string{interval, "10 min"}, func(o Options) bool { return o.Checkpoints.Interval == 10*time.Minute }},
		"interval, plural": {[]string{interval, "2 Hours"}, func(o Options) bool { return o.Checkpoints.Interval == 2*time.Hour }},
		"interval, days":   {[]string{interval, "1d"}, func(o Options) bool { return o.Checkpoints.Interval == 24*time.Hour }},
		"interval, ms":     {[]string{interval, "500 ms"}, func(o Options) bool { return o.Checkpoints.Interval == 500*time.Millisecond }},
		"interval, Go":     {[]string{interval, "1m30s"}, func(o Options) bool { return o.Checkpoints.Interval == 90*time.Second }},
		"interval, none":   {[]string{interval, "0"}, func(o Options) bool { return o.Checkpoints.Interval == 0 }},
		"spaces around":    {[]string{interval, " 1 s "}, func(o Options) bool { return o.Checkpoints.Interval == time.Second }},
		"tolerable":        {[]string{"execution.checkpointing.tolerable-failed-checkpoints", "5"}, func(o Options) bool { return o.Checkpoints.Tolerable == 5 }},
		"tolerable none":   {[]string{"execution.checkpointing.tolerable-failed-checkpoints", "0"}, func(o Options) bool { return o.Checkpoints.Tolerable < 0 }},
		"retained":         {[]string{"execution.checkpointing.num-retained", "3"}, func(o Options) bool { return o.Checkpoints.Retained == 3 }},
		"retention":        {[]string{"execution.checkpointing.externalized-checkpoint-retention", "retain_on_cancellation"}, func(o Options) bool { return o.Checkpoints.Retention == RetainOnCancellation }},
		"no restart":       {[]string{strategy, "none"}, func(o Options) bool { return o.Restart.None }},
		"exponential": {[]string{exp + "initial-backoff", "2 s", exp + "max-backoff", "1 h", exp + "backoff-multiplier", "2"}, func(o Options) bool {
			return o.Restart == Restart{InitialDelay: 2 * time.Second, MaxDelay: time.Hour, Multiplier: 2}
		}},
		"no jitter":            {[]string{exp + "jitter-factor", "0"}, func(o Options) bool { return o.Restart.Jitter < 0 }},
		"attempts":             {[]string{exp + "attempts-before-reset-backoff", "7"}, func(o Options) bool { return o.Restart.Attempts == 7 }},
		"attempts without end": {[]string{exp + "attempts-before-reset-backoff", "infinite"}, func(o Options) bool { return o.Restart.Attempts == 0 }},
		"fixed": {[]string{strategy, "fixed-delay", fixed + "delay", "3 s", fixed + "attempts", "4"}, func(o Options) bool {
			return o.Restart == Restart{Attempts: 4, InitialDelay: 3 * time.Second, MaxDelay: 3 * time.Second, Multiplier: 1, Jitter: -1, ResetAfter: math.MaxInt64}
		}},
		"failure rate, Flink's defaults": {[]string{strategy, "failure-rate"}, func(o Options) bool {
			return o.Restart == Restart{Attempts: 1, Within: time.Minute, InitialDelay: time.Second, MaxDelay: time.Second, Multiplier: 1, Jitter: -1}
		}},
		"failure rate": {[]string{"restart-strategy", "failurerate", rates + "max-failures-per-interval", "3", rates + "failure-rate-interval", "5 min", rates + "delay", "10 s"}, func(o Options) bool {
			return o.Restart == Restart{Attempts: 3, Within: 5 * time.Minute, InitialDelay: 10 * time.Second, MaxDelay: 10 * time.Second, Multiplier: 1, Jitter: -1}
		}},
		"strategies' other names": {[]string{strategy, "fixeddelay", strategy, "exponentialdelay", strategy, "off", strategy, "disable"}, func(o Options) bool { return o.Restart == Restart{None: true} }},
		"other names": {[]string{"state.backend.type", "filesystem", "state.checkpoints.num-retained", "2", "execution.checkpointing.savepoint-dir", "s"}, func(o Options) bool {
			return o.Checkpoints.Backend == Filesystem("") && o.Checkpoints.Retained == 2 && o.Checkpoints.SavepointDir == "s"
		}},
		"what is always so": {[]string{"execution.checkpointing.mode", "exactly_once", "execution.checkpointing.max-concurrent-checkpoints", "1", "execution.checkpointing.unaligned", "false",
			"execution.checkpointing.unaligned.enabled", "false", "execution.checkpointing.unaligned.forced", "false", "state.backend.incremental", "true", "execution.checkpointing.checkpoints-after-tasks-finish", "true"}, func(o Options) bool { return o.Restart == Restart{} && o.Checkpoints == Checkpoints{} }},
		"least interval":      {[]string{interval, "10 ms"}, func(o Options) bool { return o.Checkpoints.Interval == 10*time.Millisecond }},
		"back to exponential": {[]string{strategy, "fixed-delay", strategy, "exponential-delay"}, func(o Options) bool { return o.Restart == Restart{InitialDelay: time.Second} }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var o Options
			for i := 0; i < len(tt.set); i += 2 {
				if err := o.Set(tt.set[i], tt.set[i+1]); err != nil {
					t.Fatalf("Set(%q, %q) = %v", tt.set[i], tt.set[i+1], err)
				}
			}
			if !tt.want(o) {
				t.Errorf("after %q the options are %+v", tt.set, o)
			}
		})
	}
}

func TestSetRefuses(t *testing.T) {
	tests := []struct{ key, value, want string }{
		{"parallelism.defualt", "1", "did you mean parallelism.default?"},
		{"execution.checkpointing.intervall", "1 s", "did you mean execution.checkpointing.interval?"},
		{"interval", "1 s", "did you mean execution.checkpointing.interval?"},
		{"state.checkpoint.dir", "x", "did you mean state.checkpoints.dir?"},
		{"zzz", "1", `unknown setting "zzz"`},
		{"", "1", `unknown setting ""`},
		{"parallelism.default", "0", "whole number from 1 to 4096"},
		{"parallelism.default", "two", "setting parallelism.default"},
		{"pipeline.max-parallelism", "4097", "from 1 to 4096"},
		{"pipeline.name", "x", "NewJob"},
		{"state.backend", "rocksdb", "mmap, filesystem, memory"},
		{"state.backend.memory.max-size", "5 parsecs", "with its unit"},
		{"state.backend.memory.max-size", "99999999999 gb", "with its unit"},
		{"state.backend.mmap.memory-limit", "100 kb", "want 1048576 to"},
		{"state.backend.memory.max-size", "0", "1 to 50331648 bytes"},
		{"state.backend.memory.max-size", "49 mb", "1 to 50331648 bytes"},
		{"state.checkpoints.dir", " ", "want a directory"},
		{"execution.checkpointing.interval", "10", "with its unit"},
		{"execution.checkpointing.interval", "10 parsecs", "with its unit"},
		{"execution.checkpointing.interval", "9999999999 d", "with its unit"},
		{"execution.checkpointing.interval", "-1s", "at least"},
		{"execution.checkpointing.timeout", "0", "at least"},
		{"execution.checkpointing.num-retained", "0", "whole number"},
		{"execution.checkpointing.tolerable-failed-checkpoints", "-1", "whole number"},
		{"execution.checkpointing.externalized-checkpoint-retention", "KEEP", "DELETE_ON_CANCELLATION"},
		{"restart-strategy.failure-rate.delay", "1 s", "not failure-rate"},
		{"execution.checkpointing.mode", "AT_LEAST_ONCE", "always EXACTLY_ONCE, because"},
		{"execution.checkpointing.max-concurrent-checkpoints", "2", "always 1, because"},
		{"execution.checkpointing.unaligned.enabled", "true", "always false, because"},
		{"execution.checkpointing.unaligned", "true", "setting execution.checkpointing.unaligned: "},
		{"execution.checkpointing.checkpoints-after-tasks-finish", "false", "always true, because"},
		{"execution.checkpointing.interval", "9 ms", "at least 10ms, or 0"},
		{"restart-strategy.type", "never", "none of none"},
		{"restart-strategy.fixed-delay.delay", "1 s", "not fixed-delay"},
		{"restart-strategy.exponential-delay.backoff-multiplier", "NaN", "from 1 to"},
		{"restart-strategy.exponential-delay.jitter-factor", "1.5", "from 0 to 1"},
		{"restart-strategy.exponential-delay.attempts-before-reset-backoff", "0", "whole number"},
	}
	for _, tt := range tests {
		var o Options
		err := o.Set(tt.key, tt.value)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Set(%q, %q) = %v, want an error with %q", tt.key, tt.value, err, tt.want)
		}
		if o.Parallelism != 0 || o.Restart != (Restart{}) || o.Checkpoints != (Checkpoints{}) {
			t.Errorf("Set(%q, %q) failed and changed the options to %+v", tt.key, tt.value, o)
		}
	}
}

// Every default that the list shows is one that Set accepts.
func TestSettingsDefaults(t *testing.T) {
	var o Options
	for _, s := range Settings() {
		if s.Default == "" || strings.Contains(s.Name, "fixed-delay") || strings.Contains(s.Name, "failure-rate.") {
			continue
		}
		if err := o.Set(s.Name, s.Default); err != nil {
			t.Error(err)
		}
	}
}

func FuzzParseSpan(f *testing.F) {
	for _, s := range []string{"10 min", "500ms", "1m30s", "-3h", "9999999999 d", "1µs", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := parseSpan(s); err == nil && d < 0 && !strings.HasPrefix(s, "-") {
			t.Errorf("parseSpan(%q) = %v", s, d)
		}
	})
}

func ExampleOptions_Set() {
	var o Options
	fmt.Println(o.Set("execution.checkpointing.interval", "10 min"), o.Checkpoints.Interval)
	fmt.Println(o.Set("execution.checkpointing.intervall", "10 min"))
	// Output:
	// <nil> 10m0s
	// unknown setting "execution.checkpointing.intervall"; did you mean execution.checkpointing.interval?
}

func ExampleSettings() {
	s := Settings()[1]
	fmt.Printf("%s (default %s): %s\n", s.Name, s.Default, s.Meaning)
	// Output: parallelism.default (default 1): subtasks per operator
}

func ExampleSettingName() {
	fmt.Println(SettingName("restart-strategy"))
	fmt.Println(SettingName("parallelism.default"))
	// Output:
	// restart-strategy.type
	// parallelism.default
}
