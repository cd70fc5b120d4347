package cli

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// didYouMean returns `; did you mean "..."?` for the candidate nearest to what was
// typed, or nothing when none is near: a wrong guess is worse than none.
func didYouMean(typed string, candidates []string) string {
	best, found := nearest(typed, candidates)
	if !found {
		return ""
	}
	return "; did you mean " + strconv.Quote(best) + "?"
}

func nearest(typed string, candidates []string) (string, bool) {
	if len(typed) > 128 || len(candidates) == 0 {
		return "", false
	}
	typed = strings.ToLower(typed)
	best := slices.MinFunc(candidates, func(a, b string) int {
		return cmp.Or(cmp.Compare(distance(typed, a), distance(typed, b)), cmp.Compare(a, b))
	})
	if distance(typed, best) > max(1, len(typed)/3) {
		return "", false
	}
	return best, true
}

// distance is the number of letters to insert, drop, replace or swap with their
// neighbour to turn a into b (optimal string alignment). A beginning or an end of
// b counts as one step: people type "piket" for "knooppunt/piket".
func distance(a, b string) int {
	b = strings.ToLower(b)
	if len(a) >= 3 && a != b && (strings.HasPrefix(b, a) || strings.HasSuffix(b, a)) {
		return 1
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range b {
		rows[0][j+1] = j + 1
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			rows[i][j] = step(rows, a, b, i, j)
		}
	}
	return rows[len(a)][len(b)]
}

func step(rows [][]int, a, b string, i, j int) int {
	change := 1
	if a[i-1] == b[j-1] {
		change = 0
	}
	d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
	if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
		d = min(d, rows[i-2][j-2]+1)
	}
	return d
}
