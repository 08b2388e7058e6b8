package route

import (
	"errors"

	"github.com/vishvananda/netlink"
)

// ConfigureFailing is Configure with a failpoint, which is called before each of its steps. With
// crash its error ends the run as SIGKILL would: no step is undone.
func ConfigureFailing(c Config, crash bool, failpoint func(command string) error) (*Host, error) {
	return configureFailing(c, crash, failpoint, nil)
}

// ConfigureFailingTwice is ConfigureFailing with another failpoint, for the steps that are undone.
func ConfigureFailingTwice(c Config, failpoint, undoing func(command string) error) error {
	_, err := configureFailing(c, false, failpoint, undoing)
	return err
}

func configureFailing(
	c Config, crash bool, failpoint, undoing func(command string) error,
) (*Host, error) {
	h, err := newHost(c, failpoint)
	if err != nil {
		return nil, err
	}
	added, err := h.configure()
	h.failpoint = undoing
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

// SetFailpoint sets the failpoint of the following steps.
func (h *Host) SetFailpoint(failpoint func(command string) error) { h.failpoint = failpoint }

// SurveyLinks returns what the survey notes of links.
func SurveyLinks(c Config, links []netlink.Link) (detours []string, notices []Notice) {
	s := surveyor{c: c}
	for _, l := range links {
		s.noteVRF(l)
	}
	return s.u.Detours, s.notices
}

// Settled returns the notices of a reading that the one before had, too.
func Settled(seen, now []Notice) (standing []Notice, more bool) { return settled(seen, now) }
