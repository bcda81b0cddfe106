package engine

import (
	"fmt"
	"strings"
	"time"
)

// otherNames are further names that Flink has, or had, for a setting.
var otherNames = map[string]string{
	"restart-strategy":                                               "restart-strategy.type",
	"state.backend.type":                                             "state.backend",
	"state.checkpoints.num-retained":                                 "execution.checkpointing.num-retained",
	"execution.checkpointing.savepoint-dir":                          "state.savepoints.dir",
	"state.backend.incremental":                                      "execution.checkpointing.incremental",
	"execution.checkpointing.unaligned":                              "execution.checkpointing.unaligned.enabled",
	"execution.checkpointing.checkpoints-after-tasks-finish.enabled": "execution.checkpointing.checkpoints-after-tasks-finish",
}

// SettingName gives the name under which [Settings] lists what a key sets: Flink has several for some. Any other key is
// returned as it is.
func SettingName(key string) string { return orDefault(otherNames[key], key) }

// fixedDoors are settings of Flink that have one meaning here. To ask for that is right, to ask for another is not.
func fixedDoors() []settingDoor {
	const prefix = "execution.checkpointing."
	return []settingDoor{
		{Setting{prefix + "mode", "EXACTLY_ONCE", "the only one: a sink may be at least once, the state is not"},
			only("EXACTLY_ONCE", "inside one process no barrier waits long enough for records to be counted twice")},
		{Setting{prefix + "max-concurrent-checkpoints", "1", "the only number"},
			only("1", "the outcome of a checkpoint is known before the next one begins")},
		{Setting{prefix + "unaligned.enabled", "false", "the only value: barriers do not overtake records"},
			only("false", "the queues between tasks are short, so a barrier is never far behind")},
		{Setting{prefix + "unaligned.forced", "false", "the only value, as for unaligned.enabled"},
			only("false", "the queues between tasks are short, so a barrier is never far behind")},
		{Setting{prefix + "incremental", "true", "the only value: what state.backend mmap writes"},
			only("true", "state.backend mmap writes what has changed; filesystem writes all")},
		{Setting{prefix + "checkpoints-after-tasks-finish", "true", "the only value: a last checkpoint is taken when the input ends"},
			only("true", "without the last checkpoint the sinks could not commit what they wrote")},
	}
}

// only takes one value and says why there is no other.
func only(value, why string) func(*Options, string) error {
	return func(_ *Options, v string) error {
		if strings.EqualFold(v, value) {
			return nil
		}
		return fmt.Errorf("%q: here it is always %s, because %s", v, value, why)
	}
}

// leastInterval is Flink's, so that a job's settings fit there. Options.Checkpoints takes any.
const leastInterval = 10 * time.Millisecond

func setInterval(o *Options, v string) error {
	d, err := parseSpan(v)
	if err != nil {
		return err
	}
	if d != 0 && d < leastInterval {
		return fmt.Errorf("%q: want at least %v, or 0 for none", v, leastInterval)
	}
	o.Checkpoints.Interval = d
	return nil
}

// failureRate is the strategy of that name, with Flink's defaults.
func failureRate() Restart {
	return Restart{Attempts: 1, Within: time.Minute, InitialDelay: time.Second, MaxDelay: time.Second, Multiplier: 1, Jitter: -1}
}

func rate(set func(*Options, string) error) func(*Options, string) error {
	return func(o *Options, v string) error {
		if o.Restart.Within == 0 {
			return fmt.Errorf("restart-strategy.type is not failure-rate, so this has no effect")
		}
		return set(o, v)
	}
}
