package file

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"

	"github.com/pagetide/pagetide/engine"
)

// content is where a source's bytes come from. What can be opened only once says so.
type content struct {
	name  string
	check func() (once bool, err error) // looks before anything is opened; nil: nothing to look at
	open  func() (io.ReadCloser, error)
	taken atomic.Bool // what can be opened only once has been
}

// stdin is the path that stands for standard input.
const stdin = "-"

func pathContent(path string) *content {
	if path == stdin {
		in := os.Stdin // what it is now: reading goes on in another goroutine
		return &content{
			name:  "standard input",
			check: func() (bool, error) { return checkStdin(in) },
			open:  func() (io.ReadCloser, error) { return io.NopCloser(in), nil },
		}
	}
	return &content{
		name:  path,
		check: func() (bool, error) { return checkPath(path) },
		open:  func() (io.ReadCloser, error) { return os.Open(path) },
	}
}

// checkStdin finds the one thing that can be known without reading. A closed one is left to the read.
func checkStdin(in *os.File) (once bool, err error) {
	if info, err := in.Stat(); err == nil && info.IsDir() {
		return true, errDirectory
	}
	return true, nil
}

var errDirectory = errors.New("is a directory")

func checkPath(path string) (once bool, err error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return false, err
	case info.IsDir():
		return false, errDirectory
	}
	return !info.Mode().IsRegular(), nil
}

// look finds out, without reading, whether the content is there and can be opened again and again.
func (c *content) look() (once bool, err error) {
	if c.check == nil {
		return false, nil
	}
	once, err = c.check()
	if err != nil {
		return false, c.fail(err)
	}
	return once, nil
}

// start opens the content at a place where an earlier reader stopped.
func (c *content) start(ctx context.Context, from place) (feed, error) {
	once, err := c.look()
	switch {
	case err != nil:
		return nil, err
	case !once:
		return c.startFile(ctx, from)
	case from != beginning:
		return nil, engine.Permanent(fmt.Errorf("%s cannot be read again: the job is to go on at %s", c.name, from.position()))
	case c.taken.Swap(true):
		return nil, engine.Permanent(fmt.Errorf("%s cannot be read again: an earlier attempt has read from it", c.name))
	}
	return startPump(c), nil
}

// feed gives decoded bytes in order. read returns errPause if there is nothing at hand and it need not or, because ctx
// has ended, must not wait.
type feed interface {
	read(ctx context.Context, p []byte, wait bool) (int, error)
	Close() error
}

var errPause = errors.New("nothing at hand")

// fileFeed reads content that can be opened again.
type fileFeed struct {
	c     *content
	file  io.ReadCloser
	bytes *bufio.Reader // decoded
	size  io.Seeker     // tells the size now; nil if compressed or unknown
	at    int64         // decoded bytes read
}

const feedBuffer = 64 << 10

func (c *content) startFile(ctx context.Context, from place) (_ feed, err error) {
	f, err := c.open()
	if err != nil {
		return nil, c.fail(err)
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	decoded, packed, err := decode(f)
	if err != nil {
		return nil, c.fail(err)
	}
	feed := &fileFeed{c: c, file: f, bytes: decoded, at: from.offset}
	if s, ok := f.(io.Seeker); ok && !packed {
		feed.size = s
	}
	if from.offset == 0 {
		return feed, nil
	}
	if err := feed.skipTo(ctx, from.offset); err != nil {
		return nil, err
	}
	return feed, nil
}

var gzipMagic = []byte{0x1f, 0x8b}

// decode unpacks what starts as gzip does.
func decode(r io.Reader) (decoded *bufio.Reader, packed bool, err error) {
	raw := bufio.NewReaderSize(r, feedBuffer)
	magic, err := raw.Peek(len(gzipMagic))
	if err != nil && err != io.EOF {
		return nil, false, err
	}
	if !bytes.Equal(magic, gzipMagic) {
		return raw, false, nil
	}
	unpacked, err := gzip.NewReader(raw)
	if err != nil {
		return nil, true, err
	}
	return bufio.NewReaderSize(unpacked, feedBuffer), true, nil
}

// skipTo moves to an offset and checks that a row can start there, so that a file that was replaced is noticed.
func (f *fileFeed) skipTo(ctx context.Context, offset int64) error {
	if err := f.discard(ctx, offset-1); err != nil {
		return err
	}
	before, err := f.bytes.ReadByte()
	switch {
	case err == io.EOF:
		return f.short(offset)
	case err != nil:
		return f.c.fail(err)
	case before == '\n':
		return nil
	}
	next, err := f.bytes.Peek(1) // the last row may lack its line end, and the file may have grown since
	if err != nil && err != io.EOF {
		return f.c.fail(err)
	}
	if len(next) > 0 && next[0] != '\n' && next[0] != '\r' {
		return engine.Permanent(fmt.Errorf("input %s has changed: no row starts at offset %d any more", f.c.name, offset))
	}
	return nil
}

// discardStep is how many bytes are skipped between two looks at ctx.
const discardStep = 1 << 20

func (f *fileFeed) discard(ctx context.Context, n int64) error {
	if f.size != nil {
		if _, err := f.size.Seek(n, io.SeekStart); err != nil {
			return f.c.fail(err)
		}
		f.bytes.Reset(f.file)
		return nil
	}
	for left := n; left > 0; {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		done, err := io.CopyN(io.Discard, f.bytes, min(left, discardStep))
		left -= done
		switch {
		case err == io.EOF:
			return f.short(n + 1)
		case err != nil:
			return f.c.fail(err)
		}
	}
	return nil
}

func (f *fileFeed) read(_ context.Context, p []byte, _ bool) (int, error) {
	n, err := f.bytes.Read(p)
	f.at += int64(n)
	switch {
	case err == io.EOF:
		return n, f.end()
	case err != nil:
		return n, f.c.fail(fmt.Errorf("after offset %d: %w", f.at, err))
	}
	return n, nil
}

// end is io.EOF, unless the end has come nearer since the file was read.
func (f *fileFeed) end() error {
	if f.size == nil {
		return io.EOF
	}
	size, err := f.size.Seek(0, io.SeekEnd)
	if err != nil {
		return f.c.fail(err)
	}
	if size < f.at {
		return f.short(f.at)
	}
	return io.EOF
}

func (f *fileFeed) short(offset int64) error {
	return engine.Permanent(fmt.Errorf("input %s is shorter than when it was read: it ends before offset %d", f.c.name, offset))
}

func (f *fileFeed) Close() error { return f.file.Close() }

// fail names the content. What reading again cannot mend is permanent.
func (c *content) fail(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok && path.Path == c.name {
		err = path.Err // the name is in our own words
	}
	damaged := isDamage(err)
	if damaged {
		err = fmt.Errorf("damaged gzip data: %w", err)
	}
	named := fmt.Errorf("input %s: %w", c.name, err)
	if damaged || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, errDirectory) {
		return engine.Permanent(named)
	}
	return named
}

// isDamage says whether the error tells of wrong bytes: plain content has none.
func isDamage(err error) bool {
	_, corrupt := errors.AsType[flate.CorruptInputError](err)
	return corrupt || errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) || errors.Is(err, io.ErrUnexpectedEOF)
}
