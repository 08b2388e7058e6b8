package config

import (
	"reflect"
)

// ChangedFixed returns the keys with other values in next that a running router cannot change:
// those of tun, route and http.
func (c *Config) ChangedFixed(next *Config) (keys []string) {
	for _, section := range []struct {
		name     string
		old, new any
	}{{"tun", c.TUN, next.TUN}, {"route", c.Route, next.Route}, {"http", c.HTTP, next.HTTP}} {
		before, after := reflect.ValueOf(section.old), reflect.ValueOf(section.new)
		for i := range before.NumField() {
			if !reflect.DeepEqual(before.Field(i).Interface(), after.Field(i).Interface()) {
				keys = append(keys, section.name+"."+before.Type().Field(i).Tag.Get("yaml"))
			}
		}
	}
	return keys
}
