//go:build linux && (amd64 || arm64) && !heaparena

package mmapstate

import (
	"fmt"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The kernel's own account of which pages were written (userfaultfd, asynchronous write protection, PAGEMAP_SCAN; Linux
// 6.7 and the right to use it) against our masks: a page that was written without being marked is a page that is lost.

// watcher asks the kernel. Numbers and layouts are those of <linux/userfaultfd.h> and <linux/fs.h>.
type watcher struct{ uffd, pagemap int }

const (
	uffdioAPI      = 0xc018aa3f
	uffdioRegister = 0xc020aa00
	pagemapScan    = 0xc0606610

	uffdAPI               = 0xaa
	uffdFlagWP            = 1 << 0
	uffdWPUnpopulated     = 1 << 13
	uffdWPAsync           = 1 << 15
	uffdRegisterWP        = 1 << 1
	scanProtect           = 1 << 0
	scanMustBeProtectable = 1 << 1
	pageIsWritten         = 1 << 1
)

type scanArg struct {
	size, flags, start, end, walkEnd, vec, vecLen, maxPages uint64
	inverted, mask, anyOf, returned                         uint64
}

type pageRegion struct{ start, end, categories uint64 }

func ioctl(fd int, request uintptr, arg unsafe.Pointer) (uintptr, error) {
	n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(arg))
	if errno != 0 {
		return 0, errno
	}
	return n, nil
}

// newWatcher fails with what is missing.
func newWatcher() (*watcher, error) {
	fd, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC|unix.O_NONBLOCK, 0, 0)
	if errno != 0 {
		return nil, fmt.Errorf("userfaultfd: %w (it takes root)", errno)
	}
	w := &watcher{uffd: int(fd), pagemap: -1}
	api := struct{ api, features, ioctls uint64 }{uffdAPI, uffdFlagWP | uffdWPUnpopulated | uffdWPAsync, 0}
	if _, err := ioctl(w.uffd, uffdioAPI, unsafe.Pointer(&api)); err != nil {
		w.close()
		return nil, fmt.Errorf("asynchronous write protection: %w (it takes Linux 6.7)", err)
	}
	var err error
	if w.pagemap, err = unix.Open("/proc/self/pagemap", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		w.close()
		return nil, fmt.Errorf("/proc/self/pagemap: %w", err)
	}
	return w, nil
}

func (w *watcher) close() {
	unix.Close(w.uffd)
	if w.pagemap >= 0 {
		unix.Close(w.pagemap)
	}
}

// watch puts memory under observation.
func (w *watcher) watch(b []byte) error {
	arg := struct{ start, length, mode, ioctls uint64 }{uint64(uintptr(unsafe.Pointer(&b[0]))), uint64(len(b)), uffdRegisterWP, 0}
	_, err := ioctl(w.uffd, uffdioRegister, unsafe.Pointer(&arg))
	return err
}

// written lists the pages written since the last call, and protects them again.
func (w *watcher) written(b []byte) (pages []uintptr, err error) {
	vec := make([]pageRegion, 512)
	start := uint64(uintptr(unsafe.Pointer(&b[0])))
	for end := start + uint64(len(b)); start < end; {
		arg := scanArg{
			size: uint64(unsafe.Sizeof(scanArg{})), flags: scanProtect | scanMustBeProtectable, start: start, end: end,
			vec: uint64(uintptr(unsafe.Pointer(&vec[0]))), vecLen: uint64(len(vec)), mask: pageIsWritten, returned: pageIsWritten,
		}
		n, err := ioctl(w.pagemap, pagemapScan, unsafe.Pointer(&arg))
		if err != nil {
			return nil, err
		}
		for _, r := range vec[:n] {
			for p := r.start; p < r.end; p += pageSize {
				pages = append(pages, uintptr(p))
			}
		}
		start = arg.walkEnd
	}
	runtime.KeepAlive(vec)
	return pages, nil
}

// kernelSim is the model of the tables under observation.
type kernelSim struct {
	*modelSim
	w       *watcher
	regions int // under observation
}

// barrier makes all masks empty and forgets what was written so far.
func (k *kernelSim) barrier() error {
	if err := k.freeze(); err != nil {
		return err
	}
	for i := range k.s.shards {
		k.s.look(i)
	}
	for ; k.regions < len(k.s.regions.all); k.regions++ {
		if err := k.w.watch(k.s.regions.all[k.regions].bytes); err != nil {
			return fmt.Errorf("watch a region: %w", err)
		}
	}
	_, err := k.scan()
	return err
}

func (k *kernelSim) scan() (written map[uintptr]bool, err error) {
	written = map[uintptr]bool{}
	for _, r := range k.s.regions.all[:k.regions] {
		pages, err := k.w.written(r.bytes)
		if err != nil {
			return nil, fmt.Errorf("scan: %w", err)
		}
		for _, p := range pages {
			written[p] = true
		}
	}
	return written, nil
}

// compare finds pages that the kernel saw written and nobody marked.
func (k *kernelSim) compareMasks() (written, marked int, err error) {
	seen, err := k.scan()
	if err != nil {
		return 0, 0, err
	}
	for i := range k.s.shards {
		sh := &k.s.shards[i]
		for p := range sh.pages {
			dirty, wrote := sh.mask[p] != 0, seen[uintptr(unsafe.Pointer(sh.page(p)))]
			if dirty {
				marked++
			}
			if wrote {
				written++
			}
			if wrote && !dirty {
				return 0, 0, fmt.Errorf("shard %s page %d was written, its mask is empty", sh.id, p)
			}
		}
	}
	return written, marked, nil
}

func TestMasksAgainstTheKernel(t *testing.T) {
	w, err := newWatcher()
	if err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	defer w.close()
	m, err := newModelSim(4)
	if err != nil {
		t.Fatal(err)
	}
	k := &kernelSim{modelSim: m, w: w}
	defer func() { k.s.Close() }()
	work := func(n int) {
		for range n {
			kind := m.r.IntN(len(m.kinds))
			key, grow := m.key(kind), m.r.IntN(10) < 6
			if err := m.kinds[kind].stepCells(m.r, key, grow); err != nil {
				t.Fatal(err)
			}
			if err := m.kinds[kind].stepBytes(m.r, key, grow); err != nil {
				t.Fatal(err)
			}
			if err := m.kinds[kind].stepIndex(m.r, key, grow); err != nil {
				t.Fatal(err)
			}
		}
	}
	work(5000)
	total := 0
	for round := range 60 {
		if err := k.barrier(); err != nil {
			t.Fatal(err)
		}
		work(1 + m.r.IntN(400))
		m.s.Gather(20 * time.Microsecond)
		written, marked, err := k.compareMasks()
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if written < marked/2 {
			t.Errorf("round %d: the kernel saw %d pages written, %d are marked", round, written, marked)
		}
		total += written
		if err := m.commit(); err != nil {
			t.Fatal(err)
		}
	}
	// A write behind the guard's back must be seen, or the test shows nothing.
	if err := k.barrier(); err != nil {
		t.Fatal(err)
	}
	pg := m.s.shards[0].page(0)
	store64(pg, pageSize-8, load64(pg, pageSize-8)+1) // nobody reads there
	if _, _, err := k.compareMasks(); err == nil {
		t.Error("a write that was not marked went unseen")
	}
	t.Logf("%d written pages were all marked", total)
}
