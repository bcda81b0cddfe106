package mmapstate

import "fmt"

// StateOption refines the declaration of a state: a [TTL], or [Encoded].
type StateOption interface{ refine(*stateOptions) }

// stateOptions are what the options of one declaration say together; of two of a kind the last one counts.
type stateOptions struct {
	ttl   TTL // After is 0 without one
	codec any // a Codec of the value's type, or nil
}

func collect(o []StateOption) (all stateOptions, err error) {
	for _, opt := range o {
		if opt != nil {
			opt.refine(&all)
		}
	}
	return all, all.ttl.validate()
}

func (s *Store) stateOptions(name string, o []StateOption) (stateOptions, error) {
	all, err := collect(o)
	if err != nil {
		return all, fmt.Errorf("state %q: %w", name, err)
	}
	return all, nil
}
