package main

import (
	"fmt"
	"strconv"
	"strings"
)

// table is Markdown: a head and rows of equal length.
type table struct {
	head []string
	rows [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// String gives the table, or nothing when it has no row.
func (t *table) String() string {
	if len(t.rows) == 0 {
		return ""
	}
	var b strings.Builder
	line := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line(t.head)
	b.WriteString(strings.Repeat("|---", len(t.head)) + "|\n")
	for _, row := range t.rows {
		line(row)
	}
	return b.String()
}

func newComparisons() *table {
	return &table{head: []string{
		"case", "messages/s", "CPU µs/message", "against", "its messages/s", "its CPU µs", "ratio (of)", "bar", "held",
	}}
}

func newFigures() *table { return &table{head: []string{"figure", "measured", "bar", "held"}} }

// addOutcome makes a comparison's row.
func addOutcome(t *table, c *comparison, o *outcome) {
	of := "CPU"
	if c.byRate {
		of = "messages/s"
	}
	ratio := fmt.Sprintf("%.2f (%s; %.2f–%.2f in %d pairs)", o.ratio(), of, o.ratios[0], o.ratios[len(o.ratios)-1], len(o.ratios))
	texts, held := []string{}, []string{}
	for _, b := range c.bars {
		texts = append(texts, b.text)
		held = append(held, yesNo(b.holds(o)))
	}
	if len(c.bars) == 0 {
		texts, held = []string{"reported"}, []string{"–"}
	}
	t.add(c.name, thousands(o.product.rate), micros(o.product.cpu), c.against, thousands(o.other.rate), micros(o.other.cpu), ratio,
		strings.Join(texts, "; "), strings.Join(held, "; "))
}

// addFigure makes the row of a figure that must not be more than most; no bound is 0.
func addFigure(t *table, name string, value float64, unit string, most float64) {
	limit, held := "reported", "–"
	if most > 0 {
		limit, held = fmt.Sprintf("≤ %g %s", most, unit), yesNo(value <= most)
	}
	t.add(name, fmt.Sprintf("%.1f %s", value, unit), limit, held)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "**no**"
}

func micros(us float64) string { return fmt.Sprintf("%.3g", us) }

// thousands writes a whole number with commas.
func thousands(x float64) string {
	digits := strconv.FormatInt(int64(x+0.5), 10)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}
