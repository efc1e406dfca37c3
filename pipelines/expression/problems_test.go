package expression

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millstream/millstream/flow/document"
)

// show is a problem in one line: the text it points at, its code, what it says.
func show(text string, p Problem) string {
	at := "*"
	if p.To > 0 {
		at = string([]rune(text)[p.From:p.To])
	}
	out := fmt.Sprintf("%s [%s] %s", at, p.Code, p.Message)
	if p.Hint != "" {
		out += " / " + p.Hint
	}
	return out
}

func TestMistakesAreProblemsAtTheirPlace(t *testing.T) {
	for _, c := range []struct {
		expr string
		want Want
		say  []string
	}{
		{`tpoic == "a"`, WantAny, []string{`tpoic [unknown-name] unknown name "tpoic" / did you mean "topic"?`}},
		{`"é" + tpoic + boyd.x`, WantAny, []string{`tpoic [unknown-name]`, `boyd [unknown-name] unknown name "boyd" / did you mean "body"?`}},
		{`uper(body.x)`, WantAny, []string{`uper [unknown-function] unknown function "uper" / did you mean "upper"?`}},
		{`vars.blokced`, WantAny, []string{`blokced [unknown-field] vars has no "blokced" / did you mean "vars.blocked"?`}},
		{`error.clas`, WantAny, []string{`clas [unknown-field] error has no "clas" / did you mean "error.class"?`}},
		{`meta.user-id == "x"`, WantAny, []string{`meta.user-id [dash-in-name] meta.user-id is a subtraction / write meta["user-id"]`}},
		{`meta.x-request-id`, WantAny, []string{`meta.x-request-id [dash-in-name]`}},
		{`body.first-name`, WantAny, []string{`body.first-name [dash-in-name] body.first-name is a subtraction / write body["first-name"]`}},
		{`body.a.first-name`, WantAny, []string{`body.a.first-name [dash-in-name] body.a.first-name is a subtraction / write body.a["first-name"]`}},
		{`body.device-id == "x"`, WantAny, []string{`body.device-id [dash-in-name] body.device-id is a subtraction / write body["device-id"]`}},
		{`body.a.last-error-source`, WantAny, []string{`body.a.last-error-source [dash-in-name]`}},
		{`body.event-time`, WantAny, []string{`body.event-time [dash-in-name] body.event-time is a subtraction / write body["event-time"]; a subtraction has spaces around -`}},
		{`body.max-attempt > 1`, WantBool, nil},
		{`let id = 1; body.x-id`, WantAny, []string{`id [reserved-name]`}},
		{`let d = 1; body.x-d`, WantAny, nil},
		{`formatTime(now(), "YYYY-MM-DD HH:mm:ss")`, WantAny, []string{`"YYYY-MM-DD HH:mm:ss" [bad-value] nothing in the layout "YYYY-MM-DD HH:mm:ss" stands for a part of a time / write "2006-01-02 15:04:05"`}},
		{`formatTime(now(), "%Y-%m-%d")`, WantAny, []string{`"%Y-%m-%d" [bad-value] nothing in the layout "%Y-%m-%d" stands for a part of a time / write "2006-01-02"`}},
		{`parseTime(topic, "dd/MM/yyyy")`, WantAny, []string{`"dd/MM/yyyy" [bad-value] nothing in the layout "dd/MM/yyyy" stands for a part of a time / write "02/01/2006"`}},
		{`date(topic, "today", "UTC")`, WantAny, []string{`"today" [bad-value] nothing in the layout "today" stands for a part of a time / layouts show how`}},
		{`formatTime(parseTime(topic, "unixMilli"), "rfc1123") + formatTime(now(), "15h") + formatTime(now(), topic)`, WantAny, nil},
		{`len(attempt) > 1`, WantBool, []string{`attempt [wrong-arguments] argument 1 of len cannot be an int / len takes string, bytes, list, map`}},
		{`abs(topic) > 1`, WantBool, []string{`topic [wrong-arguments] argument 1 of abs cannot be a string / abs takes int, float`}},
		{`int(now()) > 1`, WantBool, []string{`now [wrong-arguments] argument 1 of int cannot be a time`}},
		{`trim(attempt)`, WantAny, []string{`attempt [wrong-arguments] argument 1 of trim cannot be an int / write trim(string) string or trim(string, string) string`}},
		{`split(topic, 1)`, WantAny, []string{`1 [wrong-arguments] argument 2 of split cannot be an int`}},
		{`split(upper(topic))`, WantAny, []string{`split [wrong-arguments] split does not take one argument`}},
		{`len(body.x) > abs(body.y) + int(body.z)`, WantBool, nil},
		{`hello big world`, WantAssign, []string{`hello big world [bare-text] these words are no expression, and a text needs quotes of its own / write '"hello big world"', or "hello big world" in a | block`}},
		{`body x`, WantAny, []string{`x [expression-syntax]`}},
		{`nil.x == 1`, WantAny, []string{`. [expression-syntax] unexpected token "." / nil has no fields`}},
		{`body.x == 1)`, WantAny, []string{`) [expression-syntax] unexpected token ")" / no bracket is open here: leave it out`}},
		{`2026-01-02`, WantAssign, []string{`2026-01-02 [bare-text] 2026-01-02 is a subtraction, and a text needs quotes of its own / write '"2026-01-02"', or "2026-01-02" in a | block`}},
		{`2026-11-12`, WantAssign, []string{`2026-11-12 [bare-text]`}},
		{`2026-01-02T03:04:05Z`, WantAssign, []string{`2026-01-02T03:04:05Z [bare-text]`}},
		{`"é" + 2026-01-02 03:04`, WantAssign, []string{`2026-01-02 03:04 [bare-text]`}},
		{`12:30`, WantAssign, []string{`12:30 [bare-text] 12:30 is no number, and a text needs quotes of its own`}},
		{`body.at == 12:30:15`, WantBool, []string{`12:30:15 [bare-text]`}},
		{`body.day >= 2026-01-02 and body.x == gold`, WantBool, []string{`2026-01-02 [bare-text]`}},
		{`body.xs[1:30]`, WantAny, nil},
		{`body.xs[12:30]`, WantAny, nil},
		{`body.a ? 12:30`, WantAny, nil},
		{`body.year - 2026 - 11 - 12`, WantAny, nil},
		{`"2026-01-02" + '12:30'`, WantAny, nil},
		{`gold`, WantAssign, []string{`gold [bare-text] gold names nothing, and a text needs quotes of its own / write '"gold"', or "gold" in a | block`}},
		{`gold`, WantText, []string{`gold [bare-text] gold names nothing, and a text needs quotes of its own / leave {{ }} out to write the text itself`}},
		{`gold`, WantBool, []string{`gold [unknown-name]`}},
		{`boddy`, WantAssign, []string{`boddy [unknown-name] unknown name "boddy" / did you mean "body"?`}},
		{`body.x == gold or gold == body.x`, WantBool, []string{`gold [bare-text]`, `gold [bare-text]`}},
		{`meta.site != lab-1`, WantBool, []string{`lab-1 [bare-text] lab-1 is a subtraction, and a text needs quotes of its own / write "lab-1"`}},
		{`body.site in [lab-1, north-west-2, tpoic]`, WantBool, []string{`lab-1 [bare-text]`, `north-west-2 [bare-text]`, `tpoic [unknown-name]`}},
		{`body.x > 1 ? gold : body.tier ?? silver`, WantAssign, []string{`gold [bare-text]`, `silver [bare-text]`}},
		{`body.x > lab - 1`, WantBool, []string{`lab [unknown-name]`}},
		{`let a = 1; body.x > a-1`, WantBool, nil},
		{`delete`, WantAny, []string{`delete [misplaced-delete]`}},
		{`1 + delete`, WantAssign, []string{`delete [misplaced-delete] delete stands alone`}},
		{`[keep]`, WantAssign, []string{`keep [misplaced-keep]`}},
		{`delete ?? 1`, WantAssign, []string{`delete [misplaced-delete]`}},
		{`body.x == "${HOST}"`, WantAny, []string{`${HOST} [interpolation-in-expression]`}},
		{`{{ body.x }}`, WantAny, []string{`{{ [template-in-expression]`}},
		{`body.x = 1`, WantAny, []string{`= [assignment] = does not compare / write ==`}},
		{`body.x === 1`, WantAny, []string{`=== [foreign-syntax] === does not exist here / write ==`}},
		{`body.x !== 1`, WantAny, []string{`!== [foreign-syntax] !== does not exist here / write !=`}},
		{`body.x > 1 AND body.y`, WantBool, []string{`AND [foreign-syntax] AND does not exist here / write and, in small letters`}},
		{`body.x like "a%"`, WantBool, []string{`like [foreign-syntax]`}},
		{`body.x is nil`, WantBool, []string{`is [foreign-syntax] is does not exist here / write == or !=, as in body.x == nil`}},
		{`.temp > 3`, WantBool, []string{`. [foreign-syntax] . does not exist here / write body before the dot, as in body.x`}},
		{`json("a.b") == 1`, WantBool, []string{`json [unknown-function] unknown function "json" / write body.x, or parseJSON(s)`}},
		{`header.a == "x"`, WantBool, []string{`header [foreign-syntax] header does not exist here / write meta`}},
		{`body.x & 1`, WantAny, []string{`& [foreign-syntax]`}},
		{`body.x == null`, WantAny, []string{`null [foreign-syntax] null does not exist here / write nil`}},
		{`body.x == undefined`, WantAny, []string{`undefined [foreign-syntax]`}},
		{`body.x.length > 3`, WantAny, []string{`length [foreign-syntax] .length does not exist here / write len(body.x); a field of that name is body.x["length"]`}},
		{`body.x =~ "re"`, WantAny, []string{`=~ [foreign-syntax] =~ does not exist here / write matches, as in body.x matches "^a"`}},
		{`body.x !~ "re"`, WantAny, []string{`!~ [foreign-syntax] !~ does not exist here / write not (body.x matches "^a")`}},
		{`body.x ~ "re"`, WantAny, []string{`~ [foreign-syntax]`}},
		{`body.a |= body.b`, WantAny, []string{`|= [foreign-syntax] |= does not exist here / write a comparison (==), or assign in transform: body.path: expression`}},
		{`body.a += 1`, WantAny, []string{`+= [foreign-syntax]`}},
		{`body.a ??= 1`, WantAny, []string{`??= [foreign-syntax]`}},
		{`body.a := 1`, WantAny, []string{`:= [foreign-syntax] := does not exist here / write let a = 1; a + 2 for a name, or == to compare`}},
		{`body->x == 1`, WantAny, []string{`-> [foreign-syntax] -> does not exist here / write a dot, as in body.x`}},
		{`body::x`, WantAny, []string{`:: [foreign-syntax]`}},
		{`body:x`, WantAny, []string{`: [foreign-syntax] : does not exist here / write a dot, as in body.x`}},
		{`body..x > 1`, WantAny, []string{`x [unknown-name] unknown name "x" / one dot leads to a field, as in body.x; a..b are the numbers from a to b`}},
		{`body.x. > 1`, WantAny, []string{`. [expression-syntax] a name must follow the dot / write body.name; other names go into brackets: body["a b"]`}},
		{`body.x.`, WantAny, []string{`. [expression-syntax] a name must follow the dot / write body.name`}},
		{`body.0 == 1`, WantAny, []string{`.0 [expression-syntax] unexpected token ".0" / write [0] for an element of a list, ["0"] for a field of that name`}},
		{`body.x == 'it''s'`, WantAny, []string{`'' [foreign-syntax] '' is no quote inside a text / write \', or put the text into the other quotes`}},
		{`body.x == "say ""x"""`, WantAny, []string{`"" [foreign-syntax]`, `"" [foreign-syntax]`}},
		{`body.x == '' or body.y == ""`, WantBool, nil},
		{`body.x == "a`, WantAny, []string{`a [expression-syntax] the text in quotes has no end / close the quote`}},
		{`body.x == “a”`, WantAny, []string{`“ [foreign-syntax] “ does not exist here / write straight quotes: "text"`, `” [foreign-syntax]`}},
		{`body.x == NULL`, WantAny, []string{`NULL [foreign-syntax] NULL does not exist here / write nil`}},
		{`body.x == Null`, WantAny, []string{`Null [foreign-syntax] Null does not exist here / write nil`}},
		{`body.x contains("y")`, WantBool, nil},
		{`contains(body.x, "y")`, WantBool, []string{`contains [`}},
		{`body.x | 1`, WantAny, []string{`1 [expression-syntax] unexpected token "1" / after | comes a function: body.x | upper()`}},
		{`len body.x > 1`, WantAny, []string{`body [expression-syntax] unexpected token "body" / a function takes what it is about in brackets: len(…)`}},
		{`body.x++`, WantAny, []string{`+ [foreign-syntax] ++ does not exist here / write + 1 or - 1`}},
		{`body.x in ["a"`, WantAny, []string{`" [expression-syntax] the expression ends too early / close the bracket`}},
		{`body?x`, WantAny, []string{`x [expression-syntax] the expression ends too early / a choice has two results: a ? b : c; a field of what may be missing is body?.x`}},
		{`body.x == 1 # why`, WantAny, []string{`# [foreign-syntax] # does not exist here / write // before a comment`}},
		{`body.x if body.y else 2`, WantAny, []string{`if [foreign-syntax] if does not exist here / write a ? b : c`}},
		{`1 - -2 == 3 and body.a ? +1 > 0 : false`, WantBool, nil},
		{`map(body.xs, x => x)`, WantAny, []string{`=> [foreign-syntax]`}},
		{`body.name.toUpperCase()`, WantAny, []string{`toUpperCase [unknown-method] there is no method toUpperCase() / write upper(s)`}},
		{`time.Unix()`, WantAny, []string{`Unix [unknown-method] there is no method Unix() / write unix(t)`}},
		{`tmp.t.Unix()`, WantAny, []string{`Unix [unknown-method]`}},
		{`body.temp`, WantBool, nil},
		{`"a" + "b"`, WantBool, []string{`* [not-bool]`}},
		{`topic`, WantBool, []string{`* [not-bool] this is a string, and a condition must be true or false`}},
		{`1 < 2`, WantBool, []string{`* [constant-condition]`}},
		{`true`, WantBool, []string{`* [constant-condition]`}},
		{`topic`, WantList, []string{`* [not-list]`}},
		{`[1]`, WantText, []string{`* [not-text]`}},
		{`nil`, WantText, []string{`* [not-text]`}},
		{`topic > 3`, WantAny, []string{`> [type-mismatch]`}},
		{`meta.n > 3`, WantAny, []string{`> [type-mismatch] cannot apply > (mismatched types string and int) / text becomes a number with int(x) or float(x)`}},
		{`upper(1)`, WantAny, []string{`1 [wrong-arguments]`}},
		{`upper()`, WantAny, []string{`upper [wrong-arguments]`}},
		{`body.x matches body.y`, WantAny, []string{`y [dynamic-pattern]`}},
		{`body.x matches "("`, WantAny, []string{`"(" [bad-pattern]`}},
		{`captures(body.x, topic)`, WantAny, []string{`topic [dynamic-pattern]`}},
		{`map(body.a, map(it, map(it, it)))`, WantAny, []string{`it [loops-too-deep]`}},
		{`it.x`, WantAny, []string{`it [unknown-name] it stands only inside a predicate`}},
		{`n + 1`, WantAny, []string{`n [unknown-name]`}},
		{`$env`, WantAny, []string{`$env [foreign-syntax]`}},
		{`upper`, WantAny, []string{`upper [function-without-call]`}},
		{`nil + 1`, WantAny, []string{`+ [type-mismatch] + does not take nil / nil goes with ==, != and ?? alone; a value that may be missing gets a default: (body.a ?? 0)`}},
		{`body.a > 1 and nil`, WantAny, []string{`and [type-mismatch] and does not take nil`}},
		{`body.x in nil`, WantAny, []string{`in [type-mismatch] nothing is in nil / a list that may be missing gets a default: body.a in (body.list ?? [])`}},
		{`len(nil)`, WantAny, []string{`len [always-fails] len does not take nil; a value that may be missing gets a default with ??, in "len(nil)"`}},
		{`upper(nil)`, WantAny, []string{`nil [wrong-arguments] cannot use nil as argument (type string) to call upper / a value that may be missing`}},
		{`log(0)`, WantAny, []string{`log [always-fails] the result is not a finite number in "log(0)"`}},
		{`repeat("a", 100000000)`, WantAny, []string{`repeat [always-fails] the result would have more than 16777216 bytes in`}},
		{`1 / 0`, WantAny, []string{`/ [always-fails] division by zero`}},
		{`9223372036854775807 + 1`, WantAny, []string{`+ [always-fails]`}},
		{`int("x")`, WantAny, []string{`int [always-fails]`}},
		{`lookup("a")`, WantAny, []string{`lookup [wrong-arguments]`}},
		{`body.a ?? 1 > 2`, WantAny, []string{`> [expression-syntax] ?? and another operator need parentheses`}},
		{`body.a >`, WantAny, []string{` [expression-syntax]`}},
		{`let it = 1; it`, WantAny, []string{`it [reserved-name]`}},
		{`let body = 1; body`, WantAny, []string{`body [reserved-name]`}},
		{``, WantAny, []string{`* [expression-syntax] the expression is empty`}},
		{`now(); 1`, WantAny, []string{`now [expression-syntax]`}},
		{strings.Repeat("(", 300) + "1" + strings.Repeat(")", 300), WantAny, []string{`( [expression-too-deep]`}},
		{strings.Repeat("!", 300) + "body.x", WantAny, []string{`! [expression-too-deep]`}},
		{strings.Repeat("- ", 300) + "body.x", WantAny, []string{`- [expression-too-deep]`}},
		{strings.Repeat("not ", 300) + "body.x", WantAny, []string{`t [expression-too-deep]`}},
		{strings.Repeat("a", 17<<10), WantAny, []string{`* [expression-too-long]`}},
		{strings.Repeat("1+", 3000) + "1", WantAny, []string{` [expression-too-large]`}},
		{strings.Repeat("1 < (", 40) + "1 < 1 < 1" + strings.Repeat(" < 1) < 1", 40), WantAny, []string{`* [expression-too-large]`}},
	} {
		p, problems := Compile(c.expr, testScope(), c.want)
		if (p == nil) != (len(problems) > 0) {
			t.Errorf("%s: program %v with problems %v", c.expr, p, problems)
		}
		var got []string
		for _, problem := range problems {
			got = append(got, show(c.expr, problem))
		}
		ok := len(got) == len(c.say)
		for i := range got {
			ok = ok && strings.Contains(got[i], c.say[i])
		}
		if !ok {
			t.Errorf("%.60s:\n got %q\nwant %q", c.expr, got, c.say)
		}
	}
}

