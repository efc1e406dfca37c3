// Package transport holds what connectors of broker protocols share below their protocols: TLS settings of a configuration, the rule
// that no password leaves the machine in clear text, and which headers of one technology must not enter another. It knows no
// broker and opens no connection.
package transport
