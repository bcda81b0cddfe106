package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter"
)

// configFile is read from the working directory if it is there.
const configFile = "pagetide.yaml"

const (
	settingName       = "pipeline.name"
	settingDir        = "state.checkpoints.dir"
	settingDataDir    = "state.backend.data-dir"
	settingSavepoints = "state.savepoints.dir"
	settingDirToo     = "execution.checkpointing.dir"
	settingRetention  = "execution.checkpointing.externalized-checkpoint-retention"
)

// config is what files and flags say about a run.
type config struct {
	name    string // of the job
	dir     string // of all jobs, as a path
	options engine.Options
}

// defaultSettings are the program's own, where they differ from the library's.
func defaultSettings() map[string]string {
	return map[string]string{
		settingDir:                         "./pagetide-data",
		"execution.checkpointing.interval": "1 s",
	}
}

// entry is one setting as it was given.
type entry struct {
	key, value string
	origin     string // for messages: "pagetide.yaml:3", "-D"
}

// loadConfig layers settings: the program's defaults, the file, -D, then the flags that are short for a setting.
func loadConfig(f runFlags, job Job) (config, error) {
	entries, fileErr := readConfig(f.file)
	defined, err := parseDefines(f.defines)
	if err != nil {
		return config{}, usage(err, "write -D key=value, as in -D parallelism.default=2")
	}
	entries = append(entries, defined...)
	if f.retain {
		entries = append(entries, entry{settingRetention, string(engine.RetainOnCancellation), "--retain"})
	}
	if f.named {
		entries = append(entries, entry{settingName, f.name, "--name"})
	}
	c := config{name: job.Name}
	err = c.apply(entries)
	switch {
	case err != nil:
		return config{}, usage(errors.Join(fileErr, err), "'help settings' lists them all")
	case fileErr != nil:
		return config{}, usage(fileErr, "")
	}
	if err := checkName(c.name); err != nil {
		return config{}, usage(err, "the name becomes a folder under the state directory")
	}
	if c.dir, err = c.directories(); err != nil {
		return config{}, usage(err, "")
	}
	return c, nil
}

// directories checks that the directories can be paths, and returns the one of checkpoints.
func (c *config) directories() (dir string, err error) {
	dir, err = parseDir(c.options.Checkpoints.Dir)
	if err != nil {
		return "", fmt.Errorf("setting %s: %w", settingDir, err)
	}
	for _, other := range [][2]string{
		{settingDataDir, c.options.Checkpoints.DataDir}, {settingSavepoints, c.options.Checkpoints.SavepointDir},
	} {
		if other[1] == "" {
			continue
		}
		if _, err := parseDir(other[1]); err != nil {
			return "", fmt.Errorf("setting %s: %w", other[0], err)
		}
	}
	return dir, nil
}

// parseDir is snapshotter.ParseDir, whose sentinels are about checkpoints: a name that is none has done nothing to them.
func parseDir(s string) (string, error) {
	dir, err := snapshotter.ParseDir(s)
	if err == nil {
		return dir, nil
	}
	text := err.Error()
	for _, about := range []error{meta.ErrIncompatible, meta.ErrNotFound} {
		text = strings.TrimSuffix(text, ": "+about.Error())
	}
	return "", errors.New(text)
}

// readConfig reads the file that was asked for, or the one in the working directory if there is one. With an error it
// returns what could be read, so that all mistakes can be told together.
func readConfig(name string) ([]entry, error) {
	asked := name != ""
	if !asked {
		name = configFile
	}
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) && !asked {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	return parseYAML(name, b)
}

func parseDefines(defines []string) ([]entry, error) {
	var entries []entry
	for _, d := range defines {
		key, value, ok := strings.Cut(d, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("-D %s: want key=value", d)
		}
		entries = append(entries, entry{strings.TrimSpace(key), value, "-D"})
	}
	return entries, nil
}

// apply sets the last entry of each key, in the engine's order: a strategy before its details. It returns all mistakes
// at once.
func (c *config) apply(entries []entry) error {
	last := map[string]entry{}
	for key, value := range defaultSettings() {
		last[key] = entry{key, value, "default"}
	}
	var mistakes []error
	for _, e := range entries {
		if e.key == settingDirToo {
			e.key = settingDir
		}
		last[engine.SettingName(e.key)] = e // one setting, so that the later of its names wins
	}
	for _, s := range engine.Settings() {
		e, ok := last[s.Name]
		delete(last, s.Name)
		switch {
		case !ok:
		case s.Name == settingName:
			c.name = e.value
		default:
			mistakes = append(mistakes, e.apply(&c.options))
		}
	}
	for _, e := range entries { // those left are unknown; in the order given
		if _, ok := last[e.key]; ok {
			delete(last, e.key)
			mistakes = append(mistakes, e.apply(&c.options))
		}
	}
	return errors.Join(mistakes...)
}

func (e entry) apply(o *engine.Options) error {
	err := o.Set(e.key, e.value)
	if err != nil && e.origin != "-D" {
		return fmt.Errorf("%s: %w", e.origin, err)
	}
	return err
}

func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("the job's name is empty")
	case strings.ContainsAny(name, `/\:`) || strings.HasPrefix(name, "."):
		return fmt.Errorf("job name %q: want a plain folder name", name)
	case strings.TrimSpace(name) != name || !utf8.ValidString(name):
		return fmt.Errorf("job name %q: want text without blanks around it", name)
	case len(name) > 200:
		return fmt.Errorf("job name of %d bytes: want at most 200", len(name))
	}
	for _, r := range name {
		if r < ' ' || r == 0x7f {
			return fmt.Errorf("job name %q: want no control characters", name)
		}
	}
	return nil
}
