package bench_test

import (
	"strings"
	"testing"

	"schakel/clients/bench"
)

func TestReadAnswer(t *testing.T) {
	for raw, rest := range map[string]string{
		"+OK\r\n": "", ":3\r\n+next\r\n": "+next\r\n", "$3\r\na\nb\r\n:1\r\n": ":1\r\n", "*0\r\n": "",
		"*2\r\n$3\r\n1-0\r\n*1\r\n:1\r\n+x\r\n": "+x\r\n",
	} {
		if got, err := bench.ReadAnswer([]byte(raw)); err != nil || string(got) != rest {
			t.Errorf("%q leaves %q, want %q: %v", raw, got, rest, err)
		}
	}
	for _, raw := range []string{"", "\n", "$\n", "$-1\r\n", "-ERR no\r\n", "$5\r\nabc\r\n", "*1\r\n", "*1\r\n-EXECABORT\r\n", "$99999999999\r\n", "?\r\n"} {
		if _, err := bench.ReadAnswer([]byte(raw)); err == nil {
			t.Errorf("%q is taken for an answer", raw)
		}
	}
}

// Any words written as a command are read as one answer that leaves what follows.
func FuzzReadAnswer(f *testing.F) {
	f.Add("XADD", "a\r\nb")
	f.Add("", "$3\r\n")
	f.Fuzz(func(t *testing.T, one, two string) {
		next := "+OK\r\n"
		if len(one)+len(two) > 2000 || strings.HasPrefix(one, "fuzz") {
			t.Skip()
		}
		_, _ = bench.ReadAnswer([]byte(one)) // whatever it is, it is read without harm
		got, err := bench.ReadAnswer(append(bench.Request([]string{one, two}), next...))
		if err != nil || string(got) != next {
			t.Errorf("%q and %q: left %q, %v", one, two, got, err)
		}
	})
}
