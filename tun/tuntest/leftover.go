package tuntest

import (
	"container/list"
	"fmt"
	"reflect"
	"strings"
)

// Filled names the maps and lists with entries in what a pointer refers to, and in all that this
// refers to, as far as the types are of packages whose paths begin with prefix. No other goroutine
// may use it meanwhile.
func Filled(pointer any, name, prefix string) (filled []string) {
	seen := make(map[uintptr]bool)
	var look func(v reflect.Value, name string)
	look = func(v reflect.Value, name string) {
		switch {
		case v.Kind() == reflect.Pointer:
			if !v.IsNil() && !seen[v.Pointer()] {
				seen[v.Pointer()] = true
				look(v.Elem(), name)
			}
		case v.Kind() == reflect.Map:
			if v.Len() > 0 {
				filled = append(filled, fmt.Sprintf("%d entries of %s", v.Len(), name))
			}
		case v.Kind() != reflect.Struct:
		case v.Type() == reflect.TypeFor[list.List]():
			if n := v.FieldByName("len").Int(); n > 0 {
				filled = append(filled, fmt.Sprintf("%d entries of %s", n, name))
			}
		case strings.HasPrefix(v.Type().PkgPath(), prefix):
			for i := range v.NumField() {
				look(v.Field(i), name+"."+v.Type().Field(i).Name)
			}
		}
	}
	look(reflect.ValueOf(pointer), name)
	return filled
}
