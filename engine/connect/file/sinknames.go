package file

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// The names in a sink's directory. Those of one job and uid differ from all others by their owner part.
//
//	.part-<job>-<uid>-<attempt>-<subtask>-<sequence>.tmp                hidden: begun, or prepared
//	part-<checkpoint>-<subtask>-<job>-<uid>-<attempt>.jsonl             committed; sorts by checkpoint, then subtask; .csv of a CSV sink
const (
	hiddenPrefix = ".part-"
	hiddenSuffix = ".tmp"
	finalPrefix  = "part-"
	jsonSuffix   = ".jsonl"
	csvSuffix    = ".csv"
)

// writerID is what the names of one writer share.
type writerID struct {
	owner   owner
	attempt meta.Attempt
	subtask int
}

// owner is whose files a sink may touch.
type owner struct {
	job meta.JobID
	uid string // escaped
}

func ownerOf(t engine.Task) owner { return owner{job: t.JobID, uid: escapeUID(t.UID)} }

func (w writerID) hidden(seq uint64) string {
	return fmt.Sprintf("%s%s-%s-%d-%d-%d%s", hiddenPrefix, w.owner.job, w.owner.uid, w.attempt, w.subtask, seq, hiddenSuffix)
}

func (w writerID) final(checkpoint uint64, suffix string) string {
	return fmt.Sprintf("%s%012d-%04d-%s-%s-%d%s", finalPrefix, checkpoint, w.subtask, w.owner.job, w.owner.uid, w.attempt, suffix)
}

var (
	hiddenName = regexp.MustCompile(`^\.part-([0-9a-f]{16})-([0-9a-z_=]*)-([0-9]{1,10})-([0-9]{1,9})-[0-9]{1,20}\.tmp$`)
	finalName  = regexp.MustCompile(`^part-[0-9]{12,20}-([0-9]{4,9})-([0-9a-f]{16})-([0-9a-z_=]*)-([0-9]{1,10})\.(?:jsonl|csv)$`)
)

// parseHidden tells whose a hidden file is; ok is false for a name that no sink made.
func parseHidden(name string) (w writerID, ok bool) {
	if m := hiddenName.FindStringSubmatch(name); m != nil {
		return makeWriterID(m[1], m[2], m[3], m[4])
	}
	return writerID{}, false
}

func parseFinal(name string) (w writerID, ok bool) {
	if m := finalName.FindStringSubmatch(name); m != nil {
		return makeWriterID(m[2], m[3], m[4], m[1])
	}
	return writerID{}, false
}

func makeWriterID(job, uid, attempt, subtask string) (writerID, bool) {
	id, err := meta.ParseJobID(job)
	a, err2 := strconv.ParseUint(attempt, 10, 32)
	s, err3 := strconv.Atoi(subtask)
	if err != nil || err2 != nil || err3 != nil {
		return writerID{}, false
	}
	return writerID{owner: owner{job: id, uid: uid}, attempt: meta.Attempt(a), subtask: s}, true
}

// maxUID is how long a uid may be in a file name before it is cut and told apart by its hash.
const maxUID = 80

// escapeUID writes a uid with bytes that every file system keeps apart, upper and lower case included.
func escapeUID(uid string) string {
	var b strings.Builder
	for _, c := range []byte(uid) {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "=%02x", c)
	}
	if b.Len() <= maxUID {
		return b.String()
	}
	return fmt.Sprintf("%s=h%016x", b.String()[:maxUID/2], xxhash.Sum64String(uid))
}

// handle is a prepared transaction as the checkpoint keeps it: "<hidden name> -> <final name>".
type handle struct{ hidden, final string }

const handleArrow = " -> "

func (h handle) txn() engine.Txn { return engine.Txn(h.hidden + handleArrow + h.final) }

// parseHandle takes only what a sink may have written: a checkpoint can come from anywhere, and must not be able to name
// files outside of the directory, or somebody else's inside.
func parseHandle(t engine.Txn) (handle, error) {
	hidden, final, _ := strings.Cut(string(t), handleArrow)
	from, ok := parseHidden(hidden)
	to, ok2 := parseFinal(final)
	if !ok || !ok2 || from != to {
		return handle{}, fmt.Errorf("%.200q does not name a prepared file of this sink", t)
	}
	return handle{hidden: hidden, final: final}, nil
}

// Committed lists the files of committed rows in a sink's directory, sorted by checkpoint, then subtask.
func Committed(dir string) ([]string, error) {
	path, err := folderPath(dir)
	if err != nil {
		return nil, err
	}
	return committed(vfs.OS(), path)
}

func committed(fsys vfs.FS, dir string) ([]string, error) {
	names, err := fsys.List(dir)
	if err != nil {
		return nil, err
	}
	var parts []string
	for _, name := range names {
		if strings.HasPrefix(name, finalPrefix) && (strings.HasSuffix(name, jsonSuffix) || strings.HasSuffix(name, csvSuffix)) {
			parts = append(parts, filepath.Join(dir, name))
		}
	}
	return parts, nil
}
