package tun

// ConfigureFailing is Configure with a failpoint that is asked before each step.
func ConfigureFailing(c HostConfig, failpoint func(what string) error) (*Host, error) {
	return configure(c, failpoint)
}