func TestScopesDecideWhatExists(t *testing.T) {
	counter := &Scope{Paths: document.NewPaths(), Counter: true, NoMessage: true}
	if _, problems := Compile(`{i: n, at: now()}`, counter, WantAny); len(problems) > 0 {
		t.Error(problems)
	}
	if _, problems := Compile(`body.x`, counter, WantAny); len(problems) != 1 || problems[0].Code != "no-message" {
		t.Error(problems)
	}
	if _, problems := Compile(`lookup("a", "b")`, counter, WantAny); len(problems) != 1 || problems[0].Code != "unknown-table" {
		t.Error(problems)
	}
	plain := &Scope{Paths: document.NewPaths(), Format: document.Text}
	if _, problems := Compile(`body.x`, plain, WantAny); len(problems) != 1 || problems[0].Code != "path-into-text" {
		t.Error(problems)
	}
	element := &Scope{Paths: document.NewPaths(), It: true}
	p, problems := Compile(`it.v + any([1], it == 1 ? true : false) ? 1 : 2`, element, WantAny)
	if len(problems) == 0 {
		t.Error("an int and a bool were added", p)
	}
	if _, problems := Compile(`it.v + len(filter([1], it == 1))`, element, WantAny); len(problems) > 0 {
		t.Error(problems)
	}
}
