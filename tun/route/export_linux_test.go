package route

import "errors"

// ConfigureFailing is Configure with a failpoint that is asked before each of its steps. With crash
// its error ends the run as SIGKILL would: nothing is taken back.
func ConfigureFailing(c Config, crash bool, failpoint func(command string) error) (*Host, error) {
	h, err := newHost(c, failpoint)
	if err != nil {
		return nil, err
	}
	added, err := h.configure()
	h.failpoint = nil
	switch {
	case err == nil:
		return h, nil
	case crash:
		h.Abandon()
	default:
		err = errors.Join(err, h.rollBack(added))
	}
	return nil, err
}

// SetFailpoint has the following steps ask failpoint.
func (h *Host) SetFailpoint(failpoint func(command string) error) { h.failpoint = failpoint }

// Enters is what enters returns.
func Enters(include, exclude []UIDRange) []UIDRange { return enters(include, exclude) }
