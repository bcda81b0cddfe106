package snapshotter

import "github.com/pagetide/pagetide/snapshotter/vfs/vfstest"

// quick says whether the exhaustive tests take samples.
func quick() bool { return vfstest.Size() == 0 }
