package expression

import (
	"errors"
	"strings"
	"testing"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/value"
)

const sample = `{"temp": 40, "f": 1.5, "name": "anna", "ok": true, "none": null, "tags": ["a", "b"], "xs": [{"v": 1}, {"v": 3}, {"v": 2}],
 "customer": {"tier": "gold", "deep": {"n": 9007199254740993}}, "big": 9223372036854775807, "wide": 12345678901234567890}`

func TestExpressionsGiveTheirValue(t *testing.T) {
	for _, c := range []struct{ expr, want string }{
		{`body.temp > 30 and meta.site != "lab"`, `true`},
		{`body.temp * 1.8 + 32`, `104.0`},
		{`7 / 2`, `3.5`},
		{`body.nothing`, `nil`},
		{`body.nothing == nil`, `true`},
		{`nil in body.tags`, `false`},
		{`body.nothing ?? 5`, `5`},
		{`body.a.b.c ?? 5`, `5`},
		{`(body.score ?? 0) >= 0.9 or body.name in vars.blocked`, `false`},
		{`body.customer?.tier == "gold"`, `true`},
		{`body.client?.tier == "gold"`, `false`},
		{`body.client?.a.b.c`, `nil`},
		{`body?.client?.tier`, `nil`},
		{`body.customer?.deep.n`, `9007199254740993`},
		{`tmp.x?.y`, `nil`},
		{`tmp.x.y ?? 1`, `1`},
		{`true ? 1 : body.a.b`, `1`},
		{`if body.ok { "yes" } else { "no" }`, `"yes"`},
		{`body.tags[0] + body.tags[-1]`, `"ab"`},
		{`body.tags[1:]`, `["b"]`},
		{`body.name[0:2]`, `"an"`},
		{`body["name"]`, `"anna"`},
		{`any(body.xs, it.v > 2)`, `true`},
		{`all(body.xs, .v > 2)`, `false`},
		{`none(body.xs, #.v > 5)`, `true`},
		{`one(body.xs, it.v == 1)`, `true`},
		{`filter(body.xs, it.v > 1) | map(it.v)`, `[3, 2]`},
		{`map(body.xs, it.v * 2) | sum()`, `12`},
		{`sum(body.xs, it.v)`, `6`},
		{`count(body.xs, it.v >= 2)`, `2`},
		{`count([true, false, true])`, `2`},
		{`find(body.xs, it.v > 1).v`, `3`},
		{`findIndex(body.xs, it.v > 1)`, `1`},
		{`findLast(body.xs, it.v > 1).v`, `2`},
		{`findLastIndex(body.xs, it.v > 1)`, `2`},
		{`groupBy(body.xs, it.v > 1 ? "big" : "small")`, `{small: [{v: 1}], big: [{v: 3}, {v: 2}]}`},
		{`groupBy(body.xs, it.v)["1"]`, `[{v: 1}]`},
		{`sortBy(body.xs, it.v) | map(it.v)`, `[1, 2, 3]`},
		{`sortBy(body.xs, it.v, "desc") | map(it.v)`, `[3, 2, 1]`},
		{`reduce(body.xs, #acc + it.v, 0)`, `6`},
		{`map(body.tags, #index)`, `[0, 1]`},
		{`map(body.xs, map(body.tags, it))`, `[["a", "b"], ["a", "b"], ["a", "b"]]`},
		{`let x = body.temp; x + x`, `80`},
		{`let d = body.customer; d.tier`, `"gold"`},
		{`try(body.a.b, 3)`, `3`},
		{`map(body.tags, try(int(it), #index))`, `[0, 1]`},
		{`let y = 2; try(fail("x"), y)`, `2`},
		{`map(body.xs, try(it.v > 2 ? fail("x") : it.v, try(fail("y"), it.v * 10)))`, `[1, 30, 2]`},
		{`{a: body.temp, "b c": [body.name], (body.name): 1}`, `{a: 40, "b c": ["anna"], anna: 1}`},
		{`1..3`, `[1, 2, 3]`},
		{`3..1`, `[]`},
		{`meta.site`, `"hall"`},
		{`meta["user-id"]`, `"u1"`},
		{`meta.n`, `"7"`},
		{`meta.nothing`, `nil`},
		{`len(meta)`, `3`},
		{`key`, `"k1"`},
		{`topic`, `"site/1/temp"`},
		{`id`, `"kafka:site/1/temp/3@1234"`},
		{`source.name + source.connector`, `"inkafka"`},
		{`source.partition`, `3`},
		{`source.offset`, `1234`},
		{`source.epoch`, `4`},
		{`source.nothing`, `nil`},
		{`source.headers[0]`, `{name: "site", value: "lab"}`},
		{`source["offset"] + len(source)`, `1241`},
		{`attempt`, `1`},
		{`error`, `nil`},
		{`error == nil`, `true`},
		{`error?.class`, `nil`},
		{`error.class ?? "none"`, `"none"`},
		{`raw contains "x"`, ``},
		{`string(raw) contains "anna"`, `true`},
		{`raw == nil`, `false`},
		{`vars.limit`, `30`},
		{`vars.deep.a`, `1`},
		{`time < now()`, `true`},
		{`now() - time`, `duration("1m")`},
		{`body.name matches "^a.*a$"`, `true`},
		{`body.name not matches "^b"`, `true`},
		{`body.name contains "nn" and body.name startsWith "a" and body.name endsWith "a"`, `true`},
		{`not (body.name in ["x", "anna"])`, `false`},
		{`"temp" in body`, `true`},
		{`9007199254740993 == 9007199254740992.0`, `false`},
		{`body.tags == ["a", "b"]`, `true`},
		{`1 < 2 < 3`, `true`},
		{`2 ** 3`, `8.0`},
		{`-body.temp`, `-40`},
		{`lookup("countries", "DE")?.name`, `"Germany"`},
		{`body.xs | filter(it.v in [1, 2]) | len()`, `2`},
	} {
		if c.want == "" {
			continue
		}
		got, err := evaluate(t, c.expr, WantAny, sample)
		if err != nil {
			t.Errorf("%s: %v", c.expr, err)
			continue
		}
		want, err := evaluate(t, c.want, WantAny, `{}`)
		if err != nil {
			t.Fatal(err)
		}
		if !value.Equal(got, want) || got.Kind() != want.Kind() {
			t.Errorf("%s = %#v, want %s", c.expr, got.Box(), c.want)
		}
	}
}

