package mappings

import "time"

// Limits bound the mappings. Zero values select the defaults named with each field.
type Limits struct {
	Mappings int // of UDP and echoes together; 16384

	// PerSource bounds the mappings of one client address that is not Local, and half of those of
	// an IPv6 /64; a quarter of Mappings.
	PerSource int

	// UDPTimeout ends a mapping that is idle; 5 min, as RFC 4787 §4.3 recommends. A mapping that
	// was used for DNS alone, and has all answers, ends sooner.
	UDPTimeout time.Duration

	// ICMPTimeout ends an idle mapping of echoes; 60 s, the least of RFC 5508 §3.2.
	ICMPTimeout time.Duration
}

func (l *Limits) setDefaults() {
	if l.Mappings == 0 {
		l.Mappings = 16384
	}
	if l.PerSource == 0 {
		l.PerSource = max(1, l.Mappings/4)
	}
	if l.UDPTimeout == 0 {
		l.UDPTimeout = 5 * time.Minute
	}
	if l.ICMPTimeout == 0 {
		l.ICMPTimeout = time.Minute
	}
}
