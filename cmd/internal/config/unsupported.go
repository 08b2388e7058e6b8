package config

import (
	"errors"
	"fmt"
	"reflect"
	"time"
)

// refuseUnsupported notes every key whose value asks for a feature that this version does not have. Such keys are read
// and checked all the same, and their defaults are accepted. The change that brings a feature deletes its lines.
func (d *document) refuseUnsupported(c *Config) {
	refuse := func(key string, value, accepted any) {
		if !reflect.DeepEqual(value, accepted) {
			d.blame(errors.New("is not supported by this version yet"), key)
		}
	}
	for i, s := range c.Tap.Log {
		key := fmt.Sprintf("tap.log[%d].", i)
		refuse(key+"max_size", s.MaxSize, Size(0))
		refuse(key+"max_age", s.MaxAge, time.Duration(0))
		refuse(key+"max_files", s.MaxFiles, 0)
		refuse(key+"compress", s.Compress, false)
		refuse(key+"on_full", s.OnFull, Suspend)
		refuse(key+"chain", s.Chain, false)
		refuse(key+"sync", s.Sync, false)
	}
}
