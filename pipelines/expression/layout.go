package expression

import (
	"fmt"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"
)

// layoutProblems are literal layouts of times in which no part stands for a part of the time, as other languages write them.
func layoutProblems(text string, tree ast.Node) (problems []Problem) {
	ast.Find(tree, func(n ast.Node) bool {
		call, ok := n.(*ast.CallNode)
		if !ok || len(call.Arguments) < 2 {
			return false
		}
		f := functionOf(call)
		layout, literal := call.Arguments[1].(*ast.StringNode)
		if f == nil || !literal || f.Name != "formatTime" && f.Name != "parseTime" && f.Name != "date" || !fixed(layout.Value) {
			return false
		}
		from, to := extent(layout, len([]rune(text)), 0)
		from, to = within(text, from, to)
		hint := `layouts show how 2 January 2006, 15:04:05, is written, such as "2006-01-02 15:04:05"`
		if ours := goLayout.Replace(layout.Value); !fixed(ours) && !strings.Contains(ours, "%") {
			hint = fmt.Sprintf("write %q: a layout shows how 2 January 2006, 15:04:05, is written", ours)
		}
		problems = append(problems, Problem{From: from, To: to, Code: "bad-value",
			Message: fmt.Sprintf("nothing in the layout %q stands for a part of a time", layout.Value), Hint: hint})
		return false
	})
	return problems
}

// fixed tells whether a layout gives the same text for every time.
func fixed(layout string) bool {
	switch strings.ToLower(layout) {
	case "unix", "unixmilli":
		return false
	}
	if _, named := namedLayouts[strings.ToLower(layout)]; named {
		return false
	}
	return time.Date(1987, time.November, 28, 19, 37, 46, 987654321, time.UTC).Format(layout) == layout
}

// goLayout puts our elements in the place of those of strftime, and of the letters that Java, .NET and JavaScript use.
var goLayout = strings.NewReplacer(
	"%Y", "2006", "%y", "06", "%m", "01", "%d", "02", "%H", "15", "%I", "03", "%M", "04", "%S", "05", "%p", "PM", "%z", "-0700", "%Z", "MST",
	"%b", "Jan", "%B", "January", "%a", "Mon", "%A", "Monday", "%f", "000000", "%F", "2006-01-02", "%T", "15:04:05", "%%", "%",
	"YYYY", "2006", "yyyy", "2006", "YY", "06", "yy", "06", "MMMM", "January", "MMM", "Jan", "MM", "01", "DD", "02", "dd", "02", "HH", "15",
	"hh", "03", "mm", "04", "ss", "05", "SSS", "000", "'T'", "T", "'Z'", "Z", "XXX", "Z07:00",
)
