package flights

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// outputs is where runs without --output make their folders.
const outputs = "pagetide-out"

// newFolder names a folder that does not exist, after the time. The sink makes it.
func newFolder(now time.Time) (string, error) {
	base := filepath.Join(outputs, "flights-"+now.Format("20060102-150405"))
	dir := base
	for n := 2; ; n++ {
		_, err := os.Lstat(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return dir, nil
		case err != nil:
			return "", err
		}
		dir = fmt.Sprintf("%s-%d", base, n)
	}
}
