package formattest

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

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

func readOCSF() *ocsfSchema {
	s := &ocsfSchema{make(map[string]map[string]ocsfAttribute), make(map[string][]string)}
	for _, f := range words(ocsfFacts) {
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
	switch event["class_uid"] {
	case json.Number("0"):
		class = "base_event"
	case json.Number("2004"):
		class = "detection_finding"
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
	var ok bool
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
