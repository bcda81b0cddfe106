package app

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pagetide/pagetide/meta"
)

func TestInspectAndVerify(t *testing.T) {
	w := newWorld(t)
	w.leaveBehind("endless", "--rate", "7")
	path := w.keptPath()

	for _, named := range []string{path, filepath.Dir(path), chk} {
		w.expect(exitDone, "", "inspect", named)
		for _, want := range []string{"of job endless", path, "--rate=7", "sources", "all"} {
			if !strings.Contains(w.stdout.String(), want) {
				t.Errorf("inspect %s lacks %q:\n%s", named, want, w.stdout)
			}
		}
		w.expect(exitDone, "", "verify", named)
		if !strings.Contains(w.stdout.String(), path+" is intact") {
			t.Errorf("verify %s: %s", named, w.stdout)
		}
	}
	w.expect(exitDone, "", "inspect", "--json", path)
	var seen inspection
	if err := json.Unmarshal([]byte(w.stdout.String()), &seen); err != nil || seen.Job != "endless" || len(seen.Splits) != 1 {
		t.Errorf("inspect --json: %v, %+v", err, seen)
	}

	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(whole); at += len(whole)/20 + 1 {
		bad := append([]byte{}, whole...)
		bad[at] ^= 0x40
		w.write(path, string(bad))
		w.expect(exitCheckpoint, path, "verify", path)
		w.expect(exitCheckpoint, path, "run", "-s", path, "endless")
	}
	w.expect(exitCheckpoint, "", "verify", "--json", path)
	var found verification
	if err := json.Unmarshal([]byte(w.stdout.String()), &found); err != nil || found.Intact || found.File != path || found.Offset == nil {
		t.Errorf("verify --json: %v, %s", err, w.stdout)
	}
	w.write(path, string(whole[:len(whole)-1]))
	w.expect(exitCheckpoint, "damaged", "inspect", path)
}

// Data files may lie apart; a damaged one is named with the place, a missing one with the places tried.
func TestDataFiles(t *testing.T) {
	w := newWorld(t)
	stop := func() {
		w.stdout.until(3, `"event":"checkpoint"`)
		w.signals <- syscall.SIGTERM
	}
	apart := []string{"-D", "state.backend.data-dir=apart", "-D", "execution.checkpointing.interval=20ms"}
	if code := w.during(stop, append(apart, "keyed")...); code != exitDone {
		t.Fatalf("exit %d:\n%s", code, w.stderr)
	}
	path := w.keptPath()
	if want := path + " -D state.backend.data-dir=apart -D execution.checkpointing.interval=20ms keyed"; !strings.HasSuffix(w.lastLine(), want) {
		t.Errorf("last line %q, want %q", w.lastLine(), want)
	}
	w.expect(exitDone, "", append([]string{"verify", path}, apart...)...)
	w.expect(exitDone, "", append([]string{"inspect", path}, apart...)...)
	for _, want := range []string{"operators", "count", "window", "states", "index", "HELD BY", "in all, reading"} {
		if !strings.Contains(w.stdout.String(), want) {
			t.Errorf("inspect lacks %q:\n%s", want, w.stdout)
		}
	}
	const found = "hint: data files that lie elsewhere are found in DIR/keyed with -D state.backend.data-dir=DIR"
	for _, args := range []string{"verify " + path, "inspect " + path, "run -s " + path + " keyed", "run -s latest keyed"} {
		w.expect(exitCheckpoint, ".delta", strings.Fields(args)...)
		w.expect(exitCheckpoint, found, strings.Fields(args)...)
	}
	w.expect(exitCheckpoint, found, "run", "--resume", "keyed") // which is not "there is none": a fresh start would delete it
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}

	files, _ := filepath.Glob("apart/keyed/*.delta")
	if len(files) == 0 {
		t.Fatal("no data files")
	}
	newest := files[len(files)-1]
	whole, err := os.ReadFile(newest)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(whole); at += len(whole)/10 + 1 {
		bad := append([]byte{}, whole...)
		bad[at] ^= 1
		w.write(newest, string(bad))
		w.expect(exitCheckpoint, newest+": damaged at offset", append([]string{"verify", path}, apart...)...)
		w.expect(exitCheckpoint, newest+": damaged at offset", append(append([]string{"run", "-s", path}, apart...), "keyed")...)
	}
}

