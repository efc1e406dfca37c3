// Package nodes lists the verbs that a pipeline file may use. Each has a folder of its own; a main that wants more appends to the list.
package nodes

import (
	"github.com/millstream/millstream/nodes/call"
	"github.com/millstream/millstream/nodes/cloudevent"
	"github.com/millstream/millstream/nodes/decode"
	"github.com/millstream/millstream/nodes/encode"
	"github.com/millstream/millstream/nodes/filter"
	"github.com/millstream/millstream/nodes/log"
	"github.com/millstream/millstream/nodes/route"
	"github.com/millstream/millstream/nodes/sample"
	"github.com/millstream/millstream/nodes/schema"
	"github.com/millstream/millstream/nodes/split"
	"github.com/millstream/millstream/nodes/throttle"
	"github.com/millstream/millstream/nodes/transform"
	"github.com/millstream/millstream/pipelines/config"
)

// Types are all verbs, in the order in which lists and the reference show them.
func Types() []config.NodeType {
	return []config.NodeType{
		filter.Type(),
		transform.Type(),
		route.Type(),
		split.Type(),
		decode.Type(),
		encode.Type(),
		schema.Type(),
		sample.Type(),
		throttle.Type(),
		call.Type(),
		cloudevent.Type(),
		log.Type(),
	}
}
