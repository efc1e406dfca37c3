// Package pipelines is the language: it reads pipeline files, finds every mistake that can be found without a broker, and compiles
// what is right into a Program that an engine runs. It is pure: it reads the files it is given and touches nothing else, and it knows
// neither engine nor broker. Verbs and connectors reach it as a config.Registry.
//
// A file goes through named steps: yamldoc parses it with exact positions; document.go takes its keys apart; component.go decodes
// each source, node and sink; graph.go resolves who reads whom; build.go compiles expressions and joins everything to a Program.
package pipelines
