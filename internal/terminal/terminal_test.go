package terminal

import (
	"encoding/json"
	"testing"
)

func TestTextShowsWhatItDoesNotDo(t *testing.T) {
	for in, want := range map[string]string{
		"plain, ä 漢 \\ \"": "plain, ä 漢 \\ \"", "a\nb\r\tc": `a\nb\r\tc`, "\x1b[2J\x00\x7f": `\x1b[2J\x00\x7f`,
		"\u009b2J": `\u009b2J`, "\xff\u202e": `\xff\u202e`, "\U000e0001": `\U000e0001`, "\uFFFD": "\uFFFD",
	} {
		if got := Text(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

func TestJSONMeansTheSame(t *testing.T) {
	in := "{\"a\u009b\":\"\x7f ä\"}"
	got := JSON([]byte(in))
	if want := `{"a\u009b":"\u007f ä"}`; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
	var back map[string]string
	if err := json.Unmarshal(got, &back); err != nil || back["a\u009b"] != "\x7f ä" {
		t.Errorf("%q: %v", back, err)
	}
}
