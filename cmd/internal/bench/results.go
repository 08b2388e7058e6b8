package main

import "slices"

// results are the values of all repetitions, by router and figure.
type results map[string]map[string][]float64

// add records a trial's findings about a router.
func (r results) add(router string, found map[string]float64) {
	if r[router] == nil {
		r[router] = make(map[string][]float64)
	}
	for figure, value := range found {
		r[router][figure] = append(r[router][figure], value)
	}
}

// median returns the middle value, the mean of two where there are two; ok is false where there is
// none.
func median(values []float64) (m float64, ok bool) {
	if len(values) == 0 {
		return 0, false
	}
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half], true
	}
	return (sorted[half-1] + sorted[half]) / 2, true
}
