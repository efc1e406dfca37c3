package reference

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"reflect"
)

// Comments are the doc comments of configuration structs: package path and type, then field, to text.
type Comments map[string]map[string]string

//go:embed comments.json
var collected []byte

// Collected gives the comments that were collected when the repository's generated files were last made.
func Collected() (Comments, error) {
	c := Comments{}
	if err := json.Unmarshal(collected, &c); err != nil {
		return nil, fmt.Errorf("read the collected comments: %w", err)
	}
	return c, nil
}

func (c Comments) field(t reflect.Type, name string) string { return c[t.PkgPath()+"."+t.Name()][name] }
