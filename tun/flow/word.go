package flow

import "strconv"

// word returns the word of a value, or its number where it has none.
func word[T ~uint8](v T, words ...string) string {
	if int(v) < len(words) {
		return words[v]
	}
	return strconv.Itoa(int(v))
}