// A checkpoint of the memory backend is one file, wherever it is copied to.
func TestEmbeddedCheckpoint(t *testing.T) {
	w := newWorld(t)
	stop := func() {
		w.stdout.until(3, `"event":"checkpoint"`)
		w.signals <- syscall.SIGTERM
	}
	memory := []string{"-D", "state.backend=memory", "-D", "execution.checkpointing.interval=20ms"}
	if code := w.during(stop, append(memory, "keyed")...); code != exitDone {
		t.Fatalf("exit %d:\n%s", code, w.stderr)
	}
	b, err := os.ReadFile(w.keptPath())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir("alone", 0o700); err != nil {
		t.Fatal(err)
	}
	w.write("alone/_metadata", string(b))
	w.expect(exitDone, "", "verify", "alone")
	if !strings.Contains(w.stdout.String(), "its metadata with ") {
		t.Errorf("verify: %s", w.stdout)
	}
	w.expect(exitDone, "", "inspect", "alone")
	if !strings.Contains(w.stdout.String(), " in the metadata itself") || strings.Contains(w.stdout.String(), "data files") {
		t.Errorf("inspect: %s", w.stdout)
	}
	if code := w.during(stop, "-s", "alone", "-D", "state.checkpoints.dir=other", "-D", "execution.checkpointing.interval=20ms", "keyed"); code != exitDone {
		t.Fatalf("exit %d:\n%s", code, w.stderr)
	}
	if files, _ := filepath.Glob("other/keyed/*.delta"); len(files) == 0 {
		t.Error("no data files under the default backend")
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestInspectCannotBeShown(t *testing.T) {
	w := newWorld(t)
	w.leaveBehind("endless")
	for _, args := range [][]string{{"inspect", chk}, {"inspect", "--json", chk}} {
		stderr := &buffer{}
		p := program{name: defaultName, stdout: fullDisk{}, stderr: stderr, terminal: noTerminal}
		if code := p.main(t.Context(), args); code != exitFailed || stderr.String() != "pagetide: show checkpoint: no space left on device\n" {
			t.Errorf("%v: exit %d: %s", args, code, stderr)
		}
	}
}

func TestHoldsMetadata(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, dir := range []string{"job/chk-7", "empty/chk-7", "other/chk-07", "saved"} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	w := &world{t: t}
	for _, file := range []string{"job/chk-7/_metadata", "other/chk-07/_metadata", "saved/_metadata"} {
		w.write(file, "")
	}
	for path, want := range map[string]bool{
		"job": true, "job/chk-7": true, "job/chk-7/_metadata": true, "saved": true,
		"empty": false, "empty/chk-7": false, "other": false, "nowhere": false, "": false, "hdfs://x": false,
	} {
		if got := holdsMetadata(path); got != want {
			t.Errorf("holdsMetadata(%q) = %v", path, got)
		}
	}
}

func TestInspectOperator(t *testing.T) {
	info := inspectOperator(meta.Operator{UID: "op", Kind: "window", Watermark: 5e9,
		States: []meta.State{{No: 0, Kind: meta.KindCell, Name: "acc"}, {No: 1, Kind: meta.KindIndex, Name: "ends"}},
		Shards: []meta.Shard{
			{Pages: 2, States: []meta.ShardState{{No: 0, Entries: 3}, {No: 1, Entries: 2, Earliest: 9e9}}},
			{Pages: 1, States: []meta.ShardState{{No: 0, Entries: 4}, {No: 1, Entries: 1, Earliest: 7e9}}},
			{Pages: 1, States: []meta.ShardState{{No: 1, Entries: 0, Earliest: 1e9}}},
		}})
	if info.Pages != 4 || info.Bytes != 4*meta.PageSize || info.States[0].Entries != 7 || info.States[0].Earliest != "" ||
		info.States[1].Entries != 3 || info.States[1].Earliest != "1970-01-01T00:00:07Z" || info.Watermark != "1970-01-01T00:00:05Z" {
		t.Errorf("%+v", info)
	}
}

func TestJobFolder(t *testing.T) {
	here := filepath.Join(t.TempDir(), "here", "chk-3")
	for _, dir := range []string{here, filepath.Join(here, "flights", "chk-4")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(here)
	if err := os.Symlink(filepath.Join("flights", "chk-4"), "link"); err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		"data/flights/chk-4/_metadata": "flights", "data/flights/chk-4": "flights", "data/flights/": "flights", "/": "job",
		".": "here", "_metadata": "here", "../chk-4": "here", "link": "flights", "link/_metadata": "flights", "file:///data/fl%2Dx/chk-4": "fl-x",
	} {
		if got := jobFolder(in); got != want {
			t.Errorf("jobFolder(%q) = %q, want %q", in, got, want)
		}
	}
}
