package file

import (
	"context"
	"io"
	"sync"

	"github.com/pagetide/pagetide/engine"
)

// pump reads content that may keep its reader waiting, apart from it, so that a barrier need not wait. A read of
// standard input cannot be interrupted: Close does not wait for it, and the goroutine ends with that read.
type pump struct {
	c      *content
	chunks chan []byte   // closed at the end, after err is set
	free   chan []byte   // chunks to be filled again
	closed chan struct{} // by Close
	err    error         // io.EOF or what went wrong; read after chunks is closed

	whole, rest []byte // the chunk in hand, and what of it is unread

	mu   sync.Mutex // guards file and shut
	file io.Closer  // nil until opened
	shut bool
}

const pumpChunks = 4

func startPump(c *content) *pump {
	p := &pump{c: c, chunks: make(chan []byte, pumpChunks), free: make(chan []byte, pumpChunks+1), closed: make(chan struct{})}
	for range pumpChunks + 1 {
		p.free <- make([]byte, feedBuffer)
	}
	go p.run()
	return p
}

func (p *pump) run() {
	defer close(p.chunks)
	f, err := p.c.open() // a named pipe waits here for its writer
	if err != nil {
		p.err = p.fail(err)
		return
	}
	defer f.Close()
	if !p.keep(f) {
		p.err = io.EOF
		return
	}
	decoded, _, err := decode(f)
	if err != nil {
		p.err = p.fail(err)
		return
	}
	p.err = p.copy(decoded)
}

// fail names the content. What can be read once only has no second try, which would hide why the first went wrong.
func (p *pump) fail(err error) error { return engine.Permanent(p.c.fail(err)) }

// keep lets Close close the file, unless it has been called.
func (p *pump) keep(f io.Closer) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.file = f
	return !p.shut
}

func (p *pump) copy(from io.Reader) error {
	for {
		var chunk []byte
		select {
		case chunk = <-p.free:
		case <-p.closed:
			return io.EOF
		}
		n, err := from.Read(chunk[:cap(chunk)])
		if n > 0 {
			select {
			case p.chunks <- chunk[:n]:
			case <-p.closed:
				return io.EOF
			}
		}
		switch {
		case err == io.EOF:
			return io.EOF
		case err != nil:
			return p.fail(err)
		}
	}
}

func (p *pump) read(ctx context.Context, b []byte, wait bool) (int, error) {
	if len(p.rest) == 0 {
		if err := p.next(ctx, wait); err != nil {
			return 0, err
		}
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func (p *pump) next(ctx context.Context, wait bool) error {
	if p.whole != nil {
		p.free <- p.whole
		p.whole = nil
	}
	chunk, open, err := p.receive(ctx, wait)
	switch {
	case err != nil:
		return err
	case !open:
		return p.err
	}
	p.whole, p.rest = chunk, chunk
	return nil
}

func (p *pump) receive(ctx context.Context, wait bool) (chunk []byte, open bool, err error) {
	select {
	case chunk, open = <-p.chunks:
		return chunk, open, nil
	default:
	}
	if !wait {
		return nil, false, errPause
	}
	select {
	case chunk, open = <-p.chunks:
		return chunk, open, nil
	case <-ctx.Done():
		return nil, false, errPause
	}
}

func (p *pump) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shut {
		return nil
	}
	p.shut = true
	close(p.closed)
	if p.file != nil {
		p.file.Close() // which run may have done already
	}
	return nil
}
