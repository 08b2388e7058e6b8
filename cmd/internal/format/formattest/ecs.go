package formattest

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// ecsSchema is the types of fields, each with the values of an enumeration behind it.
type ecsSchema map[string][]string

func readECS() ecsSchema {
	fields := make(ecsSchema)
	for _, f := range words(ecsFacts) {
		fields[f[0]] = f[1:]
	}
	return fields
}

// check returns the mistakes of a document. All but the object syntap is of ECS.
func (fields ecsSchema) check(document map[string]any) (wrong []string) {
	var walk func(path string, value any)
	walk = func(path string, value any) {
		field, ok := fields[path]
		if object, isObject := value.(map[string]any); isObject && (!ok || strings.HasPrefix(field[0], "object")) {
			for name, v := range object {
				walk(strings.TrimPrefix(path+"."+name, "."), v)
			}
			return
		}
		if path == "syntap" || strings.HasPrefix(path, "syntap.") {
			return
		}
		if !ok {
			wrong = append(wrong, path+" is no field")
			return
		}
		kind, list := strings.CutSuffix(field[0], "[]")
		values, isList := value.([]any)
		switch {
		case list != isList:
			wrong = append(wrong, path+" is a list or should be one")
			return
		case !isList:
			values = []any{value}
		}
		for _, v := range values {
			if kind == "object" {
				for name, member := range v.(map[string]any) {
					walk(path+"."+name, member)
				}
				continue
			}
			if !isECS(kind, v) || len(field) > 1 && !slices.Contains(field[1:], fmt.Sprint(v)) {
				wrong = append(wrong, fmt.Sprintf("%s is no %v: %v", path, field, v))
			}
		}
	}
	walk("", document)
	for _, path := range []string{"@timestamp", "ecs", "event"} {
		if document[path] == nil {
			wrong = append(wrong, "no "+path)
		}
	}
	return wrong
}

func isECS(kind string, value any) bool {
	text, isText := value.(string)
	number, isNumber := value.(json.Number)
	switch kind {
	case "long":
		_, err := number.Int64()
		return isNumber && err == nil
	case "date":
		_, err := time.Parse(time.RFC3339Nano, text)
		return err == nil
	case "ip":
		_, err := netip.ParseAddr(text)
		return err == nil
	}
	return isText && text != ""
}
