package reference

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"reflect"
	"strconv"
	"strings"
)

// Collect reads the doc comments of all struct fields with a yaml tag in the Go files of some folders of a tree, folders below them
// included. module is the import path of the tree's root.
func Collect(tree fs.FS, module string, folders ...string) (Comments, error) {
	comments := Comments{}
	for _, folder := range folders {
		err := fs.WalkDir(tree, folder, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return err
			}
			text, err := fs.ReadFile(tree, name)
			if err != nil {
				return err
			}
			return comments.collectFile(module+"/"+path.Dir(name), name, text)
		})
		if err != nil {
			return nil, fmt.Errorf("collect comments: %w", err)
		}
	}
	return comments, nil
}

func (c Comments) collectFile(pkg, name string, text []byte) error {
	file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		if s, ok := spec.Type.(*ast.StructType); ok {
			c.collectStruct(pkg+"."+spec.Name.Name, s)
		}
		return false
	})
	return nil
}

func (c Comments) collectStruct(name string, s *ast.StructType) {
	previous := ""
	for _, f := range s.Fields.List {
		if f.Tag == nil || len(f.Names) == 0 {
			previous = ""
			continue
		}
		tag, err := strconv.Unquote(f.Tag.Value)
		if err != nil || reflect.StructTag(tag).Get("yaml") == "" {
			previous = ""
			continue
		}
		text := f.Doc.Text()
		if text == "" {
			text = f.Comment.Text()
		}
		text = strings.Join(strings.Fields(text), " ")
		if text == "" && previous != "" && speaksOf(previous, f.Names[0].Name) {
			text = previous // "Cert and Key are …" stands once, above Cert
		}
		previous = text
		if text == "" {
			continue
		}
		if c[name] == nil {
			c[name] = map[string]string{}
		}
		for _, field := range f.Names {
			c[name][field.Name] = text
		}
	}
}

// speaksOf tells whether a comment names a field before its first full stop.
func speaksOf(comment, field string) bool {
	sentence, _, _ := strings.Cut(comment, ".")
	for word := range strings.FieldsSeq(sentence) {
		if strings.Trim(word, ",;:") == field {
			return true
		}
	}
	return false
}
