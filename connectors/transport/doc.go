// Package transport holds what connectors of broker protocols share below their protocols: TLS settings of a configuration, the rule
// that no password leaves the machine in clear text, how often an address that is down is tried and when a connection counts as silent, and which
// headers of one technology must not enter another. It knows no broker.
package transport
