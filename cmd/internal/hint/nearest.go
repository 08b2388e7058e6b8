package hint

// Nearest returns the word that the fewest edits turn into typed, or "" when that would be more
// than a slip.
func Nearest(typed string, words []string) string {
	best, least := "", 3
	if len(typed) > 40 { // no key is that long
		return ""
	}
	for _, word := range words {
		if n := distance(typed, word); n < least && 2*n <= min(len(word), len(typed)) {
			best, least = word, n
		}
	}
	return best
}

// distance is the number of bytes to insert, delete or replace to get from a to b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1) // distances of a[:i] to every b[:j]
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
