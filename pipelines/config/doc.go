// Package config is the vocabulary in which nodes and connectors declare their configuration: the types of fields (Expression,
// Template, Size, Rate, Secret), the descriptions NodeType and ConnectorType, and the Builder that compiles what was decoded. It
// knows no node, no connector and no engine; a registry of types is a value that a main hands to pipelines.
package config
