package file

import "fmt"

// Option changes how a source reads.
type Option func(*config)

type config struct {
	onError ErrorPolicy
	rate    int // rows per second; 0: no limit
	maxRow  int // bytes
	check   any // func(T) error, or nil
}

// defaultMaxRow bounds what one row may take of the memory.
const defaultMaxRow = 16 << 20

func newConfig(o []Option) config {
	c := config{maxRow: defaultMaxRow}
	for _, set := range o {
		set(&c)
	}
	return c
}

// ErrorPolicy says what becomes of malformed rows.
type ErrorPolicy int

// The policies. Their names as text are "fail" and "skip".
const (
	Fail ErrorPolicy = 0 // the job ends with a RowError
	Skip ErrorPolicy = 1 // the row is left out and counted
)

// MarshalText gives the policy's name.
func (p ErrorPolicy) MarshalText() ([]byte, error) {
	switch p {
	case Fail:
		return []byte("fail"), nil
	case Skip:
		return []byte("skip"), nil
	}
	return nil, fmt.Errorf("error policy %d: want Fail or Skip", int(p))
}

// UnmarshalText takes a policy's name, as flags do.
func (p *ErrorPolicy) UnmarshalText(b []byte) error {
	switch string(b) {
	case "fail":
		*p = Fail
	case "skip":
		*p = Skip
	default:
		return fmt.Errorf("want fail or skip, have %q", b)
	}
	return nil
}

// OnError sets what becomes of malformed rows; the default is Fail.
func OnError(p ErrorPolicy) Option { return func(c *config) { c.onError = p } }

// Rate limits how many rows are read per second, evenly. Zero, the default, or less is no limit.
func Rate(perSecond int) Option { return func(c *config) { c.rate = perSecond } }

// MaxRow sets how many bytes a row may have, 16 MiB by default. A longer one is malformed.
func MaxRow(bytes int) Option { return func(c *config) { c.maxRow = max(bytes, 1) } }

// Check makes a record for which ok returns an error malformed. T is the source's.
func Check[T any](ok func(T) error) Option { return func(c *config) { c.check = ok } }
