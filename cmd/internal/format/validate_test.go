package format

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// facts reads a file of testdata: its lines as words, without comments.
func facts(tb testing.TB, file string) (lines [][]string) {
	tb.Helper()
	b, err := os.ReadFile("testdata/" + file)
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if !strings.HasPrefix(line, "#") {
			lines = append(lines, strings.Fields(line))
		}
	}
	return lines
}

// ocsfAttribute is an attribute of an object of OCSF.
type ocsfAttribute struct {
	kind     string // without []
	list     bool
	required bool
	captions map[string]string // of an enumeration, by id; empty for none
}

// ocsfSchema is the facts of OCSF by object and attribute, and the attributes of which an object
// needs one.
type ocsfSchema struct {
	objects map[string]map[string]ocsfAttribute
	oneOf   map[string][]string
}

func readOCSF(tb testing.TB) ocsfSchema {
	s := ocsfSchema{make(map[string]map[string]ocsfAttribute), make(map[string][]string)}
	for _, f := range facts(tb, "ocsf-1.8.0.txt") {
		object, name := f[0], f[1]
		if name == "at_least_one" {
			s.oneOf[object] = f[2:]
			continue
		}
		kind, list := strings.CutSuffix(f[2], "[]")
		a := ocsfAttribute{kind: kind, list: list, required: f[3] == "required", captions: make(map[string]string)}
		for _, value := range f[4:] {
			id, caption, _ := strings.Cut(value, "=")
			a.captions[id] = strings.ReplaceAll(caption, "~", " ")
		}
		if s.objects[object] == nil {
			s.objects[object] = make(map[string]ocsfAttribute)
		}
		s.objects[object][name] = a
	}
	return s
}

// check returns the mistakes of an event.
func (s *ocsfSchema) check(event map[string]any) []string {
	class := "network_activity"
	if event["class_uid"] == json.Number("0") {
		class = "base_event"
	}
	wrong := s.object(class, class, event)
	activity, _ := event["activity_id"].(json.Number)
	uid, _ := event["class_uid"].(json.Number)
	a, _ := activity.Int64()
	c, _ := uid.Int64()
	if event["type_uid"] != json.Number(strconv.FormatInt(c*100+a, 10)) {
		wrong = append(wrong, fmt.Sprintf("type_uid is %v for class %d and activity %d", event["type_uid"], c, a))
	}
	return wrong
}

func (s *ocsfSchema) object(path, kind string, object map[string]any) (wrong []string) {
	attributes := s.objects[kind]
	for name, value := range object {
		a, ok := attributes[name]
		at := path + "." + name
		switch list, isList := value.([]any); {
		case !ok:
			wrong = append(wrong, at+" is no attribute")
		case a.list != isList:
			wrong = append(wrong, at+" is a list or should be one")
		case isList:
			for _, v := range list {
				wrong = append(wrong, s.value(at, a, v)...)
			}
		default:
			wrong = append(wrong, s.value(at, a, value)...)
		}
		if caption := a.captions[fmt.Sprint(value)]; caption != "" && caption != "Other" {
			sibling, ok := object[siblingOf(name)]
			if ok && sibling != caption {
				wrong = append(wrong, fmt.Sprintf("%s is %v and its sibling %v, not %s", at, value, sibling, caption))
			}
		}
	}
	for name, a := range attributes {
		if _, ok := object[name]; a.required && !ok {
			wrong = append(wrong, path+" has no "+name)
		}
	}
	one := s.oneOf[kind]
	if len(one) > 0 && !slices.ContainsFunc(one, func(name string) bool { return object[name] != nil }) {
		wrong = append(wrong, fmt.Sprintf("%s has none of %v", path, one))
	}
	return wrong
}

// siblingOf returns the attribute with the caption of an enumeration's value.
func siblingOf(name string) string {
	switch name {
	case "activity_id", "category_uid", "class_uid", "type_uid":
		return name[:strings.LastIndexByte(name, '_')] + "_name"
	}
	return strings.TrimSuffix(name, "_id")
}

func (s *ocsfSchema) value(at string, a ocsfAttribute, value any) []string {
	bad := func() []string { return []string{fmt.Sprintf("%s is no %s: %v", at, a.kind, value)} }
	if _, ok := s.objects[a.kind]; ok {
		if object, ok := value.(map[string]any); ok {
			return s.object(at, a.kind, object)
		}
		return bad()
	}
	if len(a.captions) > 0 && a.captions[fmt.Sprint(value)] == "" {
		return bad()
	}
	text, isText := value.(string)
	number, isNumber := value.(json.Number)
	n, err := number.Int64()
	whole := isNumber && err == nil
	ok := true
	switch a.kind {
	case "object", "json_t":
		_, ok = value.(map[string]any)
	case "boolean_t":
		_, ok = value.(bool)
	case "integer_t", "long_t":
		ok = whole
	case "timestamp_t": // milliseconds, of this century
		ok = whole && n > 946684800000 && n < 4102444800000
	case "port_t":
		ok = whole && n >= 0 && n <= 65535
	case "ip_t":
		_, err := netip.ParseAddr(text)
		ok = err == nil
	default:
		ok = isText && text != ""
	}
	if !ok {
		return bad()
	}
	return nil
}

// checkECS returns the mistakes of a document. All but the object syntap is of ECS.
func checkECS(fields map[string][]string, document map[string]any) (wrong []string) {
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

func readECS(tb testing.TB) map[string][]string {
	fields := make(map[string][]string)
	for _, f := range facts(tb, "ecs-9.4.0.txt") {
		fields[f[0]] = f[1:]
	}
	return fields
}

// checkZeek returns the mistakes of a line of conn.log.
func checkZeek(fields [][]string, line map[string]any) (wrong []string) {
	known := make(map[string]bool)
	for _, f := range fields {
		name, kind, rest := f[0], f[1], f[2:]
		known[name] = true
		optional := len(rest) > 0 && rest[0] == "optional"
		if optional {
			rest = rest[1:]
		}
		value, ok := line[name]
		switch {
		case !ok && !optional:
			wrong = append(wrong, "no "+name)
		case ok && (!isZeek(kind, value) || len(rest) > 0 && !slices.Contains(rest, fmt.Sprint(value))):
			wrong = append(wrong, fmt.Sprintf("%s is no %v: %v", name, f[1:], value))
		}
	}
	for name := range line {
		if !known[name] {
			wrong = append(wrong, name+" is no field")
		}
	}
	if history, ok := line["history"].(string); ok && strings.Trim(history, "SsHhAaDdFfRrQqIi") != "" {
		wrong = append(wrong, "history is "+history)
	}
	return wrong
}

func isZeek(kind string, value any) bool {
	text, isText := value.(string)
	number, isNumber := value.(json.Number)
	f, err := number.Float64()
	_, countErr := strconv.ParseUint(number.String(), 10, 64)
	switch kind {
	case "time", "interval":
		return isNumber && err == nil && f >= 0
	case "count":
		return isNumber && countErr == nil
	case "port":
		return isNumber && countErr == nil && f <= 65535
	case "addr":
		_, err := netip.ParseAddr(text)
		return err == nil
	}
	return isText && text != ""
}
