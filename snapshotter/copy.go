package snapshotter

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// copyFile gives a data file's content another name, durably: cloned where the file system can, else copied. The name
// itself becomes durable with its directory. wrote is told of the bytes.
func copyFile(ctx context.Context, f *dataFile, to vfs.FS, name string, wrote func(n int64)) (err error) {
	w, cloned, err := cloneOrCreate(f, to, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if cloned {
		wrote(f.ref.Size)
	} else if err := copyContent(ctx, f, w, wrote); err != nil {
		return err
	}
	return w.Sync() // guard: sync-copied
}

func cloneOrCreate(f *dataFile, to vfs.FS, name string) (w vfs.File, cloned bool, err error) {
	w, err = vfs.Clone(to, f.file, name)
	if errors.Is(err, errors.ErrUnsupported) {
		w, err = to.Create(name)
		return w, false, err
	}
	if err != nil {
		return nil, false, err
	}
	size, err := w.Size()
	if err == nil && size != f.ref.Size {
		err = damaged(f.name, size, fmt.Sprintf("size: expected %d bytes, found %d", f.ref.Size, size))
	}
	if err != nil {
		return nil, false, errors.Join(err, w.Close())
	}
	return w, true, nil
}

func copyContent(ctx context.Context, f *dataFile, w io.Writer, wrote func(n int64)) error {
	r := io.NewSectionReader(f.file, 0, f.ref.Size)
	buf := make([]byte, min(bufferBytes, f.ref.Size))
	for at := int64(0); at < f.ref.Size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.ReadFull(r, buf[:min(int64(len(buf)), f.ref.Size-at)])
		if err != nil {
			return fmt.Errorf("read %s at offset %d: %w", f.name, at, err)
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return err
		}
		at += int64(n)
		wrote(int64(n))
	}
	return nil
}
