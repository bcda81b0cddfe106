package app

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pagetide/pagetide/engine"
)

func TestParseYAML(t *testing.T) {
	tests := map[string]struct{ in, want, err string }{
		"empty":        {"", "", ""},
		"comments":     {"# nothing\n", "", ""},
		"dotted":       {"parallelism.default: 2", "parallelism.default=2@1", ""},
		"nested":       {"parallelism:\n  default: 2", "parallelism.default=2@2", ""},
		"mixed":        {"execution.checkpointing:\n  min-pause: 10 ms\nstate.backend: mmap", "execution.checkpointing.min-pause=10 ms@2 state.backend=mmap@3", ""},
		"quoted":       {`a: "1 s"`, "a=1 s@1", ""},
		"value kept":   {"a: 0x10\nb: true", "a=0x10@1 b=true@2", ""},
		"no value":     {"a:\n", "", "f:1: a has no value"},
		"list":         {"a: [1, 2]", "", "f:1: a: want a single value"},
		"top list":     {"- a", "", "f:1: the file: want a single value"},
		"top scalar":   {"hello", "", "f:1: want settings"},
		"twice":        {"a.b: 1\na:\n  b: 2", "a.b=1@1", "f:3: a.b is there already, at line 1"},
		"alias":        {"a: &x {b: 1}\nc: *x", "a.b=1@1", "f:2: c: want a single value"},
		"two at once":  {"a:\nb: []", "", "f:1: a has no value\nf:2: b: want a single value"},
		"two docs":     {"a: 1\n---\nb: 2", "", "want one document"},
		"syntax":       {"a: [\n", "", "f: "},
		"odd key":      {"? [a]\n: 1", "", "want the name of a setting"},
		"later syntax": {"a: 1\nb: {", "", "f: "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			entries, err := parseYAML("f", []byte(tt.in))
			var got []string
			for _, e := range entries {
				got = append(got, e.key+"="+e.value+"@"+strings.TrimPrefix(e.origin, "f:"))
			}
			if text(err) != tt.err && (tt.err == "" || !strings.Contains(text(err), tt.err)) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("entries %q, want %q", got, tt.want)
			}
		})
	}
}

func FuzzParseYAML(f *testing.F) {
	for _, s := range []string{"a: 1", "a:\n  b: 2", "&a [*a]", "a: [", "? {}\n: 1"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		parseYAML("f", b) // returns, and does not panic
	})
}

func TestLoadConfig(t *testing.T) {
	w := newWorld(t)
	w.write("pagetide.yaml", "pipeline.name: fromfile\nparallelism.default: 2\nrestart-strategy:\n  fixed-delay.delay: 5 s\n  type: fixed-delay\n")
	tests := map[string]struct {
		flags runFlags
		want  string
	}{
		"file":   {runFlags{}, "fromfile 2 1s ./pagetide-data  5s"},
		"define": {runFlags{defines: []string{"parallelism.default=3", "execution.checkpointing.dir=d"}}, "fromfile 3 1s d  5s"},
		"name":   {runFlags{name: "n", named: true, defines: []string{"pipeline.name=m"}}, "n 2 1s ./pagetide-data  5s"},
		"retain": {runFlags{retain: true}, "fromfile 2 1s ./pagetide-data RETAIN_ON_CANCELLATION 5s"},
		"last":   {runFlags{defines: []string{"parallelism.default=x", "parallelism.default=4"}}, "fromfile 4 1s ./pagetide-data  5s"},
	}
	for name, tt := range tests {
		c, err := loadConfig(tt.flags, Job{Name: "job"})
		o := c.options
		got := fmt.Sprint(c.name, " ", o.Parallelism, " ", o.Checkpoints.Interval, " ", o.Checkpoints.Dir, " ", o.Checkpoints.Retention, " ", o.Restart.InitialDelay)
		if err != nil || got != tt.want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, tt.want)
		}
	}
	if c, err := loadConfig(runFlags{file: "/dev/null"}, Job{Name: "job"}); err != nil || c.name != "job" || c.options.Checkpoints.Retention != engine.RetainDefault {
		t.Errorf("without a file: %+v, %v", c, err)
	}
}
