package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/millstream/millstream/pipelines/config"
)

// TLS are the TLS settings of a connection. Certificates are always verified; there is no way to switch that off.
type TLS struct {
	// CA is a PEM file with the certificates that the server's must be signed by. Empty: those of the system.
	CA string `yaml:"ca"`
	// Cert and Key are PEM files with the client's certificate (and its chain) and private key; both or none.
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
	// ServerName is the name that the server's certificate must carry. Empty: the host that is connected to.
	ServerName string `yaml:"server_name"`
}

// Check says what is wrong without reading a file: empty when nothing is.
func (t *TLS) Check() (message, hint string) {
	if t == nil || (t.Cert == "") == (t.Key == "") {
		return "", ""
	}
	if t.Key == "" {
		return "tls has a cert but no key", "write key: the file with the certificate's private key"
	}
	return "tls has a key but no cert", "write cert: the file with the certificate of this key"
}

// Config reads the files, whose paths are relative to dir. A nil t gives nil: no TLS.
func (t *TLS) Config(dir string) (*tls.Config, error) {
	if t == nil {
		return nil, nil //nolint:nilnil // no settings, no TLS
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CA != "" {
		pem, err := os.ReadFile(inDir(dir, t.CA))
		if err != nil {
			return nil, fmt.Errorf("read tls.ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls.ca %s holds no PEM certificate", t.CA)
		}
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(inDir(dir, t.Cert), inDir(dir, t.Key))
		if err != nil {
			return nil, fmt.Errorf("read tls.cert and tls.key: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// Identity tells settings apart for sharing connections: two with the same text are the same.
func (t *TLS) Identity(dir string) string {
	if t == nil {
		return ""
	}
	return strings.Join([]string{"tls", inDir(dir, t.CA), inDir(dir, t.Cert), inDir(dir, t.Key), t.ServerName}, "\x00")
}

// Failure tells whether err is a failed verification of a certificate, in either direction: no retry can mend it.
func Failure(err error) bool {
	var verification *tls.CertificateVerificationError
	var alert tls.AlertError
	var header tls.RecordHeaderError
	var remote *net.OpError // what the other side says of our certificate, or of having none, is an alert of a type without a name
	return errors.As(err, &verification) || errors.As(err, &alert) || errors.As(err, &header) ||
		errors.As(err, &remote) && remote.Op == "remote error"
}

func inDir(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// CheckTLS adds what Check says as a finding about the configuration that b builds.
func CheckTLS(b *config.Builder, t *TLS) {
	if message, hint := t.Check(); message != "" {
		Finding(b, "tls", message, hint)
	}
}
