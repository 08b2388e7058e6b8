package record

// Members calls f with each member of an object that Scan has gone over, the key as it stands
// between its quotes and the value as it stands there, until f returns false.
func Members(object []byte, f func(key, value []byte) bool) {
	var s scanner
	s.members(object, s.spaces(object, 0), 0, f)
}

// Elements calls f with each element of a list as Members does of an object.
func Elements(list []byte, f func(value []byte) bool) {
	if len(list) == 0 || list[0] != '[' {
		return
	}
	var s scanner
	s.elements(list, 0, 0, f)
}

// Text returns the bytes between the quotes of a string, which Unquote turns into text; another
// value it returns as it stands there.
func Text(value []byte) []byte { return unquoted(value) }
