package snapshotter

import (
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"

	"github.com/pagetide/pagetide/meta"
)

const (
	metaTemp = meta.FileName + ".tmp"
	jobFile  = "_job"
	jobTemp  = jobFile + ".tmp"

	probeTemp = "_probe.tmp"
)

// dataName names a delta file. The three together are never used twice; the widths are fixed, so names sort by age.
func dataName(job meta.JobID, a meta.Attempt, id meta.CheckpointID) string {
	return fmt.Sprintf("%s-%08x-%016x.delta", job, uint32(a), uint64(id))
}

// parseDataName undoes dataName and accepts nothing else.
func parseDataName(name string) (h dataHeader, ok bool) {
	parts := strings.Split(strings.TrimSuffix(name, ".delta"), "-")
	if len(parts) != 3 {
		return h, false
	}
	job, err := meta.ParseJobID(parts[0])
	a, errA := strconv.ParseUint(parts[1], 16, 32)
	id, errID := strconv.ParseUint(parts[2], 16, 64)
	h = dataHeader{job: job, attempt: meta.Attempt(a), checkpoint: meta.CheckpointID(id)}
	return h, err == nil && errA == nil && errID == nil && dataName(h.job, h.attempt, h.checkpoint) == name
}

func chkName(id meta.CheckpointID) string { return "chk-" + strconv.FormatUint(uint64(id), 10) }

// parseChkName undoes chkName and accepts nothing else: chk-07 is somebody else's folder.
func parseChkName(name string) (meta.CheckpointID, bool) {
	digits, ok := strings.CutPrefix(name, "chk-")
	id, err := strconv.ParseUint(digits, 10, 64)
	return meta.CheckpointID(id), ok && err == nil && id > 0 && chkName(meta.CheckpointID(id)) == name
}

var scheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]+:`)

// ParseDir turns the directory of a setting or a command line into a path of the file system. It takes a plain path or a
// file: URI. Any other scheme is refused by name, so a typo never makes a folder called "hdfs:"; the error wraps
// meta.ErrIncompatible. A path that begins like a scheme can be written with ./ before it.
func ParseDir(s string) (string, error) {
	if s == "" {
		return "", fmt.Errorf("directory is empty: %w", meta.ErrNotFound)
	}
	found := scheme.FindString(s)
	if found == "" {
		return s, nil
	}
	if !strings.EqualFold(found, "file:") {
		return "", fmt.Errorf("%s: no storage for %q yet, use a plain path or file://: %w", s, found, meta.ErrIncompatible)
	}
	u, err := url.Parse(s)
	if err != nil {
		return "", err
	}
	if u.Host != "" && u.Host != "localhost" || u.Path == "" {
		return "", fmt.Errorf("%s: want file:///path of this machine: %w", s, meta.ErrIncompatible)
	}
	path := u.Path
	if runtime.GOOS == "windows" {
		path = strings.TrimPrefix(path, "/")
	}
	return filepath.FromSlash(path), nil
}
