package snapshotter

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// TestMain lets the test binary be another process that wants a directory.
func TestMain(m *testing.M) {
	if dir := os.Getenv("PAGETIDE_TEST_OWNER"); dir != "" {
		os.Exit(ownerProcess(dir))
	}
	os.Exit(m.Run())
}

const exitLocked = 3

// ownerProcess takes the directory, says so, and makes a checkpoint for every line that it reads.
func ownerProcess(dir string) int {
	d, err := Open(dir, Options{Retained: 2})
	if errors.Is(err, meta.ErrLocked) {
		return exitLocked
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	s, err := restore(d)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("owner")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		s.scribble(rand.New(rand.NewPCG(uint64(s.base.Checkpoint), 4)), 5)
		if err := d.Save(ctx, s, nil); err != nil {
			fmt.Println(err)
			return 1
		}
		fmt.Println(uint64(s.base.Checkpoint))
	}
	if err := d.Close(); err != nil {
		return 1
	}
	return 0
}

// owner is a running ownerProcess.
type owner struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startOwner(t *testing.T, dir string) owner {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "PAGETIDE_TEST_OWNER="+dir)
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	return owner{cmd, in, bufio.NewReader(out)}
}

// owns says whether the process got the directory; one that did not has ended as it should.
func (o owner) owns(t *testing.T) bool {
	t.Helper()
	line, _ := o.out.ReadString('\n')
	if line == "owner\n" {
		return true
	}
	err := o.cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != exitLocked || line != "" {
		t.Errorf("a process without the directory said %q and ended with %v", line, err)
	}
	return false
}

func (o owner) save(t *testing.T) uint64 {
	t.Helper()
	_, err := io.WriteString(o.in, "\n")
	must(t, err)
	line, err := o.out.ReadString('\n')
	must(t, err)
	id, err := strconv.ParseUint(strings.TrimSpace(line), 10, 64)
	must(t, err)
	return id
}

// Processes race for one directory, also while its owner file is removed: exactly one gets it, and only it publishes. The
// owner ends in peace or is killed; the next one goes on from there.
func TestProcessesRace(t *testing.T) {
	dir := t.TempDir() + "/job"
	last := uint64(0)
	for round := range 6 {
		var racers []owner
		for range 3 {
			racers = append(racers, startOwner(t, dir))
		}
		var winners []owner
		for _, o := range racers {
			if o.owns(t) {
				winners = append(winners, o)
			}
		}
		if len(winners) != 1 {
			t.Fatalf("round %d: %d of %d processes own the directory", round, len(winners), len(racers))
		}
		o := winners[0]
		before := o.save(t)
		os.Remove(dir + "/.owner") // which is for messages only
		if late := startOwner(t, dir); late.owns(t) {
			t.Fatalf("round %d: another process got the directory", round)
		}
		_, err := Open(dir, Options{})
		wantErr(t, "Open in this process", err, meta.ErrLocked)
		id := o.save(t)
		if before <= last || id != before+1 {
			t.Errorf("round %d: checkpoints %d and %d after %d", round, before, id, last)
		}
		last = id
		if round%2 == 0 {
			must(t, o.cmd.Process.Kill())
			o.cmd.Wait()
		} else {
			must(t, o.in.Close())
			must(t, o.cmd.Wait())
		}
	}
	d, err := Open(dir, Options{Retained: 2})
	must(t, err)
	defer d.Close()
	c, err := d.Latest()
	must(t, err)
	must(t, c.Verify(ctx, nil))
	if uint64(c.Meta.ID) != last {
		t.Errorf("newest is %d, want %d", c.Meta.ID, last)
	}
	must(t, onlyNamed(d))
}

// stall is a file system whose first sync of a file with a suffix waits.
type stall struct {
	vfs.FS
	suffix  string
	reached chan bool // closed by the sync that waits
	release chan bool
}

func (s *stall) Create(name string) (vfs.File, error) {
	f, err := s.FS.Create(name)
	if err != nil || s.suffix == "" || !strings.HasSuffix(name, s.suffix) {
		return f, err
	}
	s.suffix = ""
	return stalledFile{f, s}, nil
}

type stalledFile struct {
	vfs.File
	s *stall
}

func (f stalledFile) Sync() error {
	close(f.s.reached)
	<-f.s.release
	return f.File.Sync()
}

// A checkpoint of an old attempt hangs in storage, the job is restarted and commits; then the old one wakes. It publishes
// nothing, and of the new attempt's files it deletes none.
func TestStalledAttemptWakes(t *testing.T) {
	for _, suffix := range []string{".delta", metaTemp} {
		t.Run(suffix, func(t *testing.T) {
			fsys := &stall{FS: vfs.NewMem(), reached: make(chan bool), release: make(chan bool)}
			d := openMem(t, fsys, Options{})
			old := newFakeStore(1)
			old.grow(old.shard(0), 1)
			must(t, d.Save(ctx, old, nil))
			fsys.suffix = suffix
			old.set(old.shard(0), 0, 0, 7)
			p, err := d.Begin()
			must(t, err)
			cut := old.freeze()
			p.Add(cut)
			published := make(chan error, 1)
			go func() {
				_, err := p.Publish(ctx, &meta.Metadata{})
				published <- err
			}()
			<-fsys.reached

			d.Revoke()
			now, err := restore(d)
			must(t, err)
			for line := range 3 {
				now.set(now.shard(0), 0, line, 9)
				must(t, d.Save(ctx, now, nil))
			}
			newest := now.base.Checkpoint
			close(fsys.release)
			wantErr(t, "Publish of the stalled attempt", <-published, meta.ErrRevoked)
			wantErr(t, "its verdict", cut.Wait(ctx), meta.ErrAborted)

			must(t, onlyNamed(d))
			must(t, d.Close())
			d = openMem(t, fsys, Options{})
			again, err := restore(d)
			must(t, err)
			if what := diff(again.pages, now.pages); again.base.Checkpoint != newest || what != "" {
				t.Errorf("found checkpoint %d, want %d; %s", again.base.Checkpoint, newest, what)
			}
		})
	}
}
