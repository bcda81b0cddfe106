package file

import (
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
)

var scheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]+:`) // a single letter is a drive

// folderPath turns the folder that a sink is given into a path of the file system: a plain path, or a file: URI. Any other
// scheme is refused by name, so that rows never go into a folder called "hdfs:". A path that begins like a scheme can be
// written with ./ before it.
func folderPath(dir string) (string, error) {
	found := scheme.FindString(dir)
	switch {
	case dir == "":
		return "", fmt.Errorf("output folder: its name is empty")
	case found == "":
		return dir, nil
	case !strings.EqualFold(found, "file:"):
		return "", fmt.Errorf("output folder %s: no storage for %q yet, use a plain path or file://", dir, found)
	}
	u, err := url.Parse(dir)
	if err != nil {
		return "", fmt.Errorf("output folder %s: %w", dir, err)
	}
	if u.Host != "" && u.Host != "localhost" || u.Path == "" {
		return "", fmt.Errorf("output folder %s: want file:///path of this machine", dir)
	}
	path := u.Path
	if runtime.GOOS == "windows" {
		path = strings.TrimPrefix(path, "/")
	}
	return filepath.FromSlash(path), nil
}
