package snapshotter

import (
	"errors"
	"math"
	"runtime"
	"testing"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

func TestParseDir(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("SKIPPED: written for slashes")
	}
	for in, want := range map[string]string{
		"state":                  "state",
		"/var/state":             "/var/state",
		"./a:b":                  "./a:b",
		`C:\state`:               `C:\state`, // one letter is a drive
		"file:///var/state":      "/var/state",
		"file:/var/state":        "/var/state",
		"file://localhost/a%20b": "/a b",
	} {
		if got, err := ParseDir(in); err != nil || got != want {
			t.Errorf("ParseDir(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"hdfs://host/a", "hdfs:/a", "s3://bucket/a", "s3a://b", "http://x", "file://host/a", "file:"} {
		if got, err := ParseDir(in); !errors.Is(err, meta.ErrIncompatible) {
			t.Errorf("ParseDir(%q) = %q, %v, want ErrIncompatible", in, got, err)
		}
	}
	fsys := vfs.NewMem()
	for _, o := range []Options{{FS: fsys}, {FS: fsys, DataDir: "s3://bucket"}} {
		path := "hdfs://host/a"
		if o.DataDir != "" {
			path = "/a"
		}
		if _, err := Open(path, o); err == nil {
			t.Errorf("Open(%q, %q) worked", path, o.DataDir)
		}
	}
	if names, _ := fsys.List("/"); len(names) > 0 {
		t.Errorf("a refused directory was made: %v", names)
	}
}

func TestDataNames(t *testing.T) {
	last := ""
	for _, h := range []dataHeader{{1, 1, 1}, {1, 1, 2}, {1, 2, 1}, {1, 16, 10}, {math.MaxUint64, math.MaxUint32, math.MaxUint64}} {
		name := dataName(h.job, h.attempt, h.checkpoint)
		if got, ok := parseDataName(name); !ok || got != h {
			t.Errorf("parseDataName(%q) = %v, %v", name, got, ok)
		}
		if name <= last {
			t.Errorf("%q does not sort after %q", name, last)
		}
		last = name
	}
	good := dataName(1, 1, 1)
	for _, bad := range []string{"", "x", good + "x", good[1:], good[:len(good)-6], "-" + good, good + ".delta"} {
		if _, ok := parseDataName(bad); ok {
			t.Errorf("parseDataName(%q) worked", bad)
		}
	}
	for name, want := range map[string]bool{"chk-1": true, "chk-18446744073709551615": true, "chk-0": false, "chk-01": false, "chk-": false, "chk-x": false, "chk--1": false, "chk-18446744073709551616": false} {
		if _, ok := parseChkName(name); ok != want {
			t.Errorf("parseChkName(%q) = %v", name, ok)
		}
	}
}