func TestFailuresNameThePieceAndThePath(t *testing.T) {
	for _, c := range []struct{ expr, want string }{
		{`body.tmp > 30`, `body.tmp is nil in "body.tmp > 30"; write (body.tmp ?? 0) > 30`},
		{`30 < body.tmp`, `body.tmp is nil in "30 < body.tmp"; write 30 < (body.tmp ?? 0)`},
		{`body.name + body.surname`, `body.surname is nil in "body.name + body.surname"; write body.name + (body.surname ?? "")`},
		{`not body.gone`, `write not (body.gone ?? false)`},
		{`body.name > 3`, `> cannot take a string and an int in "body.name > 3"`},
		{`body.customer.address.city`, `body.customer.address is nil, cannot read body.customer.address.city`},
		{`body.name.first`, `body.name is a string, cannot read body.name.first`},
		{`tmp.a.b`, `tmp.a is nil; write ?. behind it`},
		{`len(body.gone)`, `body.gone is nil; give a default with ??, in "len(body.gone)"`},
		{`upper(body.temp)`, `argument 1 of upper cannot be an int in "upper(body.temp)"`},
		{`body.temp % 0`, `division by zero`},
		{`body.temp / 0`, `division by zero`},
		{`body.big + 1`, `too large for an int`},
		{`body.big * 2`, `too large for an int`},
		{`-body.big - 2`, `too large for an int`},
		{`body.f * 1e308 * 10`, `not a finite number`},
		{`body.ok and body.gone`, `body.gone is nil; write (body.gone ?? false)`},
		{`body.temp ? 1 : 2`, `body.temp is an int, and must be true or false`},
		{`filter(body.gone, true)`, `body.gone is nil; write (body.gone ?? [])`},
		{`filter(body.xs, it.v)`, `it.v is an int, and must be true or false`},
		{`body.tags[7]`, `body.tags has 2 elements`},
		{`body.tags[body.temp]`, `there is no element 40: the list has 2`},
		{`map(body.tags, it > 1)`, `cannot take a string and an int`},
		{`reduce([], #acc + it)`, `reduce of empty array`},
		{`1..(body.big)`, `more than 10000 elements`},
		{`repeat(body.name, 100000000)`, `the result would have more than 16777216 bytes in "repeat(body.name, 100000000)"`},
		{`log(body.temp - 40)`, `the result is not a finite number in "log(body.temp - 40)"`},
		{`"a" in body.name`, `body.name contains`},
		{`sortBy(body.xs, it.w)`, `element 0 is nil`},
		{`{(body.temp): 1}`, `the keys of a map are strings`},
		{`error.class`, `error is nil`},
		{`string(body.wide)`, `beyond 64 bits`},
		{`hashID("a", body.wide)`, `beyond 64 bits`},
	} {
		_, err := evaluate(t, c.expr, WantAny, sample)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.expr, err, c.want)
			continue
		}
		var e *flow.Error
		if !errors.As(err, &e) || e.Class != flow.Permanent || e.Code != flow.CodeExpression {
			t.Errorf("%s: %#v is no permanent expression error", c.expr, err)
		}
	}
}
