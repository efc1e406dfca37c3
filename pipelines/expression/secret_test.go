package expression

import (
	"slices"
	"strings"
	"testing"
)

type hidden string

func (h hidden) Reveal() string { return string(h) }

func secretScope(header bool) *Scope {
	s := testScope()
	s.Header = header
	s.Vars = map[string]any{"token": hidden("Jefe"), "deep": map[string]any{"list": []any{hidden("Jefe"), "b"}}, "plain": "p"}
	return s
}

func TestSecretsAreUsedWhereNothingShowsThem(t *testing.T) {
	for text, want := range map[string]string{
		`hmac("what do ya want for nothing?", vars.token)`:        "5bdcc146bf60754e",
		`hmac("what do ya want for nothing?", vars.deep.list[0])`: "5bdcc146bf60754e",
		`vars.plain + vars.deep.list[1]`:                          "pb",
	} {
		p, problems := Compile(text, secretScope(false), WantAny)
		if len(problems) > 0 {
			t.Errorf("%s: %+v", text, problems)
			continue
		}
		if v, ok := p.Constant(); !ok || !strings.HasPrefix(v.Str(), want) {
			t.Errorf("%s: %v, %v", text, v.Box(), ok)
		}
	}
}

func TestHeadersOfSinksMayHoldSecrets(t *testing.T) {
	template, problems := CompileTemplate(`Bearer {{ vars.token }}{{ upper(vars.token) }}`, secretScope(true))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if text, _ := template.Constant(); text != "Bearer JefeJEFE" {
		t.Errorf("the header is %q", text)
	}
	if _, problems := Compile(`toJSON(vars)`, secretScope(true), WantAny); len(problems) != 1 {
		t.Errorf("all constants in a header: %+v", problems)
	}
}

func TestSecretsAreRefusedElsewhere(t *testing.T) {
	for _, text := range []string{
		`vars.token`, `vars`, `vars.deep`, `vars.deep.list`, `vars.deep.list[body.n]`, `vars[body.x]`, `vars.token == "x"`, `{a: vars.token}`,
		`any(body.list, it == vars.token)`, `body[vars.token]`, `"x" in vars.deep.list`, `true ? vars.token : 1`, `vars.token ?? 1`, `fail(vars.token)`,
		`lookup("countries", vars.token)`, `vars.token[0:1]`, `hmac("x", vars.token, vars.token)`, `hmac(upper(vars.token), "k")`, `try(vars.token, 1)`,
	} {
		_, problems := Compile(text, secretScope(false), WantAny)
		if !slices.ContainsFunc(problems, func(p Problem) bool { return p.Code == "secret-shown" }) {
			t.Errorf("%s: %+v", text, problems)
		}
	}
}
