package formattest

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

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
