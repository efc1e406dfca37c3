package http

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"testing"
	"time"
)

// issue writes a new certificate and its key as the files say, written at a time of its own.
func issue(t *testing.T, f files, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, DNSNames: []string{"localhost"},
	}
	cert, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1_700_000_000+serial, 0)
	for path, block := range map[string]*pem.Block{f.cert: {Type: "CERTIFICATE", Bytes: cert}, f.key: {Type: "PRIVATE KEY", Bytes: private}} {
		err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600)
		if err == nil {
			err = os.Chtimes(path, at, at)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// greet is a handshake with what the files say; it gives the serial number of the server's certificate.
func greet(t *testing.T, c *certificate, client *tls.Config) (serial int64, err error) {
	t.Helper()
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	server := tls.Server(there, &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.get() }})
	answered := make(chan error, 1)
	go func() {
		err := server.HandshakeContext(t.Context())
		_ = there.Close()
		answered <- err
	}()
	conn := tls.Client(here, client)
	if err := conn.HandshakeContext(t.Context()); err != nil {
		return 0, err
	}
	_, _ = conn.Read(make([]byte, 1)) // what the server says after its side of the handshake, up to its end
	serial = conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	return serial, <-answered
}

func TestCertificatesThatAreReplacedOnDiskAreUsed(t *testing.T) {
	dir := t.TempDir()
	f := files{cert: dir + "/cert.pem", key: dir + "/key.pem"}
	other := files{cert: dir + "/other.pem", key: dir + "/other-key.pem"}
	anyone := &tls.Config{InsecureSkipVerify: true}
	c := &certificate{files: f}
	want := func(what string, serial int64) {
		t.Helper()
		if got, err := greet(t, c, anyone); got != serial || err != nil {
			t.Errorf("%s: certificate %d, %v; want %d", what, got, err, serial)
		}
	}
	issue(t, f, 1)
	want("the first", 1)
	issue(t, f, 2)
	want("one that was looked at just now", 1)
	c.looked = time.Time{}
	want("one that was replaced", 2)
	issue(t, other, 3)
	text, err := os.ReadFile(other.cert)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.cert, text, 0o600); err != nil {
		t.Fatal(err)
	}
	c.looked = time.Time{}
	want("one whose key is not there yet", 2)
	if err := os.Remove(f.key); err != nil {
		t.Fatal(err)
	}
	c.looked = time.Time{}
	want("one without a key", 2)
	issue(t, f, 4)
	c.looked = time.Time{}
	want("one that is whole again", 4)
}

func TestOnlyClientsOfTheNamedAuthorityConnect(t *testing.T) {
	dir := t.TempDir()
	f := files{cert: dir + "/cert.pem", key: dir + "/key.pem", clientCA: dir + "/client.pem"}
	mine := files{cert: f.clientCA, key: dir + "/client-key.pem"}
	issue(t, f, 1)
	issue(t, mine, 2)
	c := &certificate{files: f}
	as := func(f files) *tls.Config {
		settings := &tls.Config{InsecureSkipVerify: true}
		if f.cert != "" {
			pair, err := tls.LoadX509KeyPair(f.cert, f.key)
			if err != nil {
				t.Fatal(err)
			}
			settings.Certificates = []tls.Certificate{pair}
		}
		return settings
	}
	stranger := files{cert: dir + "/stranger.pem", key: dir + "/stranger-key.pem"}
	issue(t, stranger, 3)
	known := as(mine)
	if _, err := greet(t, c, known); err != nil {
		t.Errorf("a client of the authority: %v", err)
	}
	for name, client := range map[string]*tls.Config{"a stranger": as(stranger), "a client without a certificate": as(files{})} {
		if _, err := greet(t, c, client); err == nil {
			t.Errorf("%s could connect", name)
		}
	}
	issue(t, mine, 4)
	c.looked = time.Time{}
	if _, err := greet(t, c, known); err == nil {
		t.Error("a client of an authority that was replaced could connect")
	}
	if _, err := greet(t, c, as(mine)); err != nil {
		t.Errorf("a client of the new authority: %v", err)
	}
	if err := os.WriteFile(f.clientCA, bytes.Repeat([]byte("x"), 10), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.load(); err == nil {
		t.Error("a file that is no certificate was taken as an authority")
	}
}
